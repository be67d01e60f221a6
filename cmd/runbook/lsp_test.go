package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runbook/runtime/host/sample"
)

// TestLSPConversation speaks with the real process as an editor does, from the first message to the last.
func TestLSPConversation(t *testing.T) {
	t.Parallel()
	e := startEditor(t, t.TempDir())
	e.want("too early", e.ask("textDocument/hover", nil), "error -32002")
	e.notify("textDocument/didOpen", "nothing is open yet")
	e.want("initialize", e.initialize(), `"positionEncoding":"utf-16"`, `"change":2`, `"completionProvider"`)
	e.notify("initialized", map[string]any{})
	e.want("again", e.initialize(), "error -32600")
	e.want("unknown", e.ask("workspace/symbol", nil), `error -32601: no method "workspace/symbol"`)
	e.want("unknown, optional", e.ask("$/unheard", nil), "error -32601")
	e.notify("$/setTrace", map[string]any{"value": "off"})

	// Diagnostics follow the keys, and go away; columns are those of UTF-16.
	e.open("web.star", "def web():\n    log(\"\U0001F600\" + nmae)\n\nstep(web)\n")
	e.want("a mistake", e.diagnostics("web.star", 1), "1:15-1:19 1 ", "undefined: nmae")
	e.change("web.star", 2, piece(1, 15, 19, "host.os"))
	e.want("cured", "["+e.diagnostics("web.star", 2)+"]", "[]")
	e.change("web.star", 3, piece(1, 4, 7, "lgo"), piece(0, 4, 7, "start"))
	e.want("two pieces", e.diagnostics("web.star", 3), "1:4-1:7 1 ", `did you mean "log"?`, "undefined: web")
	e.change("web.star", 4, map[string]any{"text": "def web():\n    service(\"x\", state = \"start\")\n\nstep(web)\n"})
	e.want("the whole text", e.diagnostics("web.star", 4), `1:25-1:32 1 `, `did you mean "started"?`)
	e.change("web.star", 5, map[string]any{"text": "def web(:\n"})
	e.want("no parse", e.diagnostics("web.star", 5), "0:9-")

	// A text that another one loads is seen as it is in the editor, from the top.
	e.open("lib/own.star", "def two():\n    \"\"\"Twice.\"\"\"\n    return 2\n")
	e.change("web.star", 6, map[string]any{"text": "load(\"lib/own.star\", \"one\")\n\ndef web():\n    log(str(one()))\n\nstep(web)\n"})
	e.want("across loads", e.diagnostics("web.star", 6), "0:22-0:25 1 ", "does not define one")
	e.change("lib/own.star", 2, piece(0, 4, 7, "one"))
	e.want("cured there", "["+e.diagnostics("web.star", 6)+"]", "[]")
	e.want("a file in lib/", "["+e.diagnostics("lib/own.star", 2)+"]", "[]")
	where := map[string]any{"textDocument": map[string]any{"uri": e.uri("web.star")}, "position": map[string]any{"line": 3, "character": 13}}
	e.want("definition", e.ask("textDocument/definition", where), `/lib/own.star","range":{"start":{"line":0,"character":4},"end":{"line":0,"character":7}}`)
	e.want("hover", e.ask("textDocument/hover", where), "one()", "Twice.")
	where["position"] = map[string]any{"line": 0, "character": 10}
	e.want("definition of a file", e.ask("textDocument/definition", where), `/lib/own.star","range":{"start":{"line":0,"character":0}`)
	e.notify("textDocument/didClose", map[string]any{"textDocument": map[string]any{"uri": e.uri("lib/own.star")}})
	e.want("closed", "["+e.diagnostics("lib/own.star", 0)+"]", "[]")
	e.want("which is on no disk", e.diagnostics("web.star", 6), "0:", "lib/own.star")

	// A site's file is held against the runbooks beside it, or else the shipped ones.
	e.notify("textDocument/didClose", map[string]any{"textDocument": map[string]any{"uri": e.uri("web.star")}})
	e.open("runbook.star", "def tell():\n    log(vars.prot)\n\nafter(\"mongo\", tell)\n")
	e.want("the site's file", e.diagnostics("runbook.star", 1), "3:5-", `no step "mongo"`)
	e.change("runbook.star", 2, map[string]any{"text": "def tell():\n    log(str(vars.prot))\n\nafter(\"mongodb\", tell)\n"})
	e.want("its vars", e.diagnostics("runbook.star", 2), "1:17-1:21 ", `did you mean "port"?`)
	e.change("runbook.star", 3, map[string]any{"text": "def tell():\n    log(str(vars.port))\n\nafter(\"mongodb\", tell)\n"})
	e.want("cured", "["+e.diagnostics("runbook.star", 3)+"]", "[]")
	shipped := e.ask("textDocument/definition", e.at("runbook.star", `after("mongo|db", tell)`))
	e.want("a shipped file", shipped, ".cache/runbook/shipped/install.star")
	if fi, err := os.Stat(filepath.Join(e.dir, ".cache/runbook/shipped/install.star")); err != nil || fi.Mode() != 0o444 {
		t.Errorf("got %v, %v", fi, err)
	}

	// Tests can call more, and have no steps.
	e.open("web_test.star", "def test_web():\n    check.eq(machine(os = \"debian 12\").read(\"/x\"), \"\")\n")
	e.want("tests", "["+e.diagnostics("web_test.star", 1)+"]", "[]")
	e.change("web_test.star", 2, map[string]any{"text": "def test_web():\n    check.equal(machien(), 1)\n"})
	e.want("mistakes in tests", e.diagnostics("web_test.star", 2), "1:10-1:15 1 ", `check has no .equal`, `did you mean "machine"`)

	// What is no message is answered, and the conversation goes on.
	e.write(framed(`{"jsonrpc": "2.0", "id": 7, "method"`))
	e.want("no JSON", asJSON(t, e.answer(nil).Error), "-32700")
	e.write(framed(`[1, 2]`) + "Content-Length: 4\r\nContent-Type: x\r\n\r\ntrue")
	e.want("no message", asJSON(t, e.answer(nil).Error)+asJSON(t, e.answer(nil).Error), "-32600", "!-32700")
	e.want("wrong params", e.ask("textDocument/hover", map[string]any{"position": "here"}), "error -32602")
	gone := map[string]any{"textDocument": map[string]any{"uri": e.uri("web.star")}}
	e.want("not open", e.ask("textDocument/documentSymbol", gone), "error -32602")

	// A request that waits behind a long one is cancelled.
	e.open("long.star", strings.Repeat("def f( a,b ):\n  return [ a,b ]\n", 20000))
	long := map[string]any{"textDocument": map[string]any{"uri": e.uri("long.star")}, "position": map[string]any{}, "options": map[string]any{}}
	first := e.request("textDocument/formatting", long)
	second := e.request("textDocument/hover", long)
	cancelled := e.next
	e.write(first + second + framed(fmt.Sprintf(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%d}}`, cancelled)))
	e.want("cancelled", asJSON(t, e.answer(cancelled).Error), "-32800")
	e.want("the long one", string(e.answer(cancelled-1).Result), "def f(a, b):")
	e.notify("$/cancelRequest", map[string]any{"id": cancelled - 1})
	e.notify("$/cancelRequest", map[string]any{"id": 3.5})
	e.write(framed(`{"jsonrpc":"2.0","id":"a name","method":"textDocument/hover","params":` + asJSON(t, long) + `}`))
	e.want("an id that is a text", asJSON(t, e.answer("a name")), `"ID":"a name"`)

	e.want("shutdown", e.ask("shutdown", nil), "null")
	e.want("too late", e.ask("textDocument/hover", long), "error -32600")
	e.notify("exit", nil)
	e.ends(0)
	e.want("standard error", "["+e.said.String()+"]", "[]")
	for _, m := range e.kept {
		if m.Method != "textDocument/publishDiagnostics" {
			t.Errorf("nobody asked for %v", m)
		}
	}
}

// TestLSPEnds ends conversations in other ways.
func TestLSPEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ said, want string }{ // want: on standard error
		"no shutdown":      {framed(`{"jsonrpc":"2.0","method":"exit"}`), ""},
		"nothing":          {"", ""},
		"a number":         {"Content-Length: many\r\n\r\n{}", `got Content-Length "many", want 0 to 16777216`},
		"less than none":   {"Content-Length: -1\r\n\r\n{}", `got Content-Length "-1"`},
		"huge":             {"Content-Length: 99999999999\r\n\r\n{}", `got Content-Length "99999999999"`},
		"no length":        {"Content-Type: x\r\n\r\n{}", "got none with Content-Length"},
		"no header":        {"{}\r\n\r\n", `got "{}", want Content-Length: BYTES`},
		"an endless line":  {strings.Repeat("x", 100000), "too long"},
		"an endless head":  {strings.Repeat("a: b\r\n", 1000), "too long"},
		"cut short":        {"Content-Length: 100\r\n\r\n{", "unexpected EOF"},
		"cut in a header":  {"Content-Le", "unexpected EOF"},
		"a message before": {framed(`{"jsonrpc":"2.0","id":1,"method":"shutdown"}`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := startEditor(t, t.TempDir())
			_, _ = io.WriteString(e.in, c.said) // which it need not read to its end
			e.ends(1)
			if have := e.said.String(); !strings.Contains(have, c.want) || c.want == "" && have != "" {
				t.Errorf("got %q, want %q", have, c.want)
			}
		})
	}
}

// TestLSPBytes agrees on columns that count bytes.
func TestLSPBytes(t *testing.T) {
	t.Parallel()
	e := startEditor(t, t.TempDir())
	e.want("initialize", e.initialize("utf-8", "utf-16"), `"positionEncoding":"utf-8"`)
	e.open("web.star", "def web():\n    log(\"é\U0001F600\" + nmae)\n\nstep(web)\n")
	e.want("a mistake", e.diagnostics("web.star", 1), "1:19-1:23 1 ")
	e.change("web.star", 2, piece(1, 19, 23, "host.os"))
	e.want("cured", "["+e.diagnostics("web.star", 2)+"]", "[]")
}

// TestLSPSurvives opens texts that compute too much, or that no parser likes: the server goes on.
func TestLSPSurvives(t *testing.T) {
	sample.Slow(t, "texts that compute too much take seconds")
	t.Parallel()
	e := startEditor(t, t.TempDir())
	e.initialize()
	for i, text := range []string{
		"x = [[0] * 1000000 for i in range(10000)]\n", strings.Repeat("(", 100000), "x = " + strings.Repeat("-", 100000) + "1", "\x00\xff",
	} {
		name := fmt.Sprintf("%d.star", i)
		e.open(name, text)
		if have := e.diagnostics(name, 1); have == "" {
			t.Errorf("%.30q: got no diagnostics", text)
		}
		e.notify("textDocument/didClose", map[string]any{"textDocument": map[string]any{"uri": e.uri(name)}})
	}
	e.want("shutdown", e.ask("shutdown", nil), "null")
	e.notify("exit", nil)
	e.ends(0)
}

// TestLSPHelp asks for help in texts that somebody is typing: | is where.
func TestLSPHelp(t *testing.T) {
	t.Parallel()
	e := startEditor(t, t.TempDir())
	e.initialize()
	book := "load('lib/vendor.star', 'configured')\nport = var('port', 80, help = 'of the server')\n" +
		"def twice(text, times = 2, *rest):\n    '''Say it.\n\n    More than once.\n    '''\n    word = text\n    "
	for _, c := range []struct{ method, file, text, want string }{
		{"", "x.star", book + "|", ",port,twice,text,times,rest,word,"},
		{"", "x.star", book + "wo|", ",word,"},
		{"", "x.star", book + "pass\n\n|", "!,word,"},
		{"", "x.star", book + "pass\n\n|", "!,before,"},
		{"", "x.star", book + "# |", ",,"},
		{"", "x.star", book + "conda.|", ",bootstrap,channels,install,"},
		{"", "x.star", book + "host.dis|", ",disk_free,"},
		{"", "x.star", book + "iptables.|", ",save,"},
		{"", "x.star", book + "r = query(['x'])\n    r.|", ",code,stdout,stderr,"},
		{"", "x.star", book + "service('cron', |", `,"started","stopped","restarted",state = ,enabled = ,`},
		{"", "x.star", book + "service('cron', enabled = True, |", "!,enabled = ,"},
		{"", "x.star", book + "service('cron', state = '|'", ",started,stopped,restarted,"},
		{"", "x.star", book + "service('cron', \"|", ",started,stopped,restarted,"},
		{"", "x.star", book + "service('cron', state = x['|", ",,"},
		{"", "x.star", book + "iptables('INPUT', table = '|", ",filter,nat,mangle,raw,security,"},
		{"", "x.star", book + "yum(['x', '|'], state = 'absent')", ",,"},
		{"", "x.star", book + "yum(['x'],\n        state = '|", ",present,absent,"},
		{"", "x.star", book + "twice(|", ",text = ,times = ,"},
		{"", "x.star", book + "configured(|", ",config = ,key = ,"},
		{"", "x.star", "load('|", ",lib/components.star,lib/mirrors.star,"},
		{"", "x.star", "load('lib/vendor.star', '|", ",configure_server,"},
		{"", "x.star", "def a():\n    write('/etc/x',\n\ndef b():\n    sym|", ",symlink,"},
		{"", "runbook.star", "after('|", ",preflight,mongodb,account,"},
		{"", "runbook.star", "skip(step = \"mi|", ",mirror_anaconda,"},
		{"", "runbook.star", "def f():\n    log(vars.|", ",superuser_password,"},
		{"", "runbook.star", "defaults(port = 1, |", ",storage = ,"},
		{"", "runbook.star", "defaults(port = 1, |", "!,superuser_password = ,"},
		{"", "x_test.star", "def test_x():\n    m = mach|", ",machine,"},
		{"", "x_test.star", "def test_x():\n    check.|", ",eq,contains,fails,same,"},
		{"", "x_test.star", "def test_x():\n    machine(|", "os = ,user = ,"},
		{"", "x.star", book + "|", "!,machine,"},
		{"", "runbook.star", "|", ",before,after,replace,skip,"},
		{"hover", "x.star", book + "serv|ice", "service(name, state="},
		{"hover", "x.star", book + "service('x', sta|te =", "One of `started`, `stopped`, `restarted`."},
		{"hover", "x.star", book + "log(host.mem|ory)", "host.memory"},
		{"hover", "x.star", book + "con|da", "conda.bootstrap"},
		{"hover", "x.star", book + "tw|ice()", `twice(text, times = 2, *rest)\n` + "```" + `\n\nSay it.\n\nMore than once.`},
		{"hover", "x.star", book + "log(po|rt)", "of the server"},
		{"hover", "x.star", book + "config|ured()", "configured("},
		{"hover", "x.star", book + "1 +| 2", "null"},
		{"hover", "runbook.star", "def f():\n    log(vars.po|rt)", "TCP port of the server"},
		{"hover", "runbook.star", "defaults(po|rt = 1)", "TCP port of the server"},
		{"hover", "runbook.star", "skip('pre|flight', 'x')", "Find out whether this host can take the installation."},
		{"signatureHelp", "x.star", book + "service(|", `service(name, state=\"started\"`},
		{"signatureHelp", "x.star", book + "service(|", `!"activeParameter"`},
		{"signatureHelp", "x.star", book + "service('x', 'started', |", `"activeParameter":2`},
		{"signatureHelp", "x.star", book + "service('x', ports = [80, |", `"activeParameter":3`},
		{"signatureHelp", "x.star", book + "conda.install(\n        '/opt/conda', |", `conda.install(prefix, packages`},
		{"signatureHelp", "x.star", book + "twice('a', times = |", `"activeParameter":1`},
		{"signatureHelp", "x.star", book + "log(\"(\" + |", `log(text`},
		{"signatureHelp", "x.star", book + "log('x')|", `null`},
		{"definition", "x.star", book + "twi|ce()", `"start":{"line":2,"character":4}`},
		{"definition", "x.star", book + "log(wor|d)", `"start":{"line":7,"character":4}`},
		{"definition", "x.star", book + "log(time|s)", `"start":{"line":2,"character":16}`},
		{"definition", "x.star", book + "config|ured()", "shipped/lib/vendor.star"},
		{"definition", "x.star", book + "serv|ice()", "null"},
		{"definition", "runbook.star", "def f():\n    log(vars.po|rt)", "shipped/install.star"},
		{"documentSymbol", "x.star", book + "pass\nstep(twice, title = 'Say')\nmanual('read', 'x')|", `"name":"read"`},
		{"documentSymbol", "x.star", book + "pass\nstep(twice, title = 'Say')|", `"name":"twice","detail":"Say","kind":24`},
		{"formatting", "x.star", "def f( a ):\n  pass|", `"newText":"def f(a):\n    pass\n"`},
		{"formatting", "x.star", "def f( a )|", `null`},
	} {
		if c.method == "" {
			e.want(c.text, e.labels(c.file, c.text), c.want)
			continue
		}
		params := e.at(c.file, c.text)
		params["options"] = map[string]any{}
		e.want(c.method+" "+c.text, e.ask("textDocument/"+c.method, params), c.want)
	}
}

// BenchmarkLSPDiagnostics is how long an editor waits for diagnostics after a key, the server's pause included.
func BenchmarkLSPDiagnostics(b *testing.B) {
	src, err := os.ReadFile("../../runbooks/install.star")
	if err != nil {
		b.Fatal(err)
	}
	e := startEditor(b, b.TempDir())
	e.initialize()
	e.open("install.star", string(src))
	e.diagnostics("install.star", 1)
	version := 1
	for b.Loop() {
		version++
		e.change("install.star", version, piece(0, 3, 3, "x"))
		e.diagnostics("install.star", version)
	}
}
