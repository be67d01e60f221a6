package mirrored_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"runbook/builtins/internal/mirror/state"
	"runbook/builtins/mirrored"
)

const digits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// A digest is that of the very file that the mirror compared: not of another under its name, nor of one that changed.
func TestDigest(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) fs.FileInfo {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return fi
	}
	known := func(fi fs.FileInfo, kind state.Kind) state.Known {
		ino := fi.Sys().(*syscall.Stat_t).Ino
		return state.Known{Size: fi.Size(), Mtime: fi.ModTime().UnixNano(), Ino: ino, Sum: state.ParseSum(kind, digits)}
	}
	a, b, c, index := put("a", "1"), put("b", "2"), put("c", "3"), put("repodata.json", "{}")
	var text bytes.Buffer
	w := state.NewWriter(&text)
	w.Add("a", known(a, state.SHA256))
	w.Add("b", known(b, state.MD5))
	w.Add("c", state.Known{Size: 1, Mtime: c.ModTime().UnixNano(), Ino: c.Sys().(*syscall.Stat_t).Ino}) // no digest
	form := known(index, state.None)
	err := w.End(state.Header{Subdir: "noarch", JSON: digits,
		Forms: []state.Form{{Name: "repodata.json", Size: form.Size, Mtime: form.Mtime, Ino: form.Ino}}})
	if err != nil {
		t.Fatal(err)
	}
	s := mirrored.Parse(text.Bytes(), "noarch")
	for name, c := range map[string]struct {
		fi   fs.FileInfo
		want string
	}{
		"a": {a, "sha256-" + digits[:32]}, "b": {b, "md5-" + digits[:32]}, "c": {c, ""}, "d": {a, ""},
		"repodata.json": {index, "sha256-" + digits[:32]}, "repodata.json.zst": {index, ""},
	} {
		if have := s.Digest(name, c.fi); have != c.want {
			t.Errorf("%s: got %q, want %q", name, have, c.want)
		}
	}
	if have := s.Digest("a", b); have != "" {
		t.Errorf("got %q for another file", have)
	}
	put("a", "2")
	if err := os.Chtimes(filepath.Join(dir, "a"), time.Time{}, a.ModTime().Add(1)); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(filepath.Join(dir, "a")); err != nil || s.Digest("a", fi) != "" {
		t.Errorf("got %q for what changed in place", s.Digest("a", fi))
	}
	if have := mirrored.Parse(text.Bytes(), "linux-64"); have != nil || have.Digest("a", a) != "" {
		t.Error("one subdir's state was taken for another's")
	}
	if mirrored.Parse([]byte(strings.Replace(text.String(), "a", "b", 1)), "noarch") != nil {
		t.Error("a damaged state was taken")
	}
}
