package archive

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runbook/runtime/host"
)

// sourceTree makes a directory with what installers hold.
func sourceTree(t testing.TB) string {
	dir := t.TempDir()
	for name, data := range map[string]string{
		"top/bin/tool": "#!/bin/sh\n", "top/share/" + strings.Repeat("long-", 18) + "/" + strings.Repeat("long-", 18) + "name": "x", "top/share/größe": "y",
		"top/lib/big": strings.Repeat("library", 50_000), "top/empty": "",
	} {
		p := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(p), 0o755)
		os.WriteFile(p, []byte(data), 0o644)
		os.Chtimes(p, stamp, stamp.Add(123456789*time.Nanosecond))
	}
	os.Chmod(filepath.Join(dir, "top/bin/tool"), 0o755)
	os.Mkdir(filepath.Join(dir, "top/none"), 0o750)
	os.Symlink("../lib/big", filepath.Join(dir, "top/bin/link"))
	os.Link(filepath.Join(dir, "top/lib/big"), filepath.Join(dir, "top/lib/same"))
	return dir
}

// What GNU tar packs and unpacks is what we unpack.
func TestAsGNUTar(t *testing.T) {
	if out, err := exec.Command("tar", "--version").Output(); err != nil || !strings.Contains(string(out), "GNU tar") {
		t.Skip("NOT TESTED: there is no GNU tar here")
	}
	from, compared := sourceTree(t), 0
	for _, format := range []string{"ustar", "gnu", "posix", "oldgnu"} {
		for _, pack := range []string{"", "-z", "-j", "-J", "--zstd"} {
			for _, top := range []string{"top", "./top"} {
				name := filepath.Join(t.TempDir(), "a.tar")
				args := []string{"--format=" + format, "-C", from, "-cf", name, top}
				if pack != "" {
					args = append(args, pack)
				}
				if out, err := exec.Command("tar", args...).CombinedOutput(); err != nil {
					t.Logf("NOT TESTED: tar %q: %v: %s", args, err, out)
					continue
				}
				sameAsGNU(t, name, args)
				compared++
			}
		}
	}
	if compared < 16 { // plain and gzip in each format
		t.Errorf("compared %d archives", compared)
	}
}

func sameAsGNU(t *testing.T, name string, args []string) {
	theirs, ours := t.TempDir(), t.TempDir()
	strip := "--strip-components=1"
	if args[len(args)-1] == "./top" || len(args) > 6 && args[5] == "./top" {
		strip = "--strip-components=2" // it counts the dot
	}
	if out, err := exec.Command("tar", "-xpf", name, "-C", theirs, strip).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l, err := List(context.Background(), host.Content{Open: func() (host.File, error) { return os.Open(name) }}, 1)
	if err != nil {
		t.Errorf("%q: %v", args, err)
		return
	}
	root, err := os.OpenRoot(ours)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := l.Extract(context.Background(), root, all, Options{}); err != nil {
		t.Errorf("%q: %v", args, err)
	}
	if got, want := snapshot(t, ours), snapshot(t, theirs); got != want {
		t.Errorf("%q: got\n%swant\n%s", args, got, want)
	}
}

func BenchmarkExtract(b *testing.B) {
	var members []hdr
	for range 20 {
		members = append(members, file("x", ""))
	}
	for i := range members {
		members[i] = file(filepath.Join("d", strings.Repeat("n", i+1)), strings.Repeat("0123456789abcdef", 1<<19))
	}
	name := filepath.Join(b.TempDir(), "a.tar")
	data := pack(b, members...)
	os.WriteFile(name, data, 0o644)
	c := host.Content{Open: func() (host.File, error) { return os.Open(name) }}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		l, err := List(context.Background(), c, 0)
		if err != nil {
			b.Fatal(err)
		}
		root, _ := os.OpenRoot(b.TempDir())
		if err := l.Extract(context.Background(), root, all, Options{}); err != nil {
			b.Fatal(err)
		}
		root.Close()
	}
}
