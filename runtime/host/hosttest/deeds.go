package hosttest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"runbook/runtime/host"
)

func owners(t *testing.T, h host.Host) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can give files away")
	}
	ann, bob := host.Owner{User: "ann", Group: "staff"}, host.Owner{User: "bob"}
	c, m := file("text")
	m.Owner = ann
	must(t, h.Mkdir("/d", host.Meta{Mode: 0o755, Owner: bob}), h.WriteFile("/d/f", c, m), h.Symlink("/etc", "/d/l", bob))
	is(t, h, "/d", fs.ModeDir|0o755, bob)
	is(t, h, "/d/f", 0o640, ann)
	is(t, h, "/d/l", fs.ModeSymlink|0o777, bob)
	must(t, write(h, "/d/f", "more"))
	is(t, h, "/d/f", 0o640, ann) // what replaces a file keeps its owner
	n, _, err := host.Differ(h, "/d", host.Owner{User: "1000"})
	if must(t, err); n != 2 {
		t.Errorf("%d differ from 1000, want 2", n)
	}
	must(t, h.Chown("/d", host.Owner{User: "1000", Group: "team"}, 3))
	for _, name := range []string{"/d", "/d/f", "/d/l"} {
		m, err := h.Lstat(name)
		if must(t, err); m.Owner != (host.Owner{User: "ann", Group: "team"}) {
			t.Errorf("%s belongs to %v", name, m.Owner)
		}
	}
	is(t, h, "/etc", fs.ModeDir|0o755, host.Owner{User: "root"})
	if err := h.Chown("/d", host.Owner{User: "carl"}, 3); err == nil {
		t.Error("nobody knows carl, but now he owns files")
	}
}

// foreignLinks asserts that root follows only links that nobody else can have put there, whatever is asked or done.
func foreignLinks(t *testing.T, h host.Host) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root is led elsewhere")
	}
	ann, open := host.Owner{User: "ann", Group: "staff"}, host.Meta{Mode: 0o777}
	must(t, mkdir(h, "/v"), write(h, "/v/f", "v"), h.Symlink("/v", "/anns", ann), h.Symlink("/v", "/roots", host.Owner{}),
		h.Mkdir("/d", host.Meta{Mode: 0o755, Owner: ann}), h.Symlink("/v", "/d/l", host.Owner{}),
		h.Mkdir("/o", open), h.Symlink("/v", "/o/l", host.Owner{}),
		h.Mkdir("/t", host.Meta{Mode: 0o777 | fs.ModeSticky}), h.Symlink("/v", "/t/l", host.Owner{}),
		h.Mkdir("/g", host.Meta{Mode: 0o775, Owner: host.Owner{Group: "team"}}), h.Symlink("/v", "/g/l", host.Owner{}))
	for link, why := range map[string]string{"/anns": "/anns is a link that ann made", "/d/l": "/d/l is a link below /d, which ann can change",
		"/o/l": "/o/l is a link below /o, which everybody can change", "/g/l": "/g/l is a link below /g, which the group team can change"} {
		_, errs := h.Lstat(link + "/f")
		all := []error{errs, h.LstatAll(link, []string{"f"})[0].Err, write(h, link+"/f", "x"), mkdir(h, link+"/m"),
			h.Symlink("x", link+"/s", ann), h.SetMeta(link+"/f", open), h.Chown(link+"/f", ann, 1), h.Move(link+"/f", "/m"),
			h.Move("/d", link+"/m"), h.Remove(link+"/f", 1)}
		for _, name := range []string{link, link + "/f"} {
			_, err1 := h.Content(name)
			_, err2 := h.ReadDir(name)
			_, err3 := h.Resolve(name, true)
			all = append(all, err1, err2, err3)
		}
		for i, err := range all {
			var hint interface{ Hint() string }
			if err == nil || !strings.Contains(err.Error(), why) || !errors.As(err, &hint) || hint.Hint() == "" {
				t.Errorf("%s, %d: got %v, want %s and a hint", link, i, err, why)
			}
		}
	}
	for _, link := range []string{"/roots", "/t/l"} {
		text(t, h, link+"/f", "v")
		if real, err := h.Resolve(link+"/new", false); real != "/v/new" || err != nil {
			t.Errorf("%s leads to %s, %v", link, real, err)
		}
	}
}

func trees(t *testing.T, h host.Host) {
	m := host.Manifest{
		{Name: "e", Meta: host.Meta{Mode: fs.ModeDir | 0o750}},
		{Name: "e/h", Meta: host.Meta{Mode: 0o640, Size: 2}, Content: host.Bytes([]byte("hh"))},
		{Name: "g", Meta: host.Meta{Mode: fs.ModeSymlink}, Target: "../b"},
	}
	must(t, mkdir(h, "/d"), mkdir(h, "/b"), write(h, "/d/kept", "kept"))
	must(t, h.WriteTree(context.Background(), "/d", m.All(), plant))
	text(t, h, "/d/e/h", "hh")
	text(t, h, "/d/kept", "kept")
	is(t, h, "/d/e", fs.ModeDir|0o750, host.Owner{})
	if s, err := h.Readlink("/d/g"); s != "../b" || err != nil {
		t.Errorf("got %q %v", s, err)
	}
	must(t, h.WriteTree(context.Background(), "/d", m.All(), plant)) // again, over itself
}

func refusedTrees(t *testing.T, h host.Host) {
	must(t, mkdir(h, "/d"), mkdir(h, "/d/sub"), mkdir(h, "/elsewhere"), write(h, "/d/f", ""),
		h.Symlink("/elsewhere", "/d/l", host.Owner{}))
	one := func(name string, mode fs.FileMode) host.Manifest {
		return host.Manifest{{Name: name, Meta: host.Meta{Mode: mode}}}
	}
	for want, m := range map[string]host.Manifest{
		"above":               one("../x", 0o644),
		"absolute":            one("/x", 0o644),
		"through a link":      one("l/x", 0o644),
		"through a file":      one("f/x", 0o644),
		"through an own one":  append(one("n", fs.ModeSymlink), one("n/x", 0o644)...),
		"through an own file": append(one("n", 0o644), one("n/x", 0o644)...),
		"the same, unsorted":  slices.Concat(one("n", 0o644), one("a", 0o644), one("n/x", 0o644)),
		"file and directory":  append(one("n", 0o644), one("n", fs.ModeDir|0o755)...),
		"them, unsorted":      slices.Concat(one("n", 0o644), one("a", 0o644), one("n", fs.ModeDir|0o755)),
		"no parent":           one("none/x", 0o644),
		"over a directory":    one("sub", 0o644),
		"directory on file":   one("f", fs.ModeDir|0o755),
		"directory on link":   one("l", fs.ModeDir|0o755),
	} {
		err := h.WriteTree(context.Background(), "/d", m.All(), func(context.Context, *host.Root) error {
			t.Errorf("%s: was not refused", want)
			return errors.New("filled")
		})
		if err == nil {
			t.Errorf("%s: no error", want)
		}
	}
	if err := h.WriteTree(context.Background(), "/d/l", host.Manifest(nil).All(), nil); err == nil {
		t.Error("wrote into what a link leads to")
	}
	names, err := h.ReadDir("/elsewhere")
	if must(t, err); len(names) > 0 {
		t.Errorf("it left its directory: %q", names)
	}
}

func facts(t *testing.T, h host.Host) {
	asked := 0
	k := &host.Kind{Name: "text", Probe: func(_ context.Context, r host.Reader, name string) (string, error) {
		asked++
		data, err := host.ReadFile(r, name)
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		return string(data), err
	}}
	f := host.Fact{Kind: k, Name: "/f"}
	ask := func(want string) {
		t.Helper()
		for range 2 {
			if v, err := h.Fact(context.Background(), f); v != want || err != nil {
				t.Errorf("got %q %v, want %q", v, err, want)
			}
		}
	}
	ask("")
	must(t, write(h, "/f", "one"))
	ask("one")
	must(t, write(h, "/f", "two"))
	ask("two")
	if asked != 3 {
		t.Errorf("probed %d times, want 3: once after each change", asked)
	}
}

// ownerAccounts asserts that an owner is meant by a name or a number; the names are those that Lstat reports.
func ownerAccounts(t *testing.T, h host.Host) {
	for _, c := range []struct {
		given, names host.Owner
		uid, gid     int
	}{
		{host.Owner{}, host.Owner{}, -1, -1},
		{host.Owner{User: "ann"}, host.Owner{User: "ann"}, 1000, -1},
		{host.Owner{User: "1000", Group: "2000"}, host.Owner{User: "ann", Group: "team"}, 1000, 2000},
		{host.Owner{User: "54321", Group: "team"}, host.Owner{User: "54321", Group: "team"}, 54321, 2000},
	} {
		names, err := c.given.Resolve(t.Context(), h)
		uid, gid, err2 := c.given.IDs(t.Context(), h)
		if names != c.names || uid != c.uid || gid != c.gid || err != nil || err2 != nil {
			t.Errorf("%v: got %v %d %d, %v %v, want %v %d %d", c.given, names, uid, gid, err, err2, c.names, c.uid, c.gid)
		}
	}
	for _, o := range []host.Owner{{User: "no-such-user-here"}, {User: "ann", Group: "no-such-group-here"}} {
		_, err := o.Resolve(t.Context(), h)
		if _, _, err2 := o.IDs(t.Context(), h); err == nil || err2 == nil {
			t.Errorf("%v: got %v and %v, want two errors", o, err, err2)
		}
	}
	for user, want := range map[string]host.Owner{"": {}, "ann": {User: "ann", Group: "staff"},
		"who": {User: "who", Group: "who"}} {
		if o, guessed, err := host.OwnerFor(t.Context(), h, user); o != want || guessed || err != nil {
			t.Errorf("for %q: got %v, guessed %v, %v, want %v", user, o, guessed, err, want)
		}
	}
}

func accounts(t *testing.T, h host.Host) {
	for _, c := range []struct {
		kind       *host.Kind
		name, want string
	}{
		{host.User, "ann", "1000"}, {host.Group, "team", "2000"}, {host.Home, "root", "/root"}, {host.Shell, "ann", "/bin/sh"},
		{host.Primary, "ann", "staff"}, {host.Groups, "nobody", "team"}, {host.User, "no-such-user-here", ""},
	} {
		if v, err := h.Fact(context.Background(), host.Fact{Kind: c.kind, Name: c.name}); v != c.want || err != nil {
			t.Errorf("%s %s: got %q %v, want %q", c.kind.Name, c.name, v, err, c.want)
		}
	}
	ownerAccounts(t, h)
}
