package host_test

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"runbook/runtime/host"
)

// What a dry run changes has changed since, and so has what the run changes: neither more nor less.
func TestChanged(t *testing.T) {
	both := []host.Host{nil, nil}
	for i := range both {
		dir := t.TempDir()
		for _, name := range []string{"etc", "moved", "conf.d", "same"} {
			ok(t, os.MkdirAll(filepath.Join(dir, name, "sub"), 0o755), os.WriteFile(filepath.Join(dir, name, "file"), []byte("x"), 0o644),
				os.WriteFile(filepath.Join(dir, name, "other"), []byte("x"), 0o644))
		}
		both[i] = host.NewLocal(dir)
		if i == 1 {
			both[i] = host.NewOverlay(host.NewLocal(dir), host.NewLocal(dir).Self())
		}
	}
	time.Sleep(2 * host.FileTick)
	begun := time.Now()
	time.Sleep(2 * host.FileTick)
	for i, deed := range []func(host.Host) error{
		func(h host.Host) error { return put(h, "/etc/file") },
		func(h host.Host) error { return put(h, "/etc/sub/new") },
		func(h host.Host) error { return h.SetMeta("/same/other", host.Meta{Mode: 0o600}) },
		func(h host.Host) error { return h.Move("/moved", "/etc/moved") },
		func(h host.Host) error { return h.Remove("/conf.d/other", 1) },
		func(h host.Host) error { return h.Symlink("/etc", "/same/link", host.Owner{}) },
		func(h host.Host) error { return h.Chown("/conf.d", host.Owner{User: "65534"}, 3) },
	} {
		if i == 6 && os.Geteuid() != 0 {
			t.Log("SKIPPED: only root can give files away")
			continue
		}
		ok(t, deed(both[0]), deed(both[1]))
		have, want := changedIn(t, both[1], "/", begun), changedIn(t, both[0], "/", begun)
		if !slices.Equal(have, want) {
			t.Errorf("after deed %d: the dry run says that %v changed, want %v", i, have, want)
		}
	}
	if all := changedIn(t, both[0], "/", begun); slices.Contains(all, "/same/file") || !slices.Contains(all, "/conf.d/file") && os.Geteuid() == 0 {
		t.Errorf("got %v", all)
	}
}

func changedIn(t *testing.T, h host.Reader, dir string, since time.Time) (names []string) {
	t.Helper()
	all, err := h.ReadDir(dir)
	ok(t, err)
	for i, s := range h.LstatAll(dir, all) {
		ok(t, s.Err)
		name := path.Join(dir, all[i])
		if s.Changed.After(since) {
			names = append(names, name)
		}
		if s.Mode.IsDir() {
			names = append(names, changedIn(t, h, name, since)...)
		}
	}
	return names
}

// A process that starts after a change has a start that is not before it, and one that was there has an older one.
func TestStarted(t *testing.T) {
	h, file := host.NewLocal("/"), filepath.Join(t.TempDir(), "file")
	start := func() *exec.Cmd {
		c := exec.Command("sleep", "60")
		ok(t, c.Start())
		t.Cleanup(func() { c.Process.Kill(); c.Wait() })
		return c
	}
	older := func(c *exec.Cmd) bool {
		t.Helper()
		v, err := host.Started.Probe(t.Context(), h, fmt.Sprint(c.Process.Pid))
		ok(t, err)
		at, err := host.ParseStart(v)
		ok(t, err)
		if since := time.Since(at); since < 0 || since > time.Minute {
			t.Errorf("got a start %s ago", since)
		}
		return at.Before(h.LstatAll(path.Dir(file), []string{path.Base(file)})[0].Changed)
	}
	for range 5 {
		before := start()
		ok(t, os.WriteFile(file, []byte("x"), 0o644))
		time.Sleep(3 * host.FileTick)
		after := start()
		if !older(before) || older(after) {
			t.Errorf("before: got older %v, after: got older %v", older(before), older(after))
		}
	}
	if v, err := host.Started.Probe(t.Context(), h, "4194999"); v != "" || err != nil {
		t.Errorf("no such process: got %q, %v", v, err)
	}
	for _, name := range []string{"+0", fmt.Sprint(os.Getpid())} {
		if v, err := host.Started.Probe(t.Context(), h, name); v == "" || err != nil {
			t.Errorf("%s: got %q, %v", name, v, err)
		}
	}
}

// What a command gives away belongs to others from then on, and has changed.
func TestGives(t *testing.T) {
	dir := t.TempDir()
	ok(t, os.MkdirAll(filepath.Join(dir, "home/sub"), 0o755), os.MkdirAll(filepath.Join(dir, "other"), 0o755))
	o := host.NewOverlay(host.NewLocal(dir), host.NewLocal(dir).Self())
	time.Sleep(2 * host.FileTick)
	begun := time.Now()
	do(t, o, host.Cmd{Gives: map[string]host.Owner{"/home": {Group: "4711"}, "/none": {Group: "4711"}}})
	m, err := o.Lstat("/home/sub")
	if ok(t, err); m.Group != "4711" || m.User != host.NewLocal(dir).Self().User {
		t.Errorf("got %v", m.Owner)
	}
	if all := changedIn(t, o, "/", begun); !slices.Equal(all, []string{"/home", "/home/sub"}) {
		t.Errorf("got %v", all)
	}
}

// An account's programs may be links of its own: the kernel follows them, so a dry run does.
func TestProgramBehindALink(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can give links away")
	}
	dir := t.TempDir()
	ok(t, os.MkdirAll(filepath.Join(dir, "home/bin"), 0o755), os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\n"), 0o755),
		os.Symlink("/tool", filepath.Join(dir, "home/bin/tool")), os.Lchown(filepath.Join(dir, "home/bin/tool"), 65534, 65534))
	o := host.NewOverlay(host.NewLocal(dir), host.NewLocal(dir).Self())
	do(t, o, host.Cmd{Process: host.Process{Argv: []string{"/home/bin/tool"}}})
}
