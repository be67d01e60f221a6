package builtins

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"runbook/runtime"
	"runbook/runtime/host/before"
	"runbook/runtime/trace"
)

// canaries are secrets that quoting, escaping, searching, cutting or printing could get wrong.
var canaries = map[string]string{
	"plain":     "Zq7correct-horse",
	"quotes":    `Zq7"it's\ "` + "`$(id)`",
	"spaces":    "Zq7 two  words ",
	"percent":   "Zq7%s%d%n%20%",
	"newline":   "Zq7first\nZq7second line",
	"base64":    "WnE3Y29ycmVjdC1ob3JzZQ==",
	"address":   "Zq7/a?b=c&d#e:@+",
	"unicode":   "Zq7žluťoučký☃",
	"long":      strings.Repeat("Zq7-0123456789-", 300),
	"shell":     "Zq7;|&<>(){}*?~!",
	"json":      `{"Zq7": ["Zq7", null]}`,
	"key":       "-----BEGIN Zq7-----\nMIIBZq7abcdefgh\nZq7ijklmnop==\n-----END Zq7-----",
	"hex":       "5a713764656164626565663031323334",
	"not short": "Zq7!x",
}

// A canaryRow is how a builtin takes a secret, pw, so that the call succeeds and so that it does not. URL stands for the
// address of a server; whatever is asked below URL/bad fails with a body that has the secret.
type canaryRow struct{ good, bad string }

var canaryRows = map[string]canaryRow{
	"write":          {`write("/srv/f", "a " + pw); write("/srv/f", "b " + pw); read("/srv/f")`, `write("/nowhere/f", pw)`},
	"line":           {`line("/srv/l", "pw=" + pw.replace("\n", " ") if False else "pw=" + str(pw))`, `line("/nowhere/l", "x" + pw)`},
	"block":          {`block("/srv/b", "a " + pw)`, `block("/nowhere/b", pw)`},
	"run":            {`run(["tell", "x" + pw], env = {"PW": pw}, stdin = pw)`, `run(["blab", "x" + pw], env = {"PW": pw}, stdin = pw)`},
	"query":          {`log(query(["tell", "x" + pw], env = {"PW": pw}, stdin = pw, assume = pw).stdout)`, `query(["blab", "x" + pw], env = {"PW": pw}, stdin = pw)`},
	"cron":           {`cron("root", "@daily", "x --pw " + pw)`, `cron("root", "@daily", "fails --pw " + pw)`},
	"download":       {`download("URL/t/" + pw + "/file", "/srv/d")`, `download("URL/bad/" + pw, "/srv/d")`},
	"read":           {`log(read("/srv/there", assume = pw))`, `log(read("/nowhere", assume = pw))`},
	"wait_for":       {`wait_for(url = "URL/t/" + pw + "/file", timeout = 5)`, `wait_for(url = "URL/bad/" + pw, timeout = 0.1)`},
	"template":       {`write("/srv/t", template("{{.a}} and {{.a}}", {"a": pw}))`, `write("/srv/t", template("{{.a" + pw, {"a": pw}))`},
	"yaml.encode":    {`write("/srv/y", yaml.encode({"a": {"b": [pw]}}))`, `fail(yaml.encode({"a": pw}))`},
	"yaml.decode":    {`log(str(yaml.decode("a: b")))`, `yaml.decode("a: [" + pw)`},
	"json.encode":    {`write("/srv/j", json.encode({"a": [pw, "x" + pw]}))`, `fail(json.encode([pw]))`},
	"json.decode":    {`log(str(json.decode("{}", default = pw)))`, `json.decode("{" + pw)`},
	"json.indent":    {`log(json.indent("{}"))`, `json.indent("{" + pw)`},
	"yum":            {`log("no package of a URL can be had here")`, `yum("URL/bad/" + pw + ".rpm")`},
	"apt":            {`log("no package of a URL can be had here")`, `apt("URL/bad/" + pw + ".deb")`},
	"conda.channels": {`conda.channels("/srv/conda", add = ["URL/t/" + pw + "/chan"])`, `conda.channels("/nowhere/conda", add = ["URL/t/" + pw + "/chan"])`},
	"mirror":         {`mirror(["URL/t/" + pw + "/chan"], "/srv/m", platforms = ["noarch"])`, `mirror(["URL/bad/" + pw + "/chan"], "/srv/m", platforms = ["noarch"])`},
	"mirror.verify":  {`log("see the next")`, `log(mirror.verify("URL/bad/" + pw + "/chan"))`},
	"supervise":      {`log("see the next")`, `supervise(config = "/srv/sup.conf", programs = {"a": {"command": "x " + pw}}, user = "root")`},
}

// canaryForms are texts in which somebody would find a secret.
func canaryForms(value string) (forms []string) {
	add := func(s string) {
		if len(s) >= 5 {
			forms = append(forms, s)
		}
	}
	add(value)
	for line := range strings.SplitSeq(value, "\n") {
		add(strings.TrimSpace(line))
	}
	for skip := range 3 { // wherever in three bytes it begins
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			whole := e.EncodeToString([]byte(strings.Repeat("x", skip) + value))
			if from, to := 4, len(whole)-4; skip > 0 && to-from >= 8 {
				add(whole[from:to])
			} else if skip == 0 && to >= 8 {
				add(whole[:to])
			}
		}
	}
	quoted, _ := json.Marshal(value)
	add(strings.Trim(string(quoted), `"`))
	add(strings.Trim(strconv.Quote(value), `"`))
	add(url.QueryEscape(value))
	add(url.PathEscape(value))
	add(hex.EncodeToString([]byte(value)))
	add(strings.ReplaceAll(value, "'", `'\''`))
	return forms
}

// tells gives m programs that tell whatever they get.
func (m *machine) tells(value string) {
	m.t.Helper()
	m.write("/usr/bin/tell", `cat; printf '%s\n' "$1" "$PW"; printf '%s' "$PW" | /usr/bin/base64 -w0; printf '%s' "$PW" | /usr/bin/od -An -tx1 -v | tr -d ' \n'; printf '%s\n' "$PW" >&2`)
	m.write("/usr/bin/blab", `cat; printf '%s\n' "$1" "$PW"; printf '%s' "$1" | /usr/bin/base64 -w0; printf 'x %s x\n' "$PW" >&2; exit 3`)
	m.write("/usr/bin/crontab", `if [ "$3" = - ]; then text=$(cat); case "$text" in *fails*) echo "bad: $text" >&2; exit 1 ;; esac; printf '%s\n' "$text" >$R/tab; else cat $R/tab 2>/dev/null || { echo "no crontab for root" >&2; exit 1; }; fi`)
	m.write("/usr/bin/supervisord", `cat $R/srv/sup.conf >&2; exit 2`)
	m.write("/usr/bin/supervisorctl", `cat $R/srv/sup.conf; exit 2`)
	m.write("/srv/there", "there\n")
	m.write("/srv/conda/conda-meta/history", "")
	m.write("/srv/f", "an older "+value+"\n")
}

// canaryServer answers what is asked below /bad with the secret, and all else with little.
func canaryServer(value string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/bad/"):
			w.Header().Set("X-Secret", url.QueryEscape(value))
			http.Error(w, "no: "+value+" "+base64.StdEncoding.EncodeToString([]byte(value)), http.StatusForbidden)
		case strings.HasSuffix(r.URL.Path, "/repodata.json"):
			io.WriteString(w, `{"info":{"subdir":"noarch"},"packages":{},"packages.conda":{}}`)
		case strings.HasSuffix(r.URL.Path, "/file"):
			io.WriteString(w, "file\n")
		default:
			http.NotFound(w, r)
		}
	})
}

// overheard is all that anybody gets to see or to keep of a run.
type overheard struct {
	text bytes.Buffer
}

func (s *overheard) add(what string, v any) { fmt.Fprintf(&s.text, "== %s\n%v\n", what, v) }

// playSaid runs the body of a step and returns what was said.
func (m *machine) playSaid(construct constructor, body string) *overheard {
	m.t.Helper()
	s := &overheard{}
	src := "pw = secret('pw')\ndef s():\n    " + strings.ReplaceAll(body, "; ", "\n    ") + "\nstep(s)\n"
	book, err := runtime.New(All()...).Load(runtime.Library{Dir: fstest.MapFS{"t.star": {Data: []byte(src)}}, Shipped: fstest.MapFS{}}, "t.star", runtime.Inputs{})
	if err != nil {
		s.add("load", err)
		return s
	}
	var events trace.List
	var output bytes.Buffer
	o := runtime.Options{State: "/var/state", Secrets: m.secrets, Output: &output}
	sinks := trace.Tee{&events, trace.NewTerminal(&s.text, trace.Options{Verbose: true}), trace.NewShell(&s.text), trace.NewMarkdown(&s.text)}
	o.Sink = sinks
	o.Keep = func(sum, text string) error { s.add("kept", text); return nil }
	o.Before = before.New(1<<20, func(r io.Reader) (string, error) {
		text, err := io.ReadAll(r)
		s.add("before", string(text))
		return fmt.Sprintf("%x", sha256.Sum256(text)), err
	}, CanPutBack)
	o.Record = func(r before.Record) (string, error) {
		line, err := json.Marshal(r)
		s.add("record", string(line))
		return "", err
	}
	o.Progress = func(text string) { s.add("progress", text) }
	err = construct(m.local(), o).Do(context.Background(), book)
	if err != nil {
		s.add("error", err)
		s.add("hint", runtime.HintOf(err))
	}
	for _, e := range events.Events {
		line, err := e.JSON()
		s.add("event", string(line))
		if err != nil {
			m.t.Error(err)
		}
	}
	s.add("output", output.String())
	return s
}

// No builtin tells a secret to anybody, whether the call succeeds or not: in no error, event, transcript, output or
// what is kept, nor in another form. Where it takes none, it says so without it.
func TestCanariesOfEveryBuiltin(t *testing.T) {
	names := make([]string, 0, len(canaries))
	for name := range canaries {
		names = append(names, name)
	}
	slices.Sort(names)
	if testing.Short() {
		names = names[:3]
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			value := canaries[name]
			forms := canaryForms(value)
			m := newMachine(t, nil)
			m.secrets["pw"] = value
			address := m.serve(canaryServer(value))
			played := 0
			for _, b := range All() {
				for _, body := range canaryCalls(t, b) {
					m.tells(value)
					for _, construct := range []constructor{runtime.Predicted, runtime.OnMachine} {
						played++
						text := m.playSaid(construct, strings.ReplaceAll(body, "URL", address)).text.String()
						for _, f := range forms {
							if i := strings.Index(text, f); i >= 0 {
								t.Errorf("%s\ntells %q in\n%s", body, f, text[max(0, i-300):min(len(text), i+len(f)+100)])
								break
							}
						}
					}
				}
			}
			t.Logf("%d runs", played)
		})
	}
}

// canaryCalls are calls of a builtin with a secret wherever there can be a text.
func canaryCalls(t *testing.T, b *runtime.Builtin) (bodies []string) {
	row, ok := canaryRows[b.Name]
	if ok {
		bodies = append(bodies, row.good, row.bad)
	}
	if !ok && len(b.Secrets) > 0 {
		t.Errorf("%s takes secrets and has no row", b.Name)
	}
	if b.Property {
		return []string{"log(" + b.Name + " + pw)"}
	}
	for _, a := range b.Args {
		if slices.Contains(b.Secrets, a.Name) || !strings.Contains(a.Type, "string") && !strings.Contains(a.Type, "path") {
			continue
		}
		var args []string
		for _, other := range b.Args {
			switch {
			case other.Name == a.Name && strings.HasPrefix(a.Type, "list"):
				args = append(args, a.Name+` = ["/srv/" + pw]`)
			case other.Name == a.Name:
				args = append(args, a.Name+` = "/srv/" + pw`)
			case other.Default == "":
				args = append(args, other.Name+" = "+plausible(other.Type))
			}
		}
		bodies = append(bodies, b.Name+"("+strings.Join(args, ", ")+")")
	}
	return bodies
}

// plausible is a value of a type.
func plausible(typ string) string {
	switch {
	case strings.HasPrefix(typ, "list"):
		return `["ok"]`
	case strings.Contains(typ, "int"):
		return "1"
	case strings.Contains(typ, "bool"):
		return "True"
	case strings.Contains(typ, "dict"):
		return "{}"
	case strings.Contains(typ, "path"):
		return `"/srv/ok"`
	}
	return `"ok"`
}
