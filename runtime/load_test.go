package runtime_test

import (
	"strings"
	"testing"

	"runbook/runtime"
)

func TestErrorsOfNewcomers(t *testing.T) {
	for _, c := range []struct{ src, want, hint string }{
		{"ptu('/a', 'b')", `t.star:1:1: undefined: ptu`, `did you mean "put"?`},
		{"if True:\n  x = 1\n", "t.star:1:1: if statement not within a function", "use when= of step()"},
		{"x = f'a'\n", "t.star:1:5: there are no f-strings", `write "%s" % x`},
		{"def put():\n  pass\n", "t.star:1:5: put is a builtin and cannot be redefined", "choose another name"},
		{"put('/a', 'b')", "t.star:1:4: put called while loading", "step()"},
		{"def f():\n  put('/a', nmae='x')\nstep(f)\nstep(f)", "t.star:4:5: step f: declared twice", ""},
		{"load('../x.star', 'y')", "cannot load", "below the runbook's directory"},
		{"load('no.star', 'y')", "no.star", "shipped files"},
		{"def f(x):\n  pass\nstep(f)", "its function takes arguments", ""},
		{"step(fn=1)", "got int, want a function", "write the name of a function"},
		{"while True:\n  pass", "there is no while", "retries="},
		{"x = 'a' + 1", "unknown binary op: string + int", "str(x)"},
		{"secret('p') == 'x'", "a secret cannot be compared", "use a var"},
		{"'x' in [secret('p')]", "a secret cannot be compared", "use a var"},
		{"len('a' + secret('p'))", "a secret cannot be compared", "use a var"},
		{"{secret('p'): 1}", "unhashable: secret", ""},
		{"try:\n  pass", `there is no "try" here`, "a builtin that fails ends the step"},
		{"secret('p')[0]", "unhandled index operation secret", ""},
	} {
		_, err := load(c.src, runtime.Inputs{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(runtime.HintOf(err), c.hint) {
			t.Errorf("%q:\n got %v (%s)\nwant %s (%s)", c.src, err, runtime.HintOf(err), c.want, c.hint)
		}
		if runtime.ClassOf(err) != runtime.Mistake {
			t.Errorf("%q: class %v", c.src, runtime.ClassOf(err))
		}
	}
}

func TestAllMistakesAreTold(t *testing.T) {
	_, err := load("ptu('/a')\nlod('x')\nx = y\n", runtime.Inputs{})
	if err == nil || strings.Count(err.Error(), "undefined") != 3 {
		t.Errorf("got %v, want three", err)
	}
}

func TestVars(t *testing.T) {
	src := `
a = var("airgap", False)
b = var("n", 3)
c = var("dir", type="path")
d = var("platforms", [], choices=["linux-64", "noarch"])
e = var("mode", "x", choices=["x", "y"])
`
	book, err := load(src, runtime.Inputs{Dir: "/w", Flags: map[string]string{"dir": "d", "platforms": "linux-64,noarch"}, Env: map[string]string{"n": "4"}, Files: map[string]any{"airgap": true, "n": 5}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []any{true, int64(4), "/w/d", nil, "x"} {
		if got := book.Vars[i].Value; want != nil && got != want {
			t.Errorf("%s: got %v, want %v", book.Vars[i].Name, got, want)
		}
	}
	if list := book.Vars[3].Value.([]string); len(list) != 2 {
		t.Errorf("got %v", list)
	}
	_, err = load(src, runtime.Inputs{Flags: map[string]string{"airgpa": "true"}})
	if runtime.ClassOf(err) != runtime.Mistake || runtime.HintOf(err) != `did you mean "airgap"?` {
		t.Errorf("got %v (%s)", err, runtime.HintOf(err))
	}
	_, err = load(src+"f = c[7]\n", runtime.Inputs{Flags: map[string]string{"airgap": "maybe", "mode": "z"}})
	if err == nil || runtime.ClassOf(err) != runtime.Input || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("got %v, want three problems", err)
	}
}

func TestLoad(t *testing.T) {
	files := map[string]string{
		"t.star":       "load('lib/a.star', 'a')\nload('lib/shipped.star', 'shipped')\nstep(a)\n",
		"lib/a.star":   "load('lib/b.star', 'b')\ndef a():\n  b()\n",
		"lib/b.star":   "def b():\n  fail('no')\n",
		"lib/c.star":   "load('lib/d.star', 'd')\nc = 1\n",
		"lib/d.star":   "load('lib/c.star', 'c')\nd = 1\n",
		"cycle.star":   "load('lib/c.star', 'c')\n",
		"broken.star":  "load('lib/bad.star', 'x')\n",
		"lib/bad.star": "x = 1\ny = x.z\n",
	}
	rt := runtime.New(put)
	book, err := rt.Load(library(files), "t.star", runtime.Inputs{})
	if err != nil || len(book.Sources) != 4 {
		t.Fatal(book.Sources, err)
	}
	_, err = rt.Load(library(files), "cycle.star", runtime.Inputs{})
	if err == nil || !strings.Contains(err.Error(), "lib/c.star loads lib/d.star loads lib/c.star") {
		t.Errorf("got %v", err)
	}
	_, err = rt.Load(library(files), "broken.star", runtime.Inputs{})
	e, ok := err.(*runtime.Error)
	if !ok || e.Pos != "lib/bad.star:2:6" || len(e.From) == 0 || !strings.HasPrefix(e.From[0], "broken.star:1") {
		t.Errorf("got %#v", err)
	}
}
