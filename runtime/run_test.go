package runtime_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

func TestSecrets(t *testing.T) {
	m := &machine{}
	r, events, err := play(t, m, `
p = secret("pw")
def s():
    put("/a", "x=" + p + "\n%s" % p + " {}".format(p) + ",".join([str(p)]))
    put("/a", "x=" + p + "\n%s" % p + " {}".format(p) + ",".join([str(p)]))
    log(call(["login", p], stdin=p, env={"PW": p}).stdout)
step(s)
`, map[string]string{"pw": "hunter22"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "x=hunter22\nhunter22 hunter22hunter22"; m.files["/a"] != want {
		t.Errorf("got %q, want %q", m.files["/a"], want)
	}
	if c := m.execs[0]; c.Argv[1] != "hunter22" || string(c.Stdin) != "hunter22" || c.Env["PW"] != "hunter22" {
		t.Errorf("got %v", c)
	}
	var outcomes []trace.Outcome
	for _, e := range events.Events {
		if e.Kind == trace.Result {
			outcomes = append(outcomes, e.Outcome)
		}
		if e.Call == "exec" && (e.Argv[1] != "<secret:pw>" || e.Stdin != "<secret:pw>" || e.Detail["argv_exposed"] == nil) {
			t.Errorf("got %v", e)
		}
	}
	if len(outcomes) != 3 || outcomes[1] != trace.Same {
		t.Errorf("got %v, want the second put to be the same", outcomes)
	}
	if all := fmt.Sprint(events.Events, r.Output); strings.Contains(all, "hunter22") || !strings.Contains(all, "got <secret:pw>") {
		t.Errorf("got %s", all)
	}
}

func TestDamagedSecretStops(t *testing.T) {
	m := &machine{}
	_, _, err := play(t, m, "p = secret('pw')\ndef s():\n  put('/a', str(p)[:30])\nstep(s)", map[string]string{"pw": "hunter22"})
	if err == nil || !strings.Contains(err.Error(), "cut or changed") || len(m.files) > 0 {
		t.Errorf("got %v and %v", err, m.files)
	}
}

func TestSecretNobodyAskedFor(t *testing.T) {
	src := "p = secret('pw', when=False)\ndef s():\n  put('/a', p)\nstep(s)"
	if _, _, err := play(t, &machine{}, src, map[string]string{}); err == nil || !strings.Contains(err.Error(), "was not asked for") {
		t.Errorf("got %v", err)
	}
	book, err := load(src, runtime.Inputs{})
	if err != nil {
		t.Fatal(err)
	}
	local := host.NewLocal(t.TempDir())
	if err := local.WriteFile("/a", host.Bytes(nil), host.Meta{Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if err := runtime.Predicted(local, runtime.Options{}).Do(t.Context(), book); err != nil {
		t.Errorf("dry run: %v", err)
	}
}

func TestMisuse(t *testing.T) {
	for src, want := range map[string]string{
		"if [put('/a', 'b')][0]: put('/b', 'c')": "a result is no condition",
		"x = put('/a', 'b') == True":             "a result is no condition",
		"boom()":                                 "boom: internal error: boom",
		"put('a', 'b')":                          "want an absolute one",
		"put('/a', texd='b')":                    `no argument "texd"`,
		"require(False, 'no disk', fix='buy one'); require(False, 'no memory'); put('/b', 'b')": "2 requirements are not met",
	} {
		m := &machine{}
		_, _, err := play(t, m, "def s():\n  "+src+"\nstep(s)", nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "t.star:2:") {
			t.Errorf("%s: got %v, want %s", src, err, want)
		}
		if m.files["/b"] != "" {
			t.Errorf("%s: went on", src)
		}
	}
}

// An effect is told once, however often the op is tried.
func TestRetries(t *testing.T) {
	m := &machine{fail: 2}
	_, events, err := play(t, m, "def s():\n  call(['x'], retries=3, delay=0)\nstep(s)", nil)
	if err != nil || len(m.execs) != 3 {
		t.Fatal(err, len(m.execs))
	}
	effects := 0
	for _, e := range events.Events {
		if e.Kind == trace.Effect {
			effects++
		}
		if e.Kind == trace.Result && e.Observed["attempts"] != 3 {
			t.Errorf("got %v", e.Observed)
		}
	}
	if effects != 1 {
		t.Errorf("got %d effects, want 1", effects)
	}
}

// What one try did and the next one found done was changed, and the trace is whole.
func TestARetryThatFindsItDone(t *testing.T) {
	_, events, err := play(t, &machine{fail: 1}, "def s():\n  put('/a', 'b', retries=1, delay=0)\nstep(s)", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Events {
		if e.Kind == trace.Result && e.Outcome != trace.Changed {
			t.Errorf("got %s, want changed", e.Outcome)
		}
	}
	var file bytes.Buffer
	events.Events[0].Run.Mode = trace.RealRun
	if err := trace.Show(&file, events.Events, "json", 0); err != nil {
		t.Fatal(err)
	}
	if r, err := trace.Verify(&file); err != nil || !r.OK() {
		t.Errorf("got %s, %v", r, err)
	}
}

// A condition is asked before and inside of ops, where another op has no place.
func TestARequirementIsNoCondition(t *testing.T) {
	for _, src := range []string{
		"def s():\n  pass\ndef c():\n  require(True, 'x')\n  return True\nstep(s, when=c)",
		"def c():\n  require(True, 'x')\n  return True\nmanual('m', 'do it', done=c)",
	} {
		if _, _, err := play(t, &machine{}, src, nil); err == nil || !strings.Contains(err.Error(), "a condition may only read") {
			t.Errorf("%s: got %v", src, err)
		}
	}
}

func TestRefusingSinkStopsTheEffect(t *testing.T) {
	book, err := load("def s():\n  put('/a', 'b')\nstep(s)", runtime.Inputs{})
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{files: map[string]string{}}
	r := runtime.OnHost(m, runtime.Options{Sink: refuser{}, Person: runtime.Assuming{}})
	if err := r.Do(t.Context(), book); err == nil || len(m.files) > 0 {
		t.Errorf("got %v and %v", err, m.files)
	}
}

type refuser struct{}

func (refuser) Emit(e trace.Event) error {
	if e.Kind == trace.Effect {
		return fmt.Errorf("disk full")
	}
	return nil
}

func TestManual(t *testing.T) {
	src := "manual('licence', 'upload it')\nmanual('other', 'x', when=False)\n"
	m := &machine{}
	_, events, err := play(t, m, src, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Events {
		if e.Kind == trace.Result && (e.Outcome != trace.Same || e.Op != "manual") {
			t.Errorf("got %v", e)
		}
		if e.State == trace.LeftOut && e.Step != "other" {
			t.Errorf("got %v", e)
		}
	}
}

// A run on a machine never writes a placeholder in the place of a secret.
func TestSecretWithoutValueIsRefused(t *testing.T) {
	src := "pw = secret('pw')\noff = secret('off', when = False)\ndef s():\n  write('/app.conf', 'password: ' + pw)\nstep(s)"
	dir := t.TempDir()
	for _, secrets := range []map[string]string{nil, {}, {"off": "sesame"}} {
		book, err := runtime.New(writer()).Load(library(map[string]string{"t.star": src}), "t.star", runtime.Inputs{})
		if err != nil {
			t.Fatal(err)
		}
		run := runtime.OnMachine(host.NewLocal(dir), runtime.Options{Secrets: secrets})
		err = run.Do(t.Context(), book)
		if err == nil || !strings.Contains(err.Error(), "secret pw has no value") || runtime.ClassOf(err) != runtime.Input {
			t.Errorf("%v: got %v", secrets, err)
		}
		if _, err := host.ReadFile(run.Host(), "/app.conf"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: got %v, want no file", secrets, err)
		}
		if err := runtime.Predicted(host.NewLocal(dir), runtime.Options{}).Do(t.Context(), book); err != nil {
			t.Errorf("dry run: %v", err)
		}
	}
}

// On a machine with nobody to ask, nothing is assumed.
func TestNobodyToAsk(t *testing.T) {
	for _, src := range []string{"def s():\n  confirm('Sure?')\nstep(s)", "manual('licence', 'upload it')"} {
		book, err := load(src, runtime.Inputs{})
		if err != nil {
			t.Fatal(err)
		}
		local, o := host.NewLocal(t.TempDir()), runtime.Options{State: "/state"}
		if err := runtime.OnMachine(local, o).Do(t.Context(), book); runtime.ClassOf(err) != runtime.NeedsPerson {
			t.Errorf("%s: got %v", src, err)
		}
		if err := runtime.Predicted(local, o).Do(t.Context(), book); err != nil {
			t.Errorf("%s: dry run: %v", src, err)
		}
	}
}
