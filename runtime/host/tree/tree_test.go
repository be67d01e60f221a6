package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func open(t *testing.T, o Options) (*Writer, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := New(root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); root.Close() })
	return w, dir
}

func whoever() Options { return Options{UID: -1, GID: -1} }

// put makes a file by all steps.
func put(w *Writer, name, text string) error {
	f, err := w.Create(name)
	if err != nil {
		return err
	}
	a := w.Attr(0o640)
	a.ModTime = time.Unix(1_470_000_000, 123_456_789)
	_, err = f.WriteString(text)
	if err = w.Finish(f, a, err); err == nil {
		err = w.Commit(filepath.Dir(name))
	}
	if err == nil {
		err = w.Rename(name)
	}
	return err
}

// listing is every name below dir with its type, mode, and content or target.
func listing(t *testing.T, dir string) (all string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		fi, err := d.Info()
		rel, _ := filepath.Rel(dir, name)
		data, _ := os.ReadFile(name)
		to, _ := os.Readlink(name)
		all += fmt.Sprintf("%s %v %s%s\n", rel, fi.Mode(), data, to)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWriter(t *testing.T) {
	w, dir := open(t, whoever())
	for _, name := range []string{"d", "d/e", "d"} {
		if made, err := w.Mkdir(name, w.Attr(0o751)); err != nil || made != (name != "d" || listing(t, dir) == "d drwxr-x--x \n") {
			t.Errorf("%s: made %v, %v", name, made, err)
		}
	}
	errs := errors.Join(put(w, "d/e/f", "one"), put(w, "g", "two"), put(w, "g", "three"), w.Link("g", "d/h"), w.Link("g", "d/h"),
		w.Symlink("../g", "d/l", w.Attr(0)), w.Symlink("g", "d/l", w.Attr(0)))
	if errs != nil {
		t.Fatal(errs)
	}
	want := "d drwxr-x--x \nd/e drwxr-x--x \nd/e/f -rw-r----- one\nd/h -rw-r----- three\nd/l Lrwxrwxrwx g\ng -rw-r----- three\n"
	if got := listing(t, dir); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if fi, err := os.Stat(filepath.Join(dir, "g")); err != nil || fi.ModTime().UnixNano() != 1_470_000_000_123_456_789 {
		t.Errorf("got time %v, %v", fi.ModTime(), err)
	}
	if _, err := w.Mkdir("g", w.Attr(0o755)); err == nil || !strings.Contains(err.Error(), "g: is there and is not a directory") {
		t.Errorf("got %v", err)
	}
}

func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	w, dir := open(t, Options{UID: 65534, GID: 4})
	_, err := w.Mkdir("d", w.Attr(0o755))
	if err := errors.Join(err, put(w, "d/f", "x"), w.Symlink("f", "d/l", w.Attr(0))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d", "d/f", "d/l"} {
		fi, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if st := fi.Sys().(*syscall.Stat_t); st.Uid != 65534 || st.Gid != 4 {
			t.Errorf("%s belongs to %d:%d", name, st.Uid, st.Gid)
		}
	}
}

// Wherever it is cut off, a name holds what it held or all that is new, and what
// lies beside it is swept.
func TestCutOffAnywhere(t *testing.T) {
	for at := 1; ; at++ {
		calls := 0
		o := whoever()
		o.Fault = func(string) error {
			if calls++; calls == at {
				return syscall.EIO
			}
			return nil
		}
		w, dir := open(t, o)
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte("old"), 0o640); err != nil {
			t.Fatal(err)
		}
		_, err := w.Mkdir("d", w.Attr(0o755))
		err = errors.Join(err, put(w, "f", "new"), put(w, "d/g", "new"))
		if err == nil {
			break // beyond the last call
		}
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, syscall.EIO) {
			t.Errorf("call %d: got %v", at, err)
		}
		if err := w.Sweep(".", "d", "nowhere"); err != nil {
			t.Error(err)
		}
		for l := range strings.Lines(listing(t, dir)) {
			if name, rest, _ := strings.Cut(l, " "); name != "d" && !strings.HasSuffix(rest, " old\n") && !strings.HasSuffix(rest, " new\n") {
				t.Errorf("call %d left %s", at, l)
			}
		}
	}
}

// What lies under a partial name is replaced, whatever it is, and never followed.
func TestPlantedPartials(t *testing.T) {
	w, dir := open(t, whoever())
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func(string) error{
		"link":      func(p string) error { return os.Symlink(outside, p) },
		"hard link": func(p string) error { return os.Link(outside, p) },
		"directory": func(p string) error { return os.MkdirAll(filepath.Join(p, "x"), 0o700) },
		"fifo":      func(p string) error { return syscall.Mkfifo(p, 0o600) },
	} {
		if err := plant(filepath.Join(dir, Partial(name))); err != nil {
			t.Fatal(err)
		}
		if err := put(w, name, "whole"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if data, err := os.ReadFile(filepath.Join(dir, name)); string(data) != "whole" {
			t.Errorf("%s: got %q, %v", name, data, err)
		}
	}
	if data, _ := os.ReadFile(outside); string(data) != "mine" {
		t.Errorf("outside holds %q", data)
	}
}

// Two writers cannot have a tree at once, and the second learns how the first ended.
func TestLock(t *testing.T) {
	w, dir := open(t, whoever())
	if cut, err := w.Lock("lock"); cut || err != nil {
		t.Fatalf("got cut off %v, %v", cut, err)
	}
	again := func() (bool, error) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		other, err := New(root, whoever())
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		return other.Lock("lock")
	}
	if _, err := again(); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
	w.Close()
	if cut, err := again(); !cut || err != nil {
		t.Errorf("after one that was cut off: %v, %v", cut, err)
	}
	w, dir = open(t, whoever())
	if _, err := w.Lock("lock"); err != nil {
		t.Fatal(err)
	}
	if err := w.Unlock(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if cut, err := again(); cut || err != nil {
		t.Errorf("after one that came to its end: %v, %v", cut, err)
	}
}

// Many goroutines write to more directories than are held open.
func TestManyAtOnce(t *testing.T) {
	w, dir := open(t, whoever())
	const dirs, files = 3 * maxOpenDirs, 5
	var all sync.WaitGroup
	for i := range dirs {
		all.Go(func() {
			if _, err := w.Mkdir(fmt.Sprintf("d%d", i), w.Attr(0o755)); err != nil {
				t.Error(err)
			}
			for k := range files {
				if err := put(w, fmt.Sprintf("d%d/f%d", i, k), fmt.Sprint(i, k)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for i := range dirs {
		for k := range files {
			if data, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("d%d/f%d", i, k))); string(data) != fmt.Sprint(i, k) {
				t.Errorf("got %q, %v", data, err)
			}
		}
	}
}
