package host_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"runbook/runtime/host"
)

// noted returns an overlay and the notes of what it assumes.
func noted(t *testing.T) (*host.Overlay, *[]string) {
	o, notes := over(t), new([]string)
	o.Assume = func(n string) { *notes = append(*notes, n) }
	return o, notes
}

func do(t *testing.T, o *host.Overlay, c host.Cmd) {
	t.Helper()
	if len(c.Argv) == 0 {
		c.Argv = []string{"/bin/true"}
	}
	if res, err := o.Exec(t.Context(), c); err != nil || !res.Unknown || !c.Succeeded(res) {
		t.Fatal(res, err)
	}
}

func ok(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func dir(mode fs.FileMode) host.Meta { return host.Meta{Mode: fs.ModeDir | mode} }

func put(o host.Host, name string) error {
	return o.WriteFile(name, host.Bytes([]byte(name)), host.Meta{Mode: 0o644})
}

func TestTouchedIsUnknown(t *testing.T) {
	o, notes := noted(t)
	ok(t, o.Mkdir("/p", dir(0o755)), put(o, "/p/before"), put(o, "/f"))
	do(t, o, host.Cmd{Touches: []string{"/p", "/f", "/none/x"}, Makes: []host.Entry{
		{Name: "/p/bin", Meta: dir(0o755)}, {Name: "/p/bin/tool", Meta: host.Meta{Mode: 0o755, Size: 9}},
		{Name: "/p/lib/deep/x"}, {Name: "/p/conf", Content: host.Bytes([]byte("known"))},
	}})
	unknown := func(name string, f func(string) error) {
		t.Helper()
		if err := f(name); !errors.Is(err, host.ErrUnknown) {
			t.Errorf("%s: got %v, want unknown", name, err)
		}
	}
	lstat := func(name string) error { _, err := o.Lstat(name); return err }
	list := func(name string) error { _, err := o.ReadDir(name); return err }
	read := func(name string) error { _, err := host.ReadFile(o, name); return err }
	for _, name := range []string{"/p/before", "/p/other", "/p/sub/x", "/p/bin/other", "/p/lib/y", "/f", "/none/x"} {
		unknown(name, lstat)
	}
	unknown("/p", list)
	unknown("/p/bin/tool", read)
	unknown("/f", read)
	ok(t, lstat("/p"), lstat("/p/lib/deep"), lstat("/p/bin/tool"), lstat("/p/conf"), read("/p/conf"))
	if len(*notes) > 0 {
		t.Errorf("what a command declares is no assumption: %q", *notes)
	}
	ok(t, put(o, "/p/mine"), put(o, "/p/sub/mine"), read("/p/mine"), read("/p/sub/mine"), o.Remove("/p/gone", 1))
	if len(*notes) != 3 {
		t.Errorf("got %q, want a note for each change", *notes)
	}
	unknown("/p/sub", lstat)
	if err := lstat("/p/gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was removed is there: %v", err)
	}
	ok(t, o.Remove("/p", 1), o.Mkdir("/p", dir(0o755)))
	if names, err := o.ReadDir("/p"); err != nil || len(names) > 0 {
		t.Errorf("a new directory has %q %v", names, err)
	}
}

func TestMakes(t *testing.T) {
	o := over(t)
	ok(t, o.Mkdir("/usr", dir(0o755)), o.Mkdir("/usr/lib", dir(0o700)), o.Symlink("usr/lib", "/lib", host.Owner{}))
	do(t, o, host.Cmd{Process: host.Process{User: "ann"}, Makes: []host.Entry{
		{Name: "/lib", Meta: dir(0o755)}, {Name: "/lib/a", Meta: host.Meta{Mode: 0o755}},
		{Name: "/usr/lib", Meta: dir(0o755)}, {Name: "/opt/new/deep", Meta: dir(0o755)},
	}})
	for name, want := range map[string]fs.FileMode{"/lib": fs.ModeSymlink | 0o777, "/usr/lib": fs.ModeDir | 0o700, "/usr/lib/a": 0o755, "/opt/new": fs.ModeDir | 0o755} {
		if m, err := o.Lstat(name); m.Mode != want || err != nil {
			t.Errorf("%s: got %v %v, want %v", name, m.Mode, err, want)
		}
	}
	m, err := o.Lstat("/opt/new/deep")
	if err != nil || m.Owner != (host.Owner{User: "ann", Group: "staff"}) {
		t.Errorf("what ann's command makes belongs to %v %v", m.Owner, err)
	}
	any := host.Meta{Mode: fs.ModeIrregular | 0o755} // of a type that nobody told
	do(t, o, host.Cmd{Makes: []host.Entry{{Name: "/any", Meta: any}, {Name: "/usr/lib", Meta: any}}})
	if here, err := host.Exists(o, "/any"); !here || err != nil {
		t.Error("what was declared is not there: ", err)
	}
	if _, err := o.ReadDir("/any"); !errors.Is(err, host.ErrUnknown) {
		t.Errorf("got %v", err)
	}
	ok(t, put(o, "/any/f"), put(o, "/usr/lib/f"))
	if _, err := o.Exec(t.Context(), host.Cmd{Process: host.Process{Argv: []string{"true"}}, Makes: []host.Entry{{Name: "/usr/lib"}}}); err == nil {
		t.Error("a file took the place of a directory")
	}
	if _, err := o.Exec(t.Context(), host.Cmd{Process: host.Process{Argv: []string{"true"}, User: "carl-is-nobody"}}); err == nil {
		t.Error("an unknown user ran something")
	}
}

func TestMayMake(t *testing.T) {
	o, notes := noted(t)
	if err := put(o, "/etc/pkg.d/conf"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
	do(t, o, host.Cmd{MayMake: true})
	ok(t, put(o, "/etc/pkg.d/conf"))
	if len(*notes) != 1 || !strings.Contains((*notes)[0], "/etc/pkg.d") {
		t.Errorf("got %q", *notes)
	}
	if data, err := host.ReadFile(o, "/etc/pkg.d/conf"); string(data) != "/etc/pkg.d/conf" || err != nil {
		t.Error(string(data), err)
	}
}

func TestPredictedFacts(t *testing.T) {
	o, notes := noted(t)
	a, b, c := host.Fact{Kind: text, Name: "/a"}, host.Fact{Kind: text, Name: "/b"}, host.Fact{Kind: text, Name: "/c"}
	d := host.Fact{Kind: text, Name: "/d"}
	do(t, o, host.Cmd{Sets: map[host.Fact]string{a: "set"}, Follows: map[host.Fact]string{d: "follows"}, Assumes: map[host.Fact]string{b: "assumed"}, TouchesFacts: []host.Fact{c}})
	for f, want := range map[host.Fact]string{a: "set", b: "assumed", d: "follows"} {
		if v, err := o.Fact(t.Context(), f); v != want || err != nil {
			t.Errorf("%s: got %q %v, want %q", f, v, err, want)
		}
	}
	if _, err := o.Fact(t.Context(), c); !errors.Is(err, host.ErrUnknown) {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(*notes, []string{`text:/b = "assumed"`}) {
		t.Errorf("got notes %q", *notes)
	}
	do(t, o, host.Cmd{Sets: map[host.Fact]string{c: "again"}, TouchesFacts: []host.Fact{a}})
	if v, err := o.Fact(t.Context(), c); v != "again" || err != nil {
		t.Errorf("got %q %v", v, err)
	}
	if _, err := o.Fact(t.Context(), a); !errors.Is(err, host.ErrUnknown) {
		t.Errorf("got %v", err)
	}
	for _, gone := range []error{exec.ErrNotFound, host.ErrUnknown} {
		k := &host.Kind{Name: "k", Probe: func(context.Context, host.Reader, string) (string, error) { return "x", gone }}
		if v, err := o.Fact(t.Context(), host.Fact{Kind: k}); v != "" || err != nil {
			t.Errorf("got %q %v, want absent", v, err)
		}
	}
}

func TestPredictedUserOwnsFiles(t *testing.T) {
	o := over(t)
	do(t, o, host.Cmd{Sets: map[host.Fact]string{
		{Kind: host.User, Name: "svc"}: host.Present, {Kind: host.Group, Name: "svc"}: host.Present,
		{Kind: host.User, Name: "num"}: "1500", {Kind: host.Primary, Name: "svc"}: "svc", {Kind: host.Home, Name: "svc"}: "/srv"}})
	svc := host.Owner{User: "svc", Group: "svc"}
	if names, err := svc.Resolve(t.Context(), o); names != svc || err != nil {
		t.Errorf("got %v %v, want %v", names, err, svc)
	}
	ok(t, o.Mkdir("/srv", host.Meta{Mode: 0o755, Owner: svc}), put(o, "/srv/f"), o.Chown("/srv", svc, 1), put(o, "/g"),
		o.Chown("/g", host.Owner{User: "1500"}, 1))
	for name, want := range map[string]string{"/srv": "svc", "/srv/f": "svc", "/g": "num"} {
		if m, err := o.Lstat(name); m.User != want || err != nil {
			t.Errorf("%s belongs to %q %v, want %q", name, m.User, err, want)
		}
	}
	do(t, o, host.Cmd{Process: host.Process{User: "svc"}, Makes: []host.Entry{{Name: "/srv/made"}}})
	if m, err := o.Lstat("/srv/made"); m.Owner != svc || err != nil {
		t.Errorf("belongs to %v %v", m.Owner, err)
	}
}

func TestOnlyRootActsForOthers(t *testing.T) {
	o := host.NewOverlay(over(t), host.Owner{User: "ann", Group: "staff"})
	for user, want := range map[string]bool{"": true, "ann": true, "bob": false, "root": false} {
		_, err := o.Exec(t.Context(), host.Cmd{Process: host.Process{Argv: []string{"true"}, User: user}})
		var h interface{ Hint() string }
		if want && err != nil || !want && (!errors.As(err, &h) || !strings.Contains(err.Error(), "only root")) {
			t.Errorf("ann as %q: got %v", user, err)
		}
	}
}

// TestMovedBase shows that moves and chowns of what the base holds are right
// without having been read.
func TestMovedBase(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root gives files away")
	}
	o := over(t)
	base := o
	ok(t, base.Mkdir("/t", dir(0o755)))
	for i := range 3 {
		d := fmt.Sprintf("/t/%d", i)
		ok(t, base.Mkdir(d, dir(0o755)), put(base, d+"/f"), base.WriteFile(d+"/s", host.Bytes(nil), host.Meta{Mode: 0o755 | fs.ModeSetuid}))
	}
	o = host.NewOverlay(base, host.Owner{})
	ann := host.Owner{User: "ann"}
	ok(t, o.Chown("/t", ann, 0), o.Move("/t/1", "/x"), o.Chown("/t/0", host.Owner{Group: "team"}, 0), put(o, "/x/f"), o.Remove("/t/2/f", 1))
	for name, want := range map[string]host.Owner{
		"/t": {User: "ann", Group: "root"}, "/x": {User: "ann", Group: "root"}, "/x/s": {User: "ann", Group: "root"},
		"/x/f": {User: "ann", Group: "root"}, "/t/0/f": {User: "ann", Group: "team"},
	} {
		if m, err := o.Lstat(name); m.Owner != want || err != nil || m.Mode&fs.ModeSetuid != 0 {
			t.Errorf("%s: got %v %v %v, want %v", name, m.Mode, m.Owner, err, want)
		}
	}
	names, err := o.ReadDir("/t/2")
	if !slices.Equal(names, []string{"s"}) || err != nil {
		t.Errorf("got %q %v", names, err)
	}
	if data, err := host.ReadFile(o, "/t/0/f"); string(data) != "/t/0/f" || err != nil {
		t.Errorf("got %q %v", data, err)
	}
}
