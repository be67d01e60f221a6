package builtins

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"runbook/runtime"
)

// What authors get wrong, what Check says of it (place, cause and cure) and what a dry run does: "same" as the last line
// of Check but for the place, or "" if the mistake is not met.
var mistakes = []struct{ src, check, run string }{
	{"def s():\n    mkdir('/a', owners='x')\nstep(s)\n", `2:17: mkdir: no argument "owners" (did you mean "owner"?)`, "same"},
	{"def s():\n    mkdri('/a')\nstep(s)\n", `2:5: undefined: mkdri (did you mean "mkdir"?)`, "same"},
	{"def s(): pass\nstep(s, titel='x')\n", `2:9: step: no argument "titel" (did you mean "title"?)`, "same"},
	{"def s():\n    mkdir('/a', 0770)\nstep(s)\n", "2:17: obsolete form of octal literal; use 0o770 (modes are written with 0o: 0o770)", "same"},
	{"def s():\n    mkdir('/a', 770)\nstep(s)\n", `2:17: mkdir: argument "mode": got 770, which is decimal, want an octal number (write 0o770)`, "same"},
	{"def s():\n    write('/a', '', mode = 440)\nstep(s)\n", `2:28: write: argument "mode": got 440, which is decimal, want an octal number (write 0o440)`, ""},
	{"def s():\n    mkdir('/a', mode = '0770')\nstep(s)\n", `2:24: mkdir: argument "mode": got string, want an int (write it without quotes: 0o770)`, "same"},
	{"def s():\n    service('x', state = 'start')\nstep(s)\n", `2:26: service: argument "state": got "start", want started, stopped or restarted (did you mean "started"?)`, "same"},
	{"def s():\n    write('etc/motd', '')\nstep(s)\n", `2:11: write: argument "path": got relative path "etc/motd", want an absolute one (begin it with /)`, "same"},
	{"def s():\n    write('~/motd', '')\nstep(s)\n", `2:11: write: argument "path": got relative path "~/motd", want an absolute one (no shell expands ~: write the home itself, /root or /home/NAME)`, "same"},
	{"def s():\n    write('$HOME/motd', '')\nstep(s)\n", `2:11: write: argument "path": got "$HOME/motd", want a path without variables (no shell expands variables: write the path itself, or take it from var("dir", type="path"))`, `write: argument "path": got relative path "$HOME/motd", want an absolute one (no shell expands variables: write the path itself, or take it from var("dir", type="path"))`},
	{"def s():\n    write('/home/$USER/motd', '')\nstep(s)\n", `2:11: write: argument "path": got "/home/$USER/motd", want a path without variables (no shell expands variables: write the path itself, or take it from var("dir", type="path"))`, `write /home/$USER/motd: directory /home/$USER is missing (make it first: mkdir("/home/$USER"))`},
	{"def s():\n    chown('/tmp/x', 'nobody:nogroup')\nstep(s)\n", `2:21: chown: argument "owner": got "nobody:nogroup", want one account (write "nobody"; where a group can be given it is group="nogroup")`, "same"},
	{"def s():\n    run(['true'], user = 'nobody:nogroup')\nstep(s)\n", `2:26: run: argument "user": got "nobody:nogroup", want one account (write "nobody"; where a group can be given it is group="nogroup")`, "same"},
	{"x = ['a' 'b']\n", "1:9: a comma is missing (write it after 'a'; where the two texts are one, write +)", "same"},
	{"x = [\n    'a'\n    'b',\n]\n", "2:8: a comma is missing (write it after 'a'; where the two texts are one, write +)", "same"},
	{"def s():\n    mkdir('/a'\n        mode = 0o700)\nstep(s)\n", "2:15: a comma is missing (write it after '/a')", "same"},
	{"def s()\n    pass\n", "1:8: a colon is missing (a line that begins with def, if, elif, else or for ends with one)", "same"},
	{"x = 'a\ny = 1\n", `1:5: unexpected newline in string (close the text with its quote; one of several lines stands between """ and """)`, "same"},
	{"def s():\n    mkdir('/a'\n\nstep(s)\n", "2:10: ( is never closed () is missing before line 4)", "same"},
	{"x = 1\ny = f'{x}'\n", `2:5: there are no f-strings (write "%s" % x, or "{}".format(x))`, "same"},
	{"def s():\n    while True:\n        pass\nstep(s)\n", "2:5: there is no while (use for over a list, wait_for(), or retries= and delay=)", "same"},
	{"if True:\n    x = 1\n", "1:1: if statement not within a function (move it into a step's function, or use when= of step())", "same"},
	{"import os\n", `1:1: there is no "import" here (load("lib/x.star", "name") takes a name from another file; there are no other libraries)`, "same"},
	{"from os import path\n", `1:1: there is no "from" here (load("lib/x.star", "name") takes a name from another file; there are no other libraries)`, "same"},
	{"class A:\n    pass\n", `1:1: there is no "class" here (there are no classes: a dict keeps values together, a function what is done with them)`, "same"},
	{"def s():\n    with open('x') as f:\n        pass\n", `2:5: there is no "with" here (nothing is opened or closed here: read(path) and write(path, text) take whole files)`, "same"},
	{"def s():\n    global x\n", `2:5: there is no "global" here (a function cannot change a name outside of it: return the value instead)`, "same"},
	{"def s():\n    if x is None:\n        pass\n", `2:10: there is no "is" here (compare with == and !=: x == None)`, "same"},
	{"def s():\n    try:\n        pass\n", `2:5: there is no "try" here (a builtin that fails ends the step, fail("why") does too; query(..., ok=[0, 1]) takes a failure for an answer)`, "same"},
	{"def s():\n    raise 'x'\n", `2:5: there is no "raise" here (fail("why") ends the step)`, "same"},
	{"def s():\n    if a && b:\n        pass\n", `2:10: there is no "&&" here (write and)`, "same"},
	{"def s():\n    if a || b:\n        pass\n", `2:10: there is no "||" here (write or)`, "same"},
	{"def s():\n    if !a:\n        pass\n", "2:8: unexpected input character '!' (write not)", "same"},
	{"def s():\n    if 1:\n        pass\n    else if 2:\n        pass\n", `4:5: there is no "else if" here (write elif)`, "same"},
	{"def s():\n    assert 1\n", `2:5: there is no "assert" here (require(condition, "what is wrong") stops before anything changes; fail("why") stops at once)`, "same"},
	{"def s(x: int):\n    pass\n", "1:9: there are no types in the text (leave the colon and what follows out)", "same"},
	{"def s() -> int:\n    pass\n", "1:10: there are no types in the text (leave -> and what follows out)", "same"},
	{"def s():\n\tif 1:\n        pass\n", "3:9: this line must be indented more than the one above (check that the lines of a block begin with the same spaces, more than the line above it)", "same"},
	{"def s():\n    x = 1\n      y = 2\n", "3:7: this line is indented more than the one above (check that the lines of a block begin with the same spaces, more than the line above it)", "same"},
	{"x = true\n", `1:5: undefined: true (did you mean "True"?)`, "same"},
	{"x = null\n", `1:5: undefined: null (did you mean "None"?)`, "same"},
	{"def s():\n    write('/a', None)\nstep(s)\n", `2:17: write: argument "content" is None, want a value (a function without return gives None; see: runbook builtins write)`, "same"},
	{"def s():\n    service('x', ports = ['8080'])\nstep(s)\n", `2:27: service: argument "ports": element 0: got string, want an int (write it without quotes: 8080)`, "same"},
	{"def s():\n    run(['x', 8080])\nstep(s)\n", `2:15: run: argument "argv": element 1: got int, want a string (write it in quotes, "8080", or as str(x))`, "same"},
	{"def s():\n    run(['x'], env = {'PORT': 8080})\nstep(s)\n", `2:31: run: argument "env": PORT: got int, want a string (write it in quotes, "8080", or as str(x))`, "same"},
	{"port = var('port', 8080)\ndef s():\n    log('port ' + port)\nstep(s)\n", `3:17: unknown binary op: string + int (make it text first: str(x), or "%s" % x)`, "same"},
	{"def s(): pass\nstep(s)\nstep(s)\n", "3:5: step s: declared twice, first at t.star:2:5 (give one of them another name, or delete it)", "same"},
	{"def s(): pass\ndef s(): pass\n", "1:5: no step is declared: nothing calls s (write step(s) below it; what other files load belongs into lib/)\n2:5: cannot reassign global s declared at t.star:1:5 (a name at the top of a file is bound once: give one of them another name)", "same"},
	{"x = var('x', 1)\ny = var('x', 2)\ndef s(): log(str(x + y))\nstep(s)\n", "2:8: var x: declared twice, first at t.star:1:8 (give one of them another name, or delete it)", "same"},
	{"x = secret('x')\ny = secret('x')\ndef s(): log(x + y)\nstep(s)\n", "2:11: secret x: declared twice, first at t.star:1:11 (give one of them another name, or delete it)", "same"},
	{"def s(x): pass\nstep(s)\n", `2:5: step s: its function takes arguments, want none (give them in a function around it: step(lambda: s(...), name="..."))`, "same"},
	{"def s(): pass\nstep(s())\n", `2:6: step: argument "fn": got what s() returns, want the function itself (leave the parentheses out: s)`, `step: argument "fn" is None, want a value (give the function itself: step(install), not step(install()))`},
	{"def mk(n):\n    def f(): log(n)\n    return f\n[step(mk(n), name = n) for n in ['a', 'b']]\n", "", ""},
	{"def s(): pass\nstep('s')\n", "1:5: function s is never used (make it a step: step(s), or delete it)\n2:6: step: argument \"fn\": got string, want a function (write its name without quotes: s)", "same"},
	{"def s(): pass\nstep(s, when = host.family == 'rhel')\n", `2:20: host.family read while loading (read it in a step; as a condition of one: when=lambda: host.family == "...")`, "same"},
	{"def s(): pass\nstep(s, when = 'false')\n", "2:16: step: argument \"when\": got string, want a bool or a function (write it without quotes: False)", "same"},
	{"airgap = var('airgap', 'false')\ndef s():\n    if airgap:\n        pass\nstep(s)\n", `3:8: the text "false" is true as a condition, as any text that is not empty is (make the var a bool: its default is True or False, without quotes)`, "same"},
	{"items = ['a']\ndef s():\n    items.append('b')\nstep(s)\n", "3:5: cannot change the frozen list items (values made while loading cannot be changed in a step: make a copy there, x = list(items) or x = dict(table))", "append: cannot append to frozen list (values made while loading cannot be changed in a step: make a copy there, x = list(items) or x = dict(table))"},
	{"d = {}\ndef s():\n    d['a'] = 1\nstep(s)\n", "3:5: cannot change the frozen dict d (values made while loading cannot be changed in a step: make a copy there, x = list(items) or x = dict(table))", "cannot insert into frozen hash table (values made while loading cannot be changed in a step: make a copy there, x = list(items) or x = dict(table))"},
	{"count = 0\ndef s():\n    count += 1\nstep(s)\n", "3:5: local variable count referenced before assignment (a function cannot change a name outside of it: return the value, or set the name in the function first)", "same"},
	{"def s():\n    d = {'path': '/a'}\n    log(d.path)\nstep(s)\n", `3:10: dict has no .path field or method (an entry of a dict is d["KEY"], or d.get("KEY"))`, "same"},
	{"def s():\n    r = run(['true'])\n    log(str(r.rc))\nstep(s)\n", "3:14: result has no .rc field or method (a result has .changed, .code, .stdout and .stderr)", "same"},
	{"def s():\n    r = query(['true'])\n    log(str(r.rc))\nstep(s)\n", "3:14: answer has no .rc field or method (an answer has .code, .stdout and .stderr)", `"answer" struct has no .rc attribute (an answer has .code, .stdout and .stderr)`},
	{"def s():\n    log(host.family())\nstep(s)\n", "2:20: host.family is a value, not a function (leave the parentheses out: host.family)", "invalid call of non-function (string) (it is a value: leave the parentheses after it out)"},
	{"d = {'a': 1}\ndef s():\n    for k, v in d:\n        log(k + str(v))\nstep(s)\n", "3:17: a loop over a dict gets its keys, one at a time (for keys and values: for k, v in d.items())", "got string in sequence assignment (a loop over a dict gets its keys: for k, v in d.items())"},
	{"def s():\n    if run(['true']):\n        pass\nstep(s)\n", "2:8: a result is no condition and no value (write .changed, .code or .stdout after it)", "same"},
	{"def s():\n    r = run(['true'])\n    x = 1 if not r else 2\n    log(str(x))\nstep(s)\n", "3:18: a result is no condition and no value (write .changed, .code or .stdout after it)", "same"},
	{"p = secret('p')\ndef s():\n    if p == 'x': pass\nstep(s)\n", "3:10: a secret cannot be compared (what a secret is must not decide what a runbook does; use a var for that)", "same"},
	{"def f(a, b = 1): log(a + str(b))\ndef s():\n    if False:\n        f('x', c = 2)\nstep(s)\n", `4:16: f: no argument "c" (did you mean "a"?)`, ""},
	{"def f(a, b): log(a + b)\ndef s():\n    f('x')\nstep(s)\n", `3:5: f: argument "b" is missing (it is f(a, b))`, "function f missing 1 argument (b) (compare the call with the line of its def)"},
	{"def f(a): log(a)\ndef s():\n    f('x', 'y')\nstep(s)\n", "3:5: f: got 2 arguments without a name, want at most 1 (it is f(a))", "function f accepts 1 positional argument (2 given) (compare the call with the line of its def)"},
	{"load('lib/f.star', 'f')\ndef s():\n    f('x', prot = 2)\nstep(s)\n", `3:12: f: no argument "prot" (did you mean "port"?)`, `function f got an unexpected keyword argument "prot" (compare the call with the line of its def)`},
	{"def s():\n    if False:\n        mkdir('a')\nstep(s)\n", `3:15: mkdir: argument "path": got relative path "a", want an absolute one (begin it with /)`, ""},
	{"def s():\n    run('a | b')\nstep(s)\n", `2:9: run: argument "argv": got "a | b", want words: no shell runs it, so an unquoted | would mean nothing (quote what is meant as it is; for a shell write ["sh", "-c", "a | b"])`, "same"},
	{"def s():\n    run('a', unless = 'x || y')\nstep(s)\n", `2:23: run: argument "unless": got "x || y", want words: no shell runs it, so an unquoted | would mean nothing (quote what is meant as it is; for a shell write ["sh", "-c", "x || y"])`, "same"},
	{"def s():\n    remove('/srv/x*')\nstep(s)\n", `2:12: remove: argument "path": got pattern "/srv/x*", want one name (a loop takes each file that matches: for name in glob("/srv/x*"))`, `remove /srv/x*: got pattern "/srv/x*", want one name (a loop takes each file that matches: for name in glob("/srv/x*"))`},
	{"def s():\n    run('touch', '/tmp')\nstep(s)\n", "2:5: run: got 2 arguments without a name, want at most 1 (name the others: creates=, unless=, once=, already=, ok=, env=, cwd=, stdin=, touches=, user=, timeout=, retries=, delay=)", "same"},
	{"p = secret('p')\ndef s():\n    write('/srv/%s.conf' % p, '')\nstep(s)\n", `3:11: write: argument "path": got a secret, which everybody would see (write takes secrets in content)`, "same"},
	{"p = secret('p')\ndef s():\n    useradd('u' + p)\nstep(s)\n", `3:13: useradd: argument "name": got a secret, which everybody would see (useradd takes secrets nowhere: they go into what commands read, and into what files hold)`, "same"},
	{"def install():\n    mkdir('/a')\n", "1:5: no step is declared: nothing calls install (write step(install) below it; what other files load belongs into lib/)", ""},
	{"def s():\n    x = var('x', 1)\n    log(str(x))\nstep(s)\n", "2:9: var called in a step (write it at the top of the file, outside functions: what can be set and done is known before anything runs)", "same"},
	{"def s():\n    log(secret('x'))\nstep(s)\n", "2:9: secret called in a step (write it at the top of the file, outside functions: what can be set and done is known before anything runs)", "same"},
	{"def t(): pass\ndef s():\n    step(t)\nstep(s)\n", "3:5: step called in a step (write it at the top of the file, outside functions: what can be set and done is known before anything runs)", "same"},
	{"\ufeffx = 1\n", "1:1: the file begins with a byte order mark (save it as UTF-8 without one (BOM))", "same"},
	{"x = “a”\n", `1:5: unexpected input character '“' (write straight quotes: ")`, "same"},
	{"x =\u00a01\n", "1:4: a blank that is no space (U+00A0) (replace it by a space)", "same"},
	{"def s():\n    run = query\n    run(['true'])\nstep(s)\n", "2:5: run is a builtin and cannot be redefined (choose another name)", "same"},
	{"load('lib/port.star', 'show')\nport = 80\ndef s():\n    show()\nstep(s)\n", "lib/port.star:2:13: undefined: port (a file that is loaded sees only its own names: give the function what it needs as an argument)", "same"},
	{"load('lib/f.star', 'g')\ndef s():\n    g()\nstep(s)\n", `1:21: lib/f.star does not define g (did you mean "f"?)`, "load: name g not found in module lib/f.star (look at what that file defines; a name that begins with _ stays in it)"},
	{"def s():\n    run(['x'], env = {'A': True})\nstep(s)\n", `2:28: run: argument "env": A: got bool, want a string (write it in quotes, "true", or as str(x))`, "same"},
	{"dir = var('dir', '/srv')\ndef s():\n    mkdir('etc/' + dir)\nstep(s)\n", `3:11: mkdir: argument "path": got relative path "etc/...", want an absolute one (begin it with /)`, `mkdir: argument "path": got relative path "etc//srv", want an absolute one (begin it with /)`},
	{"def s():\n    print 'x'\nstep(s)\n", "2:5: got string literal, want newline (write print(...), or log(text))", "same"},
	{"def s():\n    x = 1\n    x++\n", "3:6: got newline, want primary expression (write x += 1)", "same"},
	{"x = 1 ? 2 : 3\n", "1:7: unexpected input character '?' (write VALUE if CONDITION else OTHER)", "same"},
	{"def s() {\n}\n", "1:10: got '{', want ':' (a block has no braces: end the line with a colon and indent the lines below)", "same"},
	{"// x\n", "1:1: got '//', want primary expression (a comment begins with #)", "same"},
	{"def s():\n    log('a'.trim())\nstep(s)\n", "2:12: string has no .trim field or method (dir(x) lists what a value has)", "same"},
	{"def s():\n    d = {'a': 1}\n    log(str(d['b']))\nstep(s)\n", "", `key "b" not in dict (d.get("KEY", OTHER) takes another value where there is none)`},
	{"p = secret('p')\ndef s():\n    run(['true'], user = 'u' + p)\nstep(s)\n", `3:26: run: argument "user": got a secret, which everybody would see (run takes secrets in argv, unless, env, stdin)`, "same"},
	{"p = secret('p')\ndef s():\n    mkdir('/srv/{}'.format(p))\nstep(s)\n", `3:11: mkdir: argument "path": got a secret, which everybody would see (mkdir takes secrets nowhere: they go into what commands read, and into what files hold)`, "same"},
	{"def s():\n    query('cat', '/etc/motd')\nstep(s)\n", "2:5: query: got 2 arguments without a name, want at most 1 (name the others: assume=, ok=, env=, cwd=, stdin=, user=)", "same"},
	{"def s():\n    run(['true'], timeout = '5 minutes')\nstep(s)\n", `2:29: run: argument "timeout": got "5 minutes", want seconds or text such as "10m"`, "same"},
	{"def s():\n    line('/etc/hosts', 'x', match = '(')\nstep(s)\n", "2:37: line: argument \"match\": error parsing regexp: missing closing ): `(` (a literal text is escaped with \\\\, or a character with [])", "same"},
}

func TestMistakes(t *testing.T) {
	place := regexp.MustCompile(`^(lib/port.star:)?\d+:\d+: `)
	for _, c := range mistakes {
		lib := runtime.Library{Shipped: fstest.MapFS{}, Dir: fstest.MapFS{
			"t.star":        {Data: []byte(c.src)},
			"lib/f.star":    {Data: []byte("def f(a, port = 1):\n    log(a + str(port))\n")},
			"lib/port.star": {Data: []byte("def show():\n    log(str(port))\n")},
		}}
		rt := runtime.New(All()...)
		var found []string
		for _, d := range rt.Diagnose(lib, "t.star") {
			if d.Severity == runtime.Wrong {
				place := fmt.Sprintf("%s:%d:%d: ", d.File, d.Start.Line, d.Start.Column)
				found = append(found, strings.TrimPrefix(place, "t.star:")+said(errors.New(d.Message), d.Cure))
			}
		}
		if got := strings.Join(found, "\n"); got != c.check {
			t.Errorf("%q: check:\n got %s\nwant %s", c.src, got, c.check)
		}
		want := c.run
		if want == "same" && len(found) > 0 {
			want = place.ReplaceAllString(found[len(found)-1], "")
		}
		book, err := rt.Load(lib, "t.star", runtime.Inputs{})
		if err == nil {
			err = runtime.Predicted(newMachine(t, nil).local(), runtime.Options{}).Do(t.Context(), book)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasSuffix(said(err, runtime.HintOf(err)), want)) {
			t.Errorf("%q: run:\n got %v (%s)\nwant %s", c.src, err, runtime.HintOf(err), want)
		}
	}
}

// said is an error as people get to see it.
func said(err error, hint string) string {
	if hint != "" {
		return err.Error() + " (" + hint + ")"
	}
	return err.Error()
}
