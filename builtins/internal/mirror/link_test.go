package mirror

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"runbook/runtime/host"
)

func (r *rig) inode(name string) uint64 {
	r.Helper()
	fi, err := os.Stat(r.path(name))
	if err != nil {
		r.Fatal(err)
	}
	st, _ := fi.Sys().(*syscall.Stat_t)
	return st.Ino
}

// medium is what must stay as it is of a source: all but how many names a file has.
func (r *rig) medium() string {
	r.Helper()
	var b strings.Builder
	for _, n := range letters(6) {
		fi, err := os.Stat(r.path(pkgAt("/src", n)))
		if err != nil {
			continue
		}
		st, _ := fi.Sys().(*syscall.Stat_t)
		fmt.Fprintln(&b, n, fi.Mode(), fi.ModTime(), fi.Size(), st.Uid, st.Gid, md5Text(r.get(pkgAt("/src", n))))
	}
	return b.String()
}

func pkgAt(channel, name string) string { return channel + "/linux-64/" + name + "-1.0-0.tar.bz2" }

// Links save the room of a copy where the source's file is one that the tree could have, and copies are made
// elsewhere. The source is never changed.
func TestLinks(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for name, c := range map[string]struct {
		do     func(r *rig, m *Mirror) error
		linked bool
	}{
		"same owner and mode": {func(*rig, *Mirror) error { return nil }, true},
		"private":             {func(r *rig, _ *Mirror) error { return os.Chmod(r.path(pkgAt("/src", "a")), 0o600) }, false},
		"for all to write":    {func(r *rig, _ *Mirror) error { return os.Chmod(r.path(pkgAt("/src", "a")), 0o666) }, false},
		"other owner":         {func(_ *rig, m *Mirror) error { m.Owner.User = "1234"; return nil }, false},
		"other group":         {func(_ *rig, m *Mirror) error { m.Owner.Group = "1234"; return nil }, false},
		"its own owner": {func(r *rig, m *Mirror) error {
			m.Owner.User = "1234"
			return os.Chown(r.path(pkgAt("/src", "a")), 1234, 0)
		}, true},
		"not asked": {func(_ *rig, m *Mirror) error { m.Link = false; return nil }, false},
	} {
		r := newMemoryRig(t)
		r.channel("/src", "linux-64", "a", "b")
		m := r.mirror()
		m.Link = true
		if err := c.do(r, m); err != nil {
			t.Fatal(err)
		}
		before := r.medium()
		r.must(m)
		if linked := r.inode(pkgAt("/src", "a")) == r.inode(pkgAt("/dst/acc", "a")); linked != c.linked ||
			r.complete("linux-64") != 2 {
			t.Errorf("%s: linked %v, want %v", name, linked, c.linked)
		}
		if after := r.medium(); after != before {
			t.Errorf("%s: the medium is changed:\n%s", name, difference(after, before))
		}
	}
}

// What happens to a tree of links later happens to the tree alone.
func TestLinksLater(t *testing.T) {
	t.Parallel()
	r := newMemoryRig(t)
	r.channel("/src", "linux-64", "a", "b", "c", "d")
	m := r.mirror()
	m.Link = true
	r.must(m)
	if err := os.CopyFS(r.path("/new"), os.DirFS(r.path("/src"))); err != nil {
		t.Fatal(err)
	}
	r.put(pkgAt("/new", "b"), strings.ToUpper(r.get(pkgAt("/new", "b"))))
	text := strings.ReplaceAll(r.get("/src/linux-64/repodata.json"), md5Text(r.get(pkgAt("/src", "b"))),
		md5Text(r.get(pkgAt("/new", "b"))))
	r.put("/new/linux-64/repodata.json", text)
	r.put(pkgAt("/src", "f"), "less than a package has")
	before := r.medium()
	for _, link := range []bool{true, false} {
		os.Remove(r.path(pkgAt("/dst/acc", "a")))
		part := r.path("/dst/acc/linux-64/.a-1.0-0.tar.bz2.part") // as a run that was killed leaves it
		if err := os.Link(r.path(pkgAt("/src", "f")), part); err != nil {
			t.Fatal(err)
		}
		later := r.mirror("/new")
		later.Link, later.Prune = link, true
		r.must(later)
		if n := r.complete("linux-64"); n != 4 || r.medium() != before {
			t.Errorf("link %v: %d packages, or the old medium is changed:\n%s", link, n, difference(r.medium(), before))
		}
	}
}

// Links do not reach from one file system to another; then files are copied.
func TestLinksElsewhere(t *testing.T) {
	t.Parallel()
	if !ownMounts(t) {
		return
	}
	r := newMemoryRig(t)
	r.memory("/dst", "size=8m")
	r.channel("/src", "linux-64", "a", "b")
	m := r.mirror()
	m.Link = true
	r.must(m)
	if n := r.complete("linux-64"); n != 2 {
		t.Errorf("got %d packages", n)
	}
}

// A medium with a wrong file is no reason to link to it.
func TestLinksAreVerified(t *testing.T) {
	t.Parallel()
	r := newMemoryRig(t)
	r.channel("/src", "linux-64", "a", "b")
	r.put(pkgAt("/src", "a"), strings.Replace(r.get(pkgAt("/src", "a")), "a", "x", 1))
	m := r.mirror()
	m.Link = true
	before := r.medium()
	if _, err := r.run(m, r.local()); err == nil || !strings.Contains(err.Error(), "linux-64/a-1.0-0.tar.bz2: got md5:") {
		t.Errorf("got %v", err)
	}
	if r.has(pkgAt("/dst/acc", "a")) || r.complete("linux-64") != 1 || r.medium() != before {
		t.Error("the wrong file is there, or the right one is not, or the medium is changed")
	}
}

// Whoever gives the tree away later keeps the medium: linked files are copied first.
func TestLinksAreNotGivenAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root gives files away")
	}
	for _, link := range []bool{true, false} {
		r := newMemoryRig(t)
		r.channel("/src", "linux-64", "a", "b")
		m := r.mirror()
		m.Link = true
		r.must(m)
		before := r.medium()
		m.Link, m.Owner = link, host.Owner{User: "1234", Group: "1235"}
		r.must(m)
		n, _, err := host.Differ(r.local(), "/dst/acc", m.Owner)
		if n != 0 || err != nil || r.medium() != before || r.complete("linux-64") != 2 {
			t.Errorf("link %v: %d files are others', %v, or the medium was given away:\n%s", link, n, err,
				difference(r.medium(), before))
		}
	}
}
