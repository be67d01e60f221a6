package runtime_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runbook/runtime"
	"runbook/runtime/host"
)

// What a program that embeds runbooks left out makes a run do less, never more.
func TestZeroValues(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(rt *runtime.Runtime, lib runtime.Library, src string) (*runtime.Runbook, error) {
		if src != "" {
			lib = library(map[string]string{"t.star": strings.ReplaceAll(src, "FILE", file)})
		}
		return rt.Load(lib, "t.star", runtime.Inputs{})
	}
	machine := func(o runtime.Options) *runtime.Run { return runtime.OnMachine(host.NewLocal("/"), o) }
	for name, c := range map[string]struct {
		src, want string
		run       *runtime.Run
	}{
		"no secrets":          {"p = secret('pw')\ndef s(): put('FILE', 'x' + p)\nstep(s)", "secret pw has no value", machine(runtime.Options{})},
		"a secret not needed": {"p = secret('pw', when=False)\ndef s(): put('FILE', 'x' + p)\nstep(s)", "secret pw was not asked for", machine(runtime.Options{})},
		"nobody to ask":       {"def s():\n confirm('Sure?')\n put('FILE', 'x')\nstep(s)", "a person is needed", machine(runtime.Options{})},
		"nobody to do it":     {"manual('m', 'do it')\ndef s(): put('FILE', 'x')\nstep(s)", "a person is needed", machine(runtime.Options{State: dir})},
		"no state directory":  {"manual('m', 'do it')\ndef s(): put('FILE', 'x')\nstep(s)", "no state directory", machine(runtime.Options{Person: yes{}})},
		"no machine":          {"def s(): put('FILE', 'x')\nstep(s)", "a run by OnMachine or Predicted", runtime.OnMachine(&host.Local{}, runtime.Options{})},
		"no run":              {"def s(): put('FILE', 'x')\nstep(s)", "a run by OnMachine or Predicted", &runtime.Run{}},
	} {
		book, err := load(runtime.New(put), runtime.Library{}, c.src)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.run.Do(t.Context(), book); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != "before" {
			t.Fatalf("%s: %q was written", name, text)
		}
	}
	if _, err := load(&runtime.Runtime{}, runtime.Library{}, "def s(): put('FILE', 'x')\nstep(s)"); err == nil || !strings.Contains(err.Error(), "undefined: put") {
		t.Errorf("no builtins: got %v", err)
	}
	if _, err := load(runtime.New(), runtime.Library{}, ""); err == nil || !strings.Contains(err.Error(), "t.star: file does not exist") {
		t.Errorf("no library: got %v", err)
	}
	if all := runtime.New().Diagnose(runtime.Library{}, "t.star"); len(all) != 1 {
		t.Errorf("no library: got %v", all)
	}
	if err := machine(runtime.Options{}).Do(t.Context(), nil); err == nil {
		t.Error("no runbook: it runs")
	}
}

type yes struct{}

func (yes) Confirm(string) (runtime.Answer, error)             { return runtime.Yes, nil }
func (yes) Acknowledge(string, string) (runtime.Answer, error) { return runtime.Yes, nil }
