package host

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"testing"
)

// simulated has accounts, a program and a file.
func simulated(t *testing.T) (*Simulated, *Overlay) {
	t.Helper()
	s := NewSimulated()
	for _, dir := range []string{"/etc", "/usr", "/usr/bin", "/srv"} {
		if err := s.Mkdir(dir, Meta{Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"/etc/passwd": "root:x:0:0::/root:/bin/sh\n", "/etc/group": "root:x:0:\n",
		"/usr/bin/grep": "", "/usr/bin/tool": "", "/srv/conf": "a: 1\n"} {
		if err := s.WriteFile(name, Bytes([]byte(text)), Meta{Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	return s, s.Runs(Owner{})
}

// A machine that is data has nothing of this one.
func TestSimulatedHasNothingElse(t *testing.T) {
	t.Parallel()
	_, o := simulated(t)
	ctx := context.Background()
	if names, err := o.ReadDir("/"); err != nil || strings.Join(names, " ") != "etc srv usr" {
		t.Errorf("got %v, %v", names, err)
	}
	for _, name := range []string{"/proc/self/status", "/etc/hostname", "/usr/bin/sh"} {
		if _, err := o.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := o.Query(ctx, Process{Argv: []string{"uname"}}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("uname: got %v", err)
	}
	if _, err := o.Query(ctx, Process{Argv: []string{"tool"}}); !errors.Is(err, ErrUnknown) {
		t.Errorf("tool: got %v", err)
	}
	var hinted interface{ Hint() string }
	if _, err := o.Get(ctx, Request{URL: "https://example.org/x"}); !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "web") {
		t.Errorf("get: got %v", err)
	}
}

// What unless= asks holds after its command, until a file that it names may have changed.
func TestUnlessHolds(t *testing.T) {
	t.Parallel()
	first := Process{Argv: []string{"grep", "1", "/srv/conf"}, Asker: "unless"}
	other := Process{Argv: []string{"grep", "2", "/srv/conf"}, Asker: "unless"}
	set := func(o *Overlay, q Process) {
		c := Cmd{Process: Process{Argv: []string{"tool", q.Argv[1]}}, Touches: []string{"/srv/conf"}, Answers: []Process{q}}
		if _, err := o.Exec(context.Background(), c); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		do    func(o *Overlay)
		holds bool
	}{
		{"nothing", func(*Overlay) {}, true},
		{"another command of the same run", func(o *Overlay) { set(o, other) }, true},
		{"the next run", func(o *Overlay) { o.Settle() }, true},
		{"a command of the next run", func(o *Overlay) { o.Settle(); set(o, other) }, false},
		{"a command after the question", func(o *Overlay) { o.Settle(); o.Query(context.Background(), first); set(o, other) }, true},
		{"a write", func(o *Overlay) { o.Settle(); o.WriteFile("/srv/conf", Bytes(nil), Meta{Mode: 0o644}) }, false},
		{"a removal above", func(o *Overlay) { o.Remove("/srv", 1) }, false},
		{"a write elsewhere", func(o *Overlay) { o.WriteFile("/etc/x", Bytes(nil), Meta{Mode: 0o644}) }, true},
	} {
		_, o := simulated(t)
		if _, err := o.Query(context.Background(), first); !errors.Is(err, ErrUnknown) {
			t.Fatalf("at first: got %v", err)
		}
		set(o, first)
		c.do(o)
		res, err := o.Query(context.Background(), first)
		if holds := err == nil && res.Code == 0; holds != c.holds {
			t.Errorf("%s: got %v, %v, want %v", c.name, res.Code, err, c.holds)
		}
	}
}

// After a run, commands have left what they declared and what was known.
func TestSettle(t *testing.T) {
	t.Parallel()
	_, o := simulated(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(o.Mkdir("/srv/app", Meta{Mode: 0o755}))
	must(o.WriteFile("/srv/app/rc", Bytes([]byte("x")), Meta{Mode: 0o644}))
	_, err := o.Exec(context.Background(), Cmd{Process: Process{Argv: []string{"tool"}}, Touches: []string{"/srv", "/new"},
		Makes: []Entry{{Name: "/srv/app/made", Meta: Meta{Mode: 0o755}}}})
	must(err)
	must(o.Mkdir("/srv/perhaps/below", Meta{Mode: 0o700}))
	if _, err := o.ReadDir("/srv"); !errors.Is(err, ErrUnknown) {
		t.Errorf("during the run: got %v", err)
	}
	o.Settle()
	if names, err := o.ReadDir("/srv"); err != nil || strings.Join(names, " ") != "app conf perhaps" {
		t.Errorf("after it: got %v, %v", names, err)
	}
	if names, err := o.ReadDir("/srv/app"); err != nil || strings.Join(names, " ") != "made rc" {
		t.Errorf("below: got %v, %v", names, err)
	}
	if there, err := Exists(o, "/new"); err != nil || there {
		t.Errorf("/new: got %v, %v", there, err)
	}
	if text, err := ReadFile(o, "/srv/app/rc"); err != nil || string(text) != "x" {
		t.Errorf("rc: got %q, %v", text, err)
	}
	if _, err := ReadFile(o, "/srv/app/made"); !errors.Is(err, ErrUnknown) {
		t.Errorf("made: got %v", err)
	}
}
