package hosttest

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"syscall"
	"testing"
	"time"

	"runbook/runtime/host"
)

// Suite checks what every host promises. newHost returns one over a fresh
// [Machine].
func Suite(t *testing.T, newHost func(t *testing.T) host.Host) {
	for _, c := range []struct {
		name string
		f    func(*testing.T, host.Host)
	}{
		{"files", files}, {"modes", fileModes}, {"directories", directories}, {"links", links}, {"links of others", foreignLinks}, {"owners", owners},
		{"moves", moves}, {"removal", removal}, {"trees", trees}, {"refused trees", refusedTrees},
		{"facts", facts}, {"accounts", accounts}, {"missing network", network},
	} {
		t.Run(c.name, func(t *testing.T) { c.f(t, newHost(t)) })
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func text(t *testing.T, h host.Reader, name, want string) {
	t.Helper()
	if have, err := host.ReadFile(h, name); err != nil || string(have) != want {
		t.Errorf("%s: got %q %v, want %q", name, have, err, want)
	}
}

func is(t *testing.T, h host.Reader, name string, mode fs.FileMode, owner host.Owner) {
	t.Helper()
	m, err := h.Lstat(name)
	if err != nil || m.Mode != mode || m.Owner != owner.Or(m.Owner) {
		t.Errorf("%s: got %v %v %v, want %v %v", name, m.Mode, m.Owner, err, mode, owner)
	}
	all := h.LstatAll(path.Dir(name), []string{path.Base(name), "no such file"})
	if have := all[0].Meta; all[0].Err != nil || have != m || !errors.Is(all[1].Err, fs.ErrNotExist) {
		t.Errorf("%s: got %+v among all, %+v alone", name, all, m)
	}
}

func file(s string) (host.Content, host.Meta) {
	return host.Bytes([]byte(s)), host.Meta{Mode: 0o640, Size: int64(len(s))}
}

func write(h host.Host, name, s string) error {
	c, m := file(s)
	return h.WriteFile(name, c, m)
}

func mkdir(h host.Host, name string) error { return h.Mkdir(name, host.Meta{Mode: 0o755}) }

func files(t *testing.T, h host.Host) {
	must(t, mkdir(h, "/d"), write(h, "/d/f", "one"))
	text(t, h, "/d/f", "one")
	is(t, h, "/d/f", 0o640, host.Owner{})
	old, err := h.Content("/d/f")
	must(t, err)
	must(t, write(h, "/d/f", "longer"))
	text(t, h, "/d/f", "longer")
	if m, err := h.Lstat("/d/f"); err != nil || m.Size != 6 {
		t.Errorf("got size %d %v, want 6", m.Size, err)
	}
	f, err := old.Reader()
	must(t, err)
	defer f.Close()
	if n, err := f.Seek(1, 0); n != 1 || err != nil {
		t.Errorf("content is not seekable: %d %v", n, err)
	}
	refused(t, write(h, "/d", "x"), fs.ErrExist)
	refused(t, write(h, "/none/f", "x"), fs.ErrNotExist)
	refused(t, write(h, "/d/f/g", "x"), syscall.ENOTDIR)
	_, err = h.Content("/d")
	refused(t, err, syscall.EISDIR)
	_, err = h.Content("/d/none")
	refused(t, err, fs.ErrNotExist)
	names, err := h.ReadDir("/d")
	if must(t, err); !slices.Equal(names, []string{"f"}) {
		t.Errorf("got %q: temporary files stay behind", names)
	}
}

func fileModes(t *testing.T, h host.Host) {
	when := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	must(t, h.WriteFile("/f", host.Bytes(nil), host.Meta{Mode: 0o755 | fs.ModeSetuid, ModTime: when}))
	is(t, h, "/f", 0o755|fs.ModeSetuid, host.Owner{})
	if m, err := h.Lstat("/f"); err != nil || !m.ModTime.Equal(when) {
		t.Errorf("got time %v %v, want %v", m.ModTime, err, when)
	}
	must(t, h.SetMeta("/f", host.Meta{Mode: 0o600}))
	is(t, h, "/f", 0o600, host.Owner{})
	must(t, h.Mkdir("/d", host.Meta{Mode: 0o777 | fs.ModeSticky}))
	is(t, h, "/d", fs.ModeDir|fs.ModeSticky|0o777, host.Owner{})
	refused(t, h.SetMeta("/none", host.Meta{Mode: 0o600}), fs.ErrNotExist)
}

func directories(t *testing.T, h host.Host) {
	must(t, mkdir(h, "/d"))
	refused(t, mkdir(h, "/d"), fs.ErrExist)
	refused(t, mkdir(h, "/"), fs.ErrExist)
	refused(t, mkdir(h, "/none/d"), fs.ErrNotExist)
	must(t, write(h, "/d/b", ""), write(h, "/d/a", ""), mkdir(h, "/d/c"))
	names, err := h.ReadDir("/d")
	if must(t, err); !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("got %q, want them sorted", names)
	}
	_, err = h.ReadDir("/d/a")
	refused(t, err, syscall.ENOTDIR)
	_, err = h.ReadDir("/none")
	refused(t, err, fs.ErrNotExist)
}

func links(t *testing.T, h host.Host) {
	must(t, mkdir(h, "/d"), mkdir(h, "/d/e"), write(h, "/d/f", "text"),
		h.Symlink("/d", "/abs", host.Owner{}), h.Symlink("../d/f", "/d/rel", host.Owner{}),
		h.Symlink("loop", "/loop", host.Owner{}), h.Symlink("none", "/dangling", host.Owner{}))
	text(t, h, "/abs/rel", "text")
	must(t, write(h, "/abs/e/g", "through"))
	text(t, h, "/d/e/g", "through")
	is(t, h, "/abs/e", fs.ModeDir|0o755, host.Owner{})
	if s, err := h.Readlink("/abs/rel"); s != "../d/f" || err != nil {
		t.Errorf("got %q %v", s, err)
	}
	_, err := h.Readlink("/d/f")
	refused(t, err, syscall.EINVAL)
	_, err = h.Content("/loop")
	refused(t, err, syscall.ELOOP)
	refused(t, write(h, "/loop/x", ""), syscall.ELOOP)
	_, err = h.Content("/dangling")
	refused(t, err, fs.ErrNotExist)
	refused(t, h.Symlink("x", "/dangling", host.Owner{}), fs.ErrExist)
	if err := h.SetMeta("/abs", host.Meta{Mode: 0o700}); err == nil {
		t.Error("a link was given a mode")
	}
	must(t, write(h, "/d/rel", "instead"))
	text(t, h, "/d/f", "text")
	is(t, h, "/d/rel", 0o640, host.Owner{})
}

func moves(t *testing.T, h host.Host) {
	must(t, mkdir(h, "/d"), write(h, "/d/f", "text"), h.Move("/d", "/e"))
	text(t, h, "/e/f", "text")
	_, err := h.Lstat("/d")
	refused(t, err, fs.ErrNotExist)
	must(t, mkdir(h, "/d"))
	refused(t, h.Move("/e", "/d"), fs.ErrExist)
	refused(t, h.Move("/e", "/e/below"), syscall.EINVAL)
	refused(t, h.Move("/none", "/x"), fs.ErrNotExist)
	refused(t, h.Move("/e", "/none/x"), fs.ErrNotExist)
	must(t, h.Move("/e/f", "/d/g"))
	text(t, h, "/d/g", "text")
}

func removal(t *testing.T, h host.Host) {
	must(t, mkdir(h, "/d"), mkdir(h, "/d/e"), write(h, "/d/e/f", "text"), h.Symlink("/d", "/l", host.Owner{}))
	must(t, h.Remove("/l", 1))
	text(t, h, "/d/e/f", "text")
	must(t, h.Remove("/d", 3), h.Remove("/d", 0), h.Remove("/none/x", 0))
	if ok, err := host.Exists(h, "/d"); ok || err != nil {
		t.Error("still there", err)
	}
	must(t, mkdir(h, "/d"))
	names, err := h.ReadDir("/d")
	if must(t, err); len(names) > 0 {
		t.Errorf("what was removed is back: %q", names)
	}
	refused(t, h.Remove("/", 0), syscall.EBUSY)
}

func network(t *testing.T, h host.Host) {
	if _, err := h.Get(context.Background(), host.Request{URL: "http://example.invalid/"}); err == nil {
		t.Error("a host without a network has answered")
	}
}
