package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"runbook/runtime/host"
)

// small mounts a file system of a few kilobytes.
func small(t *testing.T) string {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("SKIPPED: cannot mount a small file system: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	return dir
}

func TestFullDisk(t *testing.T) {
	dir := small(t)
	l := host.NewLocal("/")
	name := filepath.Join(dir, "f")
	ok(t, l.WriteFile(name, host.Bytes([]byte("old")), host.Meta{Mode: 0o644}))
	err := l.WriteFile(name, host.Bytes(make([]byte, 1<<20)), host.Meta{Mode: 0o644, Size: 1 << 20})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"write " + name + ": ", "1048576 bytes needed", "files free"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	var h interface{ Hint() string }
	if !errors.As(err, &h) || !strings.Contains(h.Hint(), dir) {
		t.Errorf("%v has no hint", err)
	}
	if data, err := os.ReadFile(name); string(data) != "old" || err != nil {
		t.Errorf("the old file holds %q %v", data, err)
	}
	if names, _ := l.ReadDir(dir); len(names) != 1 {
		t.Errorf("left behind: %q", names)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	dir := small(t)
	if err := unix.Mount("none", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	l := host.NewLocal("/")
	for op, err := range map[string]error{
		"write": l.WriteFile(filepath.Join(dir, "f"), host.Bytes(nil), host.Meta{Mode: 0o644}),
		"mkdir": l.Mkdir(filepath.Join(dir, "f"), host.Meta{Mode: 0o755}),
	} {
		var h interface{ Hint() string }
		if !errors.Is(err, syscall.EROFS) || !errors.As(err, &h) || !strings.HasPrefix(err.Error(), op+" "+dir) {
			t.Errorf("got %v", err)
		}
	}
}

// TestFailedWriteLeavesNothing covers content that cannot be read to its end,
// and one that is not as long as declared.
func TestFailedWriteLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	l := host.NewLocal("/")
	broken := host.Content{Open: func() (host.File, error) { return os.Open(dir) }} // reading a directory fails
	if err := l.WriteFile(filepath.Join(dir, "f"), broken, host.Meta{Mode: 0o644}); err == nil {
		t.Error("no error")
	}
	if err := l.Mkdir(filepath.Join(dir, "d"), host.Meta{Mode: 0o755, Owner: host.Owner{User: "no-such-user-here"}}); err == nil {
		t.Error("no error")
	}
	if names, _ := l.ReadDir(dir); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
	err := l.WriteFile(filepath.Join(dir, "f"), host.Bytes([]byte("abc")), host.Meta{Mode: 0o644, Size: 5})
	if err == nil || !strings.Contains(err.Error(), "did not take effect: want size 5, have 3") {
		t.Errorf("got %v", err)
	}
}

func TestTreeIsAsserted(t *testing.T) {
	when := time.Unix(1e9, 0)
	for want, e := range map[string]host.Entry{
		"":              {Name: "f", Meta: host.Meta{Mode: 0o640, Size: 2, ModTime: when}},
		"want mode":     {Name: "f", Meta: host.Meta{Mode: 0o600, Size: 2}},
		"want size":     {Name: "f", Meta: host.Meta{Mode: 0o640, Size: 3}},
		"want time":     {Name: "f", Meta: host.Meta{Mode: 0o640, Size: 2, ModTime: when.Add(1)}},
		"want type":     {Name: "f", Meta: host.Meta{Mode: os.ModeDir}},
		"no such file":  {Name: "g", Meta: host.Meta{Mode: 0o640}},
		"want target":   {Name: "l", Meta: host.Meta{Mode: os.ModeSymlink}, Target: "g"},
		"want owner 7:": {Name: "f", Meta: host.Meta{Mode: 0o640, Size: 2, Owner: host.Owner{User: "7"}}},
	} {
		dir := t.TempDir()
		err := host.NewLocal("/").WriteTree(t.Context(), dir, host.Manifest{e}.All(), func(_ context.Context, r *host.Root) error {
			return errors.Join(r.WriteFile("f", []byte("ab"), 0o640), r.Chtimes("f", when, when), r.Symlink("f", "l"))
		})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
		if err != nil && !strings.Contains(err.Error(), filepath.Join(dir, e.Name)+": did not take effect") {
			t.Errorf("%v does not name the file", err)
		}
	}
}
