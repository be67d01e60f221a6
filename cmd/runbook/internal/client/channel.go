package client

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Stub makes a package with one file, by Debian's conda-package-handling, in the directory dir, and returns its path.
// Its name says all: NAME-VERSION-BUILD and the format's ending. It depends on nothing.
func Stub(t testing.TB, dir, file string) string {
	t.Helper()
	cph := Tool(t, "cph", "conda-package-handling")
	stem := strings.TrimSuffix(strings.TrimSuffix(file, ".conda"), ".tar.bz2")
	parts := strings.Split(stem, "-")
	if len(parts) != 3 {
		t.Fatalf("%s is not called NAME-VERSION-BUILD", file)
	}
	prefix := t.TempDir()
	put(t, prefix+"/info/index.json",
		marshal(t, map[string]any{"name": parts[0], "version": parts[1], "build": parts[2], "build_number": 0}))
	put(t, prefix+"/info/files", []byte("share/"+stem+"\n"))
	put(t, prefix+"/share/"+stem, []byte(stem+"\n"))
	if out, err := exec.Command(cph, "create", "--out-folder", dir, prefix, file).CombinedOutput(); err != nil {
		t.Fatalf("cph create %s: %v\n%s", file, err, out)
	}
	return filepath.Join(dir, file)
}

// Channel makes a channel of packages in the directory dir. Each has the record that is in it, in the subdir that
// this says, or else linux-64; noarch is always there. Packages that cannot be read whole are left out and returned.
func Channel(t testing.TB, dir string, packages ...string) (unread []string) {
	t.Helper()
	index := map[string]map[string]any{"noarch": {}}
	for i, c := range Read(t, packages...) {
		if c.Error != "" {
			unread = append(unread, packages[i])
			continue
		}
		data, err := os.ReadFile(packages[i])
		if err != nil {
			t.Fatal(err)
		}
		subdir, kind, file := "linux-64", "packages", filepath.Base(packages[i])
		if s, ok := c.Index["subdir"].(string); ok {
			subdir = s
		}
		if strings.HasSuffix(file, ".conda") {
			kind = "packages.conda"
		}
		if index[subdir] == nil {
			index[subdir] = map[string]any{}
		}
		if index[subdir][kind] == nil {
			index[subdir][kind] = map[string]any{}
		}
		index[subdir][kind].(map[string]any)[file] = record(c.Index, data)
		put(t, filepath.Join(dir, subdir, file), data)
	}
	for subdir, all := range index {
		all["info"] = map[string]any{"subdir": subdir}
		put(t, filepath.Join(dir, subdir, "repodata.json"), marshal(t, all))
	}
	return unread
}

// record is what an index says of a package that says index of itself.
func record(index map[string]any, data []byte) map[string]any {
	md5, sha256 := md5.Sum(data), sha256.Sum256(data)
	index["md5"], index["sha256"], index["size"] = hex.EncodeToString(md5[:]), hex.EncodeToString(sha256[:]), len(data)
	if index["depends"] == nil {
		index["depends"] = []string{} // clients insist on it
	}
	return index
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func put(t testing.TB, name string, data []byte) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
