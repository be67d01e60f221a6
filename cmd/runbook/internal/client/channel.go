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

// Stubs makes packages with one file each, by Debian's conda-package-handling, in the directory dir, and returns their
// paths. A package is given as "SUBDIR/NAME-VERSION-BUILD.ENDING DEPENDENCY, DEPENDENCY..."; a name has no hyphen.
func Stubs(t testing.TB, dir string, packages ...string) (paths []string) {
	t.Helper()
	Tool(t, "cph", "conda-package-handling")
	python := Python(t)
	for _, p := range packages {
		file, depends, _ := strings.Cut(p, " ")
		subdir, base := filepath.Split(file)
		stem := strings.TrimSuffix(strings.TrimSuffix(base, ".conda"), ".tar.bz2")
		parts := strings.Split(stem, "-")
		if len(parts) != 3 || subdir == "" {
			t.Fatalf("%s is not called SUBDIR/NAME-VERSION-BUILD", file)
		}
		record := map[string]any{"name": parts[0], "version": parts[1], "build": parts[2], "build_number": 0,
			"subdir": filepath.Clean(subdir), "depends": strings.FieldsFunc(depends, func(r rune) bool { return r == ',' })}
		prefix := filepath.Join(dir, "made", file)
		put(t, prefix+"/info/index.json", marshal(t, record))
		put(t, prefix+"/info/files", []byte("share/"+stem+"\n"))
		put(t, prefix+"/share/"+stem, []byte(stem+" for "+subdir+"\n"))
		paths = append(paths, filepath.Join(dir, file))
	}
	const script = `import os, sys
from conda_package_handling.api import create
for path in sys.argv[2:]:
    prefix = os.path.join(sys.argv[1], "made", os.path.relpath(path, sys.argv[1]))
    create(prefix, None, os.path.basename(path), os.path.dirname(path))`
	for _, path := range paths {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(python, append([]string{"-c", script, dir}, paths...)...).CombinedOutput(); err != nil {
		t.Fatalf("make packages: %v\n%s", err, out)
	}
	return paths
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
