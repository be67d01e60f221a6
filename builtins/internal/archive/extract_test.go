package archive

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"runbook/runtime/host"
)

func all(string) bool { return true }

// unpack lists and extracts into a new directory.
func unpack(t testing.TB, data []byte, strip int, want func(string) bool, o Options) (dest string, err error) {
	t.Helper()
	dest = t.TempDir()
	return dest, unpackTo(t, dest, data, strip, want, o)
}

func unpackTo(t testing.TB, dest string, data []byte, strip int, want func(string) bool, o Options) error {
	t.Helper()
	l, err := list(data, strip)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dest)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return l.Extract(context.Background(), root, want, o)
}

// snapshot returns all below dir: mode, time of files, name, content or target.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		switch {
		case fi.Mode().IsRegular():
			data, _ := os.ReadFile(p)
			fmt.Fprintf(&b, "%v %d %s %x\n", fi.Mode(), fi.ModTime().Unix(), rel, sha256.Sum256(data))
		case fi.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(p)
			fmt.Fprintf(&b, "%v %s %s\n", fi.Mode(), rel, to)
		default:
			fmt.Fprintf(&b, "%v %s\n", fi.Mode(), rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func sample(t testing.TB) []byte {
	closed := dir("closed/")
	closed.Mode = 0o555
	return pack(t, dir("d/"), file("d/f", "abc"), sym("d/l", "f"), hard("h", "d/f"), closed, file("closed/x", "in"),
		file("deep/er/big", strings.Repeat("0123456789abcdef", 100_000)), file("empty", ""))
}

func TestExtract(t *testing.T) {
	data := sample(t)
	want := ""
	for i, data := range [][]byte{data, gz(t, data)} {
		for _, o := range []Options{{}, {SHA256: fmt.Sprintf("%X", sha256.Sum256(data))}, {MD5: fmt.Sprintf("%x", md5.Sum(data))}} {
			dest, err := unpack(t, data, 0, all, o)
			got := snapshot(t, dest)
			if want == "" {
				want = got
			}
			if err != nil || got != want || len(strings.Split(got, "\n")) != 11 || strings.Contains(got, tmpPrefix) {
				t.Errorf("%d %v: %v, got\n%s", i, o, err, got)
			}
			a, _ := os.Stat(filepath.Join(dest, "d/f"))
			b, _ := os.Stat(filepath.Join(dest, "h"))
			if !os.SameFile(a, b) || a.ModTime() != stamp {
				t.Errorf("%v and %v are no hard links with the archive's time", a, b)
			}
			if err := unpackTo(t, dest, data, 0, all, o); err != nil || snapshot(t, dest) != want {
				t.Errorf("again: %v, got\n%s", err, snapshot(t, dest))
			}
		}
	}
}

func TestWrongDigestLeavesNothing(t *testing.T) {
	data := sample(t)
	for _, data := range [][]byte{data, gz(t, data)} {
		for _, o := range []Options{{SHA256: strings.Repeat("0", 64)}, {MD5: strings.Repeat("0", 32)}} {
			dest := t.TempDir()
			os.WriteFile(filepath.Join(dest, "empty"), []byte("mine"), 0o644)
			before := snapshot(t, dest)
			err := unpackTo(t, dest, data, 0, all, o)
			if err == nil || !strings.Contains(err.Error(), "want 0000") {
				t.Errorf("got %v, want an error about the digest", err)
			}
			if after := snapshot(t, dest); after != before {
				t.Errorf("got\n%swant\n%s", after, before)
			}
		}
	}
}

func TestOnlyWhatIsWanted(t *testing.T) {
	data := pack(t, file("a", "1"), hard("b", "a"), hard("c", "b"), file("x/y", "2"), sym("l", "a"))
	dest := t.TempDir()
	os.WriteFile(filepath.Join(dest, "a"), []byte("kept"), 0o600)
	want := map[string]bool{"b": true, "c": true, "l": true}
	if err := unpackTo(t, dest, data, 0, func(n string) bool { return want[n] }, Options{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "kept", "b": "1", "c": "1", "l": "kept", "x": ""} {
		if got, _ := os.ReadFile(filepath.Join(dest, name)); string(got) != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	b, _ := os.Stat(filepath.Join(dest, "b"))
	if n := b.Sys().(*syscall.Stat_t).Nlink; n != 2 {
		t.Errorf("b has %d links, want 2: itself and c", n)
	}
}

func TestLinksInTheWay(t *testing.T) {
	data := pack(t, dir("d/"), file("d/f", "new"), sym("l", "d"))
	top := t.TempDir()
	outside, dest := filepath.Join(top, "outside"), filepath.Join(top, "dest")
	os.WriteFile(outside, []byte("mine"), 0o644)
	os.MkdirAll(filepath.Join(dest, "d"), 0o755)
	os.Symlink(outside, filepath.Join(dest, "d/f"))
	os.WriteFile(filepath.Join(dest, "l"), []byte("a file"), 0o644)
	if err := unpackTo(t, dest, data, 0, all, Options{}); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(outside)
	fi, _ := os.Lstat(filepath.Join(dest, "d/f"))
	to, _ := os.Readlink(filepath.Join(dest, "l"))
	if string(got) != "mine" || !fi.Mode().IsRegular() || to != "d" {
		t.Errorf("got %q outside, %v, link to %q", got, fi.Mode(), to)
	}
	os.RemoveAll(filepath.Join(dest, "d"))
	os.Symlink(top, filepath.Join(dest, "d"))
	if err := unpackTo(t, dest, data, 0, all, Options{}); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("got %v, want a refusal of d", err)
	}
}

func TestLeftoversOfAKilledRun(t *testing.T) {
	dest := t.TempDir()
	for _, name := range []string{"f", "l"} {
		os.Symlink("/etc/passwd", filepath.Join(dest, tmpName(name)))
	}
	if err := unpackTo(t, dest, pack(t, file("f", "x"), sym("l", "f")), 0, all, Options{}); err != nil {
		t.Fatal(err)
	}
	if got := snapshot(t, dest); strings.Contains(got, tmpPrefix) || strings.Count(got, "\n") != 2 {
		t.Error(got)
	}
}

func TestInterrupted(t *testing.T) {
	l, err := list(sample(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	dest := t.TempDir()
	root, _ := os.OpenRoot(dest)
	defer root.Close()
	why := fmt.Errorf("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	o := Options{Progress: func(done, total int64) {
		if total != 3+2+1_600_000 || done > total {
			t.Errorf("got %d of %d bytes", done, total)
		}
		cancel(why)
	}}
	if err := l.Extract(ctx, root, all, o); err != why || snapshot(t, dest) != "" {
		t.Errorf("got %v and\n%s", err, snapshot(t, dest))
	}
}

func TestArchiveThatChanges(t *testing.T) {
	for what, other := range map[string][]hdr{
		"size": {file("a", "12"), file("b", "")}, "more": {file("a", "1"), file("b", ""), file("c", "")}, "fewer": {file("a", "1")},
		"name": {file("a", "1"), file("x", "")}, "type": {file("a", "1"), dir("b")}, "link": {file("a", "1"), hard("b", "a")},
	} {
		now := pack(t, file("a", "1"), file("b", ""))
		c := host.Content{Open: func() (host.File, error) { return host.Bytes(now).Reader() }}
		l, err := List(context.Background(), c, 0)
		if err != nil {
			t.Fatal(err)
		}
		now = pack(t, other...)
		dest := t.TempDir()
		root, _ := os.OpenRoot(dest)
		if err := l.Extract(context.Background(), root, all, Options{}); err != errChanged || snapshot(t, dest) != "" {
			t.Errorf("%s: got %v and\n%s", what, err, snapshot(t, dest))
		}
		root.Close()
	}
}

func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dest, err := unpack(t, pack(t, file("d/f", "x"), sym("l", "d"), hard("h", "d/f")), 0, all, Options{Owner: &Owner{65534, 4}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d", "d/f", "l", "h"} {
		fi, err := os.Lstat(filepath.Join(dest, name))
		if err != nil {
			t.Fatal(err)
		}
		if st := fi.Sys().(*syscall.Stat_t); st.Uid != 65534 || st.Gid != 4 {
			t.Errorf("%s belongs to %d:%d", name, st.Uid, st.Gid)
		}
	}
}

// Many small files need more than one batch, renamed as soon as it is synced.
func TestBatches(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it waits for disks")
	}
	var members []hdr
	for i := range 3*batchFiles + 5 {
		members = append(members, file(fmt.Sprintf("d%d/f%d", i%7, i), fmt.Sprint(i)))
	}
	data := pack(t, members...)
	for _, o := range []Options{{}, {SHA256: fmt.Sprintf("%x", sha256.Sum256(data))}} {
		dest, err := unpack(t, data, 0, all, o)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range members {
			if got, err := os.ReadFile(filepath.Join(dest, m.Name)); string(got) != fmt.Sprint(i) {
				t.Fatalf("%s: got %q, %v", m.Name, got, err)
			}
		}
	}
}

// Somebody exchanges a directory for a link to the outside while we write.
func TestNobodyLeadsUsOutside(t *testing.T) {
	var members []hdr
	for i := range 200 {
		members = append(members, file(fmt.Sprintf("d/f%d", i), "x"))
	}
	data := pack(t, members...)
	top := t.TempDir()
	dest, outside := filepath.Join(top, "dest"), filepath.Join(top, "outside")
	os.MkdirAll(filepath.Join(dest, "d"), 0o755)
	os.Mkdir(outside, 0o755)
	stop, swaps := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				swaps <- n
				return
			default:
			}
			os.Rename(filepath.Join(dest, "d"), filepath.Join(dest, "real"))
			os.Symlink(outside, filepath.Join(dest, "d"))
			os.Remove(filepath.Join(dest, "d"))
			os.Rename(filepath.Join(dest, "real"), filepath.Join(dest, "d"))
		}
	}()
	for until := time.Now().Add(400 * time.Millisecond); time.Now().Before(until); {
		unpackTo(t, dest, data, 0, all, Options{}) // may well refuse
	}
	close(stop)
	if n := <-swaps; n == 0 {
		t.Error("nothing was exchanged")
	}
	if got := snapshot(t, outside); got != "" {
		t.Errorf("outside:\n%s", got)
	}
}
