package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
)

// fullRig has a mirror of two packages in a small file system, and a channel that by now has twenty.
func fullRig(t *testing.T, options string) (*rig, *Mirror) {
	r := newMemoryRig(t)
	r.memory("/dst", options)
	r.channel("/src", "linux-64", "a", "b")
	m := r.mirror()
	m.Shards = true
	r.must(m)
	r.channel("/src", "linux-64", letters(20)...)
	return r, m
}

// ballast leaves so many bytes free.
func (r *rig) ballast(free int64) {
	r.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(r.path("/dst"), &s); err != nil {
		r.Fatal(err)
	}
	if n := int64(s.Bavail)*s.Bsize - free; n > 0 {
		r.put("/dst/ballast", strings.Repeat("x", int(n)))
	}
}

// stopped checks that a mirror that ran out of something says so and of which file, and still is a channel.
func (r *rig) stopped(err error, want error, hint string) {
	r.Helper()
	switch {
	case !errors.Is(err, want) ||
		!strings.Contains(err.Error(), "linux-64") && !strings.Contains(err.Error(), state.Dir) &&
			!strings.Contains(err.Error(), "/dst/acc"):
		r.Errorf("got %s, want %v and a file", advised(err), want)
	case !strings.Contains(advised(err), hint):
		r.Errorf("got %s, want the hint %s", advised(err), hint)
	}
	if n, err := complete(r.path("/dst/acc/linux-64")); err != nil || n != 2 && n != 20 {
		r.Errorf("then it lists %d packages, %v", n, err)
	}
}

// goesOn checks that the next run makes good what an earlier one could not.
func (r *rig) goesOn(m *Mirror) {
	r.Helper()
	if _, err := r.run(m, r.local()); err != nil {
		r.Error("with room again:", advised(err))
	}
	r.same(m)
	if n := r.complete("linux-64"); n != 20 {
		r.Errorf("with room again it lists %d packages", n)
	}
	if left := r.list("/dst/acc/*/.*.part") + r.list("/dst/acc/*/*/.*.part"); left != "" {
		r.Errorf("left behind: %s", left)
	}
}

// However little room there is left in the middle of a run, it says so, what was there is served, and with room it
// goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if !ownMounts(t) {
		return
	}
	full := 0
	for percent := 2; percent <= 116; percent += 6 {
		r, m := fullRig(t, "size=2m")
		p, err := m.Plan(context.Background(), r.local())
		if err != nil {
			t.Fatal(err)
		}
		r.ballast(p.Report.Bytes * int64(percent) / 100)
		if err := p.Apply(context.Background(), r.local()); err != nil {
			full++
			r.stopped(err, syscall.ENOSPC, "make room on the file system of /dst/acc")
		} else if percent < 100 {
			t.Errorf("%d percent of the room: no error", percent)
		}
		os.Remove(r.path("/dst/ballast"))
		r.goesOn(m)
	}
	if full < 17 {
		t.Errorf("the disk was full only %d times", full)
	}
}

// What surely does not fit is refused before anything is fetched.
func TestTooLittleRoom(t *testing.T) {
	t.Parallel()
	if !ownMounts(t) {
		return
	}
	r, m := fullRig(t, "size=2m")
	r.ballast(100_000)
	before := listing(t, r.path("/dst"))
	whole := r.mirror(r.path("/src")) // of the machine itself, which has df
	whole.Dest, whole.Shards = r.path("/dst"), true
	_, err := r.run(whole, host.NewLocal("/"))
	if err == nil || !strings.Contains(advised(err), "/dst/acc: got 98.3 kB free, want") ||
		!strings.Contains(advised(err), "bytes more | make room on") {
		t.Errorf("got %s", advised(err))
	}
	if listing(t, r.path("/dst")) != before {
		t.Error("something was changed")
	}
	os.Remove(r.path("/dst/ballast"))
	r.goesOn(m)
}

// A file system that can hold no more files is as full as any.
func TestNoMoreFiles(t *testing.T) {
	t.Parallel()
	if !ownMounts(t) {
		return
	}
	full := 0
	for inodes := 28; inodes <= 76; inodes += 3 {
		r, m := fullRig(t, fmt.Sprintf("size=8m,nr_inodes=%d", inodes))
		_, err := r.run(m, r.local())
		if err != nil {
			full++
			r.stopped(err, syscall.ENOSPC, "df -i")
		}
		r.remount("/dst", "nr_inodes=1000")
		r.goesOn(m)
	}
	if full < 8 {
		t.Errorf("files ran out only %d times", full)
	}
}

// Somebody who may not write is told what, and what to do.
func TestNotAllowed(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for _, dir := range []string{"/dst", "/dst/acc", "/dst/acc/linux-64", "/dst/acc/noarch", "/dst/acc/" + state.Dir} {
		r := newMemoryRig(t)
		r.channel("/src", "linux-64", "a", "b")
		m := r.mirror()
		r.must(m)
		give(t, r.root, 1234)
		give(t, r.path(dir), 0)
		switch dir {
		case "/dst":
			os.RemoveAll(r.path("/dst/acc"))
		case "/dst/acc":
			os.RemoveAll(r.path("/dst/acc/linux-64"))
		case "/dst/acc/noarch":
			r.channel("/src", "noarch", "d")
		}
		r.channel("/src", "linux-64", "a", "b", "c")
		text := r.refused(1234)
		if !strings.Contains(text, "permission denied") || !strings.Contains(text, strings.TrimPrefix(dir, "/dst/acc/")) {
			t.Errorf("%s: got %s", dir, text)
		}
		if dir != "/dst" && !strings.Contains(text, " | run as the owner of /dst/acc") {
			t.Errorf("%s: got %s", dir, text)
		}
		if _, err := complete(r.path("/dst/acc/linux-64")); err != nil && len(dir) > len("/dst/acc") {
			t.Error(err)
		}
		r.must(m)
	}
}

// give gives a directory and all below it to a user, the top alone if that is root.
func give(t *testing.T, dir string, uid int) {
	t.Helper()
	if uid == 0 {
		if err := os.Lchown(dir, 0, 0); err != nil {
			t.Fatal(err)
		}
		return
	}
	err := filepath.WalkDir(dir,
		func(name string, _ fs.DirEntry, err error) error { return errors.Join(err, os.Lchown(name, uid, uid)) })
	if err != nil {
		t.Fatal(err)
	}
}

// refused mirrors as another user, in vain, and returns what that is told.
func (r *rig) refused(uid int) string {
	r.Helper()
	var out bytes.Buffer
	k := task{Root: r.root, Channels: []string{"/src"}, User: uid}
	if code := exit(r, k.command(r, &out).Run()); code != exitRefused {
		r.Errorf("ends with %d: %s", code, out.String())
	}
	return out.String()
}
