package mirror

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"runbook/builtins/internal/mirror/state"
	"runbook/builtins/internal/repodata"
)

// hostileKeys are names under which an index could have files written.
var hostileKeys = []string{
	"../x-1-0.conda", "../../x-1-0.tar.bz2", "a/../../x-1-0.conda", "/etc/cron.d/x-1-0.conda", "//host/x-1-0.conda", `C:\x-1-0.conda`, `x\..\y-1-0.conda`, ".", "..", "", " ",
	"x-1-0.conda/", "%2e%2e%2fx-1-0.conda", "x%00-1-0.conda", "x\x00-1-0.conda", "x\n-1-0.conda", "x\x1b[2J-1-0.conda", "x\u202e-1-0.conda", "straße-1-0.conda",
	"\u00e9-1-0.conda", "e\u0301-1-0.conda", strings.Repeat("x", 202) + "-1-0.conda", strings.Repeat("x", 4086) + "-1-0.conda", "repodata.json", "repodata.json.zst", ".staging",
	".x-1-0.conda.part", ".conda", "a-1-0.conda?", "a-1-0.conda#", "-rf-1-0.conda", "a b-1-0.conda", "x-1-0.CONDA", "~root-1-0.conda", "$(id)-1-0.conda", "x-1-0.tar.bz2\u2028",
	state.Dir, state.Dir + "/lock", "shards/x-1-0.conda", "nul\\x-1-0.conda",
}

// hostileMembers are what a record could have.
func hostileMembers() (all []string) {
	hex := strings.Repeat("a", 64)
	for _, v := range []string{"-1", "0.5", "9223372036854775807", "9223372036854775808", "1e400", `"12"`, "12.0", "[]",
		"{}", "true", "-0", "NaN"} {
		all = append(all, `"size":`+v)
	}
	for _, v := range []string{`"x"`, `"` + hex[1:] + `"`, `"` + hex + `a"`, `"` + strings.Repeat("g", 64) + `"`, "5",
		`["` + hex + `"]`, `"../../etc/passwd"`, "{}"} {
		all = append(all, `"sha256":`+v, `"md5":`+v)
	}
	return append(all, `"depends":"x"`, `"depends":[1]`, `"name":5`, `"name":["x"]`, `"version":{}`, `"build":1`,
		`"build_number":"1"`, `"size":1,"size":2`,
		`"sha256":"`+hex+`","sha256":"`+hex+`"`, `"a":`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000),
		`"a":"`+"\xff"+`"`, `"a":"\ud800"x`, `"a":"`+"\x01"+`"`, `"a":01`)
}

// hostileTexts are whole indexes.
func hostileTexts() map[string]string {
	texts := map[string]string{
		"array": "[]", "null": "null", "number": "5", "string": `"x"`, "two": "{}{}", "garbage behind": "{} x", "mark": "\ufeff{}", "UTF-16": "\xff\xfe{\x00}\x00",
		"page": "<!DOCTYPE html><html></html>", "half": `{"packages":{"x-1-0.tar.bz2":{"name":"x"`, "no quotes": "{packages:{}}", "comma": `{"packages":{},}`, "bad UTF-8": `{"a":"` + "\xc3\x28" + `"}`,
		"deep":          `{"a":` + strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000) + "}",
		"deep objects":  strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000),
		"twice":         `{"packages":{},"packages":{}}`,
		"case pair":     `{"packages.conda":{"A-1-0.conda":{},"a-1-0.conda":{}}}`,
		"same twice":    `{"packages":{"a-1-0.tar.bz2":{},"a-1-0.tar.bz2":{}}}`,
		"other subdir":  `{"info":{"subdir":"../noarch"},"packages":{}}`,
		"info a list":   `{"info":[],"packages":{}}`,
		"base a list":   `{"info":{"subdir":"linux-64","base_url":[]},"packages":{}}`,
		"removed":       `{"removed":{"../../x":1},"packages":{}}`,
		"packages list": `{"packages":[]}`,
		"long string":   `{"packages":{"x-1-0.tar.bz2":{"name":"` + strings.Repeat("x", 20<<20) + `"}}}`,
		"long depends":  `{"packages":{"x-1-0.tar.bz2":{"depends":[` + strings.Repeat(`"x",`, 5_000_000) + `"x"]}}}`,
	}
	for _, key := range hostileKeys {
		quoted, _ := json.Marshal(key)
		for _, section := range []string{"packages", "packages.conda"} {
			texts["key "+key+" in "+section] = fmt.Sprintf(`{%q: {%s: {"name": "x", "version": "1", "build": "0", "size": 5, "md5": "5d41402abc4b2a76b9719d911017c592"}}}`, section, quoted)
		}
	}
	for _, m := range hostileMembers() {
		texts["member "+m[:min(len(m), 60)]] = `{"packages": {"x-1-0.tar.bz2": {` + m + `}}}`
	}
	return texts
}

// hostileRig is a machine with files all around a mirror, and what they are.
func hostileRig(t testing.TB) (r *rig, m *Mirror, before string) {
	r = newMemoryRig(t)
	r.channel("/src", "linux-64", "a", "b")
	for _, name := range []string{"/etc/cron.d/x", "/dst/x", "/dst/acc2/linux-64/x", "/dst/acc/x",
		"/dst/acc/linux-64/x", "/x"} {
		r.put(name, "canary")
	}
	m = r.mirror()
	m.NoBzip2 = true
	r.must(m)
	return r, m, around(t, r)
}

// around lists all but what a mirror may write: ACCOUNT/SUBDIR/<a package's name or a form of the index>, and its
// state.
func around(t testing.TB, r *rig) string {
	var b strings.Builder
	err := filepath.WalkDir(r.root, func(name string, d fs.DirEntry, err error) error {
		rel := strings.TrimPrefix(name, r.root)
		dir, file := filepath.Split(rel)
		switch {
		case err != nil || rel == "/src" || rel == "/dst/acc/"+state.Dir:
			if d != nil && d.IsDir() && err == nil {
				return fs.SkipDir
			}
			return err
		case dir == "/dst/acc/linux-64/" && (repodata.CheckFile(file) == nil || strings.HasPrefix(file, "repodata.json")):
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		text := ""
		if fi.Mode().IsRegular() {
			text = fi.ModTime().String()
		}
		fmt.Fprintln(&b, rel, fi.Mode(), text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Whatever an index says, nothing is written but packages under plain names beside their index, the published index
// stays one, the error says where in the text it is wrong, and little memory is taken.
func TestHostileIndexes(t *testing.T) {
	t.Parallel()
	texts := hostileTexts()
	if len(texts) < 130 {
		t.Errorf("only %d texts", len(texts))
	}
	r, m, before := hostileRig(t)
	var most uint64
	for name, text := range texts {
		r.put("/src/linux-64/repodata.json", text)
		for _, file := range []string{"x-1-0.tar.bz2", "x-1-0.conda"} {
			r.put("/src/linux-64/"+file, "hello")
		}
		_, err := r.run(m, r.local())
		if err == nil || !strings.Contains(err.Error(), "/src/linux-64/repodata.json: ") || len(err.Error()) > 400 ||
			strings.ContainsAny(err.Error(), "\x00\x1b\n\u202e") {
			t.Errorf("%.80q: got %.500q", name, fmt.Sprint(err))
		}
		if n, err := complete(r.path("/dst/acc/linux-64")); n != 2 || err != nil {
			t.Fatalf("%.80q: then the mirror has %d packages, %v", name, n, err)
		}
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		most = max(most, s.HeapInuse)
	}
	if after := around(t, r); after != before {
		t.Errorf("something was written where nothing should be:\n%s", difference(after, before))
	}
	if t.Logf("%d texts, %d MB of memory at most", len(texts), most>>20); most > 512<<20 {
		t.Error("that is too much")
	}
}
