package builtins

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// A machine is a root directory with programs that stand in for the system's.
// They find it as $R.
type machine struct {
	t    *testing.T
	root string
	bin  string // a real directory with programs
}

// newMachine has the given files; names below /bin are programs in sh.
func newMachine(t *testing.T, files map[string]string) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir()}
	m.bin = filepath.Join(m.root, "usr/bin")
	for _, dir := range []string{"etc", "home", "srv", "var", "tmp", "usr/bin", "usr/sbin"} {
		m.must(os.MkdirAll(filepath.Join(m.root, dir), 0o755))
	}
	m.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
	m.write("/etc/group", "root:x:0:\nnogroup:x:65534:\nwheel:x:10:\nadm:x:4:\n")
	m.write("/proc/self/status", "Uid:\t0\t0\t0\t0\n")
	for name, text := range files {
		m.write(name, text)
	}
	return m
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	file := filepath.Join(m.root, name)
	m.must(os.MkdirAll(filepath.Dir(file), 0o755))
	mode := os.FileMode(0o644)
	if strings.HasPrefix(name, "/usr/bin/") || strings.HasPrefix(name, "/etc/init.d/") {
		text, mode = "#!/bin/sh\nR="+m.root+"\n"+text+"\n", 0o755
	}
	m.must(os.WriteFile(file, []byte(text), mode))
	m.must(os.Chmod(file, mode))
}

func (m *machine) read(name string) string {
	data, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func (m *machine) local() *host.Local {
	l := host.NewLocal(m.root)
	l.Path = m.bin + ":/usr/bin:/bin"
	return l
}

// play runs a step's body on h.
func (m *machine) play(h host.Host, dry bool, body string) ([]trace.Event, error) {
	m.t.Helper()
	src := "def s():\n    " + strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n    ") + "\nstep(s)\n"
	lib := runtime.Library{Dir: fstest.MapFS{"t.star": {Data: []byte(src)}}, Shipped: fstest.MapFS{}}
	book, err := runtime.New(systemBuiltins()...).Load(lib, "t.star", runtime.Inputs{})
	m.must(err)
	var events trace.List
	run := &runtime.Run{Host: h, Sink: &events, Now: time.Now, State: "/var/state", Secrets: map[string]string{}}
	if dry {
		run.Secrets, run.Sleep = nil, runtime.NoWaiting
		h.(*host.Overlay).Assume = run.Assume
	}
	err = run.Do(context.Background(), book)
	return events.Events, err
}

// systemBuiltins are those under test here.
func systemBuiltins() []*runtime.Builtin {
	return []*runtime.Builtin{
		condaBootstrapBuiltin, condaChannelsBuiltin, condaInstallBuiltin, cronBuiltin, iptablesBuiltin, iptablesSaveBuiltin, queryBuiltin, runBuiltin, serviceBuiltin, superviseBuiltin, useraddBuiltin, waitForBuiltin, yumBuiltin,
		hostCPUsBuiltin, hostDiskFreeBuiltin, hostFamilyBuiltin, hostHostnameBuiltin, hostLinksBuiltin, hostListeningBuiltin, hostMemoryBuiltin, hostOSBuiltin, hostUserBuiltin, hostVersionBuiltin,
	}
}

func (m *machine) dry(body string) ([]trace.Event, error) {
	l := m.local()
	return m.play(host.NewOverlay(l, l.Self()), true, body)
}

// thrice runs body on an overlay, really, and really again: the first two
// must do the same, the third nothing. It returns the events of the first two.
func (m *machine) thrice(body string) (dry, real []trace.Event) {
	m.t.Helper()
	dry, err := m.dry(body)
	if err != nil {
		m.t.Fatalf("dry run: %v (hint: %s)", err, runtime.HintOf(err))
	}
	real, err = m.play(m.local(), false, body)
	if err != nil {
		m.t.Fatalf("run: %v (hint: %s)", err, runtime.HintOf(err))
	}
	if d, r := told(dry), told(real); !slices.Equal(d, r) {
		m.t.Errorf("dry run:\n%s\nrun:\n%s", strings.Join(d, "\n"), strings.Join(r, "\n"))
	}
	again, err := m.play(m.local(), false, body)
	if err != nil {
		m.t.Fatalf("second run: %v", err)
	}
	for _, e := range again {
		if e.Kind == trace.Effect || e.Kind == trace.Result && e.Outcome != trace.Same {
			m.t.Errorf("second run: got %s", tell(e))
		}
	}
	return dry, real
}

func told(events []trace.Event) (lines []string) {
	for _, e := range events {
		if e.Kind == trace.Op || e.Kind == trace.Effect || e.Kind == trace.Result {
			lines = append(lines, tell(e))
		}
	}
	return lines
}

// tell writes what two equal runs share.
func tell(e trace.Event) string {
	if slices.Contains(e.Volatile, "stdin") {
		e.Stdin = ""
	}
	return fmt.Sprintln(e.Kind, e.Op, e.Target, e.Changes, e.Call, e.Argv, e.Path, e.User, e.Stdin, e.Sets, e.Detail, e.Outcome, e.Error)
}

// fails runs body dry and expects an error with text in it or in its hint.
func (m *machine) fails(body, text string) {
	m.t.Helper()
	_, err := m.dry(body)
	if err == nil || !strings.Contains(err.Error()+" | "+runtime.HintOf(err), text) {
		m.t.Errorf("%s: got %v (hint: %s), want %s", body, err, runtime.HintOf(err), text)
	}
}

func (m *machine) assumed(events []trace.Event) (notes []string) {
	for _, e := range events {
		notes = append(notes, e.Assumed...)
	}
	return notes
}
