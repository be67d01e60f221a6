package archive

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"runbook/builtins/internal/advice"
	"runbook/runtime/host"
)

// sparseTree makes a directory with files that have holes: in front, behind, between more fragments than one header
// describes, and nothing else.
func sparseTree(t *testing.T) string {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		size int64
		at   []int64
	}{
		"top/front": {1 << 20, []int64{1<<20 - 5}}, "top/behind": {3<<20 + 7, []int64{0}}, "top/hole": {1 << 20, nil},
		"top/none": {0, nil}, "top/full": {5, []int64{0}}, "top/many": {200 << 16, nil},
	} {
		p := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(p), 0o755)
		f, err := os.Create(p)
		if err != nil {
			t.Fatal(err)
		}
		if name == "top/many" {
			for i := range int64(100) {
				c.at = append(c.at, i<<17)
			}
		}
		for _, at := range c.at {
			f.WriteAt([]byte("data\n"), at)
		}
		f.Truncate(c.size)
		f.Close()
	}
	os.WriteFile(filepath.Join(dir, "top/plain"), []byte("no holes"), 0o644)
	return dir
}

// What GNU tar packs with holes left out is what we unpack, and what a dry run reads of it.
func TestSparse(t *testing.T) {
	if out, err := exec.Command("tar", "--version").Output(); err != nil || !strings.Contains(string(out), "GNU tar") {
		t.Skip("NOT TESTED: there is no GNU tar here")
	}
	from := sparseTree(t)
	for _, args := range [][]string{
		{"--format=gnu"}, {"--format=oldgnu"}, {"--format=posix"}, {"--format=gnu", "-z"}, {"--format=posix", "-z"},
	} {
		name := filepath.Join(t.TempDir(), "a.tar")
		args = append(args, "--hole-detection=raw", "-S", "-C", from, "-cf", name, "top")
		if out, err := exec.Command("tar", args...).CombinedOutput(); err != nil {
			t.Fatalf("tar %q: %v: %s", args, err, out)
		}
		if fi, err := os.Stat(name); err != nil || fi.Size() > 2<<20 {
			t.Errorf("%q: got %d bytes, want that holes were left out", args, fi.Size())
		}
		sameAsGNU(t, name, args)
		c := host.Content{Open: func() (host.File, error) { return os.Open(name) }}
		l, err := List(context.Background(), c, 0)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, e := range l.Entries {
			if !e.Mode.IsRegular() {
				continue
			}
			want, _ := os.ReadFile(filepath.Join(from, e.Name))
			f, err := e.Content.Reader()
			if err != nil {
				t.Error(e.Name, err)
				continue
			}
			if got, err := io.ReadAll(f); err != nil || string(got) != string(want) || e.Size != int64(len(want)) {
				t.Errorf("%q: %s: got %d bytes, %v, want %d", args, e.Name, len(got), err, len(want))
			}
			f.Close()
		}
	}
}

// Forms whose map is in an extended header are refused, with what to do.
func TestOldSparseForms(t *testing.T) {
	if out, err := exec.Command("tar", "--version").Output(); err != nil || !strings.Contains(string(out), "GNU tar") {
		t.Skip("NOT TESTED: there is no GNU tar here")
	}
	from := sparseTree(t)
	for _, version := range []string{"0.0", "0.1"} {
		name := filepath.Join(t.TempDir(), "a.tar")
		out, err := exec.Command("tar", "--format=posix", "--sparse-version="+version, "-S", "-C", from, "-cf", name, "top").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		_, err = List(context.Background(), host.Content{Open: func() (host.File, error) { return os.Open(name) }}, 0)
		if err == nil || !strings.Contains(err.Error(), "is sparse") && !strings.Contains(err.Error(), "twice") || !strings.Contains(advice.Of(err), "--sparse-version=1.0") {
			t.Errorf("%s: got %v (hint: %s)", version, err, advice.Of(err))
		}
	}
}

// Maps that do not fit what is there are refused.
func TestWrongSparseMaps(t *testing.T) {
	one := []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=9"}
	data := "1\n0\n1\n" + strings.Repeat("\x00", block-6) + "x"
	for name, c := range map[string]struct{ archive, want string }{
		"right":               {pax('x', one...) + rawOf('0', "c", data) + end, ""},
		"a map besides":       {pax('x', append([]string{"GNU.sparse.map=0,1"}, one...)...) + rawOf('0', "c", data) + end, "is sparse"},
		"of a later kind":     {pax('x', "GNU.sparse.major=2", "GNU.sparse.minor=0", "GNU.sparse.realsize=9") + rawOf('0', "c", data) + end, "is sparse"},
		"beyond the file":     {pax('x', one...) + rawOf('0', "c", "1\n8\n5\n"+strings.Repeat("\x00", block-6)+"xxxxx") + end, "header"},
		"less data":           {pax('x', one...) + rawOf('0', "c", "1\n0\n1\n"+strings.Repeat("\x00", block-6)) + end, "non-existent data"},
		"size beyond the end": {pax('x', append([]string{"size=99999"}, one...)...) + rawOf('0', "c", data) + end, "early"},
		"S without GNU":       {rawOf('S', "c", "x") + end, "none of tar"},
	} {
		l, err := List(context.Background(), host.Bytes([]byte(c.archive)), 0)
		if err == nil {
			root, rerr := os.OpenRoot(t.TempDir())
			if rerr != nil {
				t.Fatal(rerr)
			}
			err = l.Extract(context.Background(), root, all, Options{})
			root.Close()
		}
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
