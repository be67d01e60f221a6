package repodata

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

const zlib = `{"name":"zlib","version":"1.2","build":"0","x":[{"k\u0065y":1e3}]}`

func TestParse(t *testing.T) {
	index, err := Parse(` {"info": {"subdir":"linux-64","base_url":"../x"}, "repodata_version": 2,
		"packages": {"zlib-1.2-0.tar.bz2": ` + zlib + `, "a-1-0.tar.bz2": {"size": 12, "md5": "D41D8CD98F00B204E9800998ECF8427E",
			"depends": ["python 3.5*", "b"], "license": 7, "license_family": null, "sha256": "", "name": "\u0061"}},
		"packages.conda": {"a-1-0.conda": {"sha256": null, "depends": null}}, "removed": ["b-1-0.conda", "a-1-0.conda"],
		"signatures": {"a-1-0.conda": {"k": {}}, "gone-1-0.conda": {}}, "v3": {"whl": {}}, "packages.whl": {}, "odd": null}`)
	if err != nil {
		t.Fatal(err)
	}
	want := Fields{Name: "a", MD5: "d41d8cd98f00b204e9800998ecf8427e", Size: 12, Depends: []string{"python 3.5*", "b"}}
	for r, got := range index.All() {
		switch {
		case r.File == "a-1-0.tar.bz2" && (!reflect.DeepEqual(*got, want) || r.Named(got)),
			strings.HasPrefix(r.File, "zlib") && (got.Size != -1 || !r.Named(got)):
			t.Errorf("%s: got %+v", r.File, got)
		}
	}
	if fmt.Sprint(index.Dropped) != "[v3]" || !index.Records[2].Conda {
		t.Error(index.Dropped, index.Records[2])
	}
	index.Records = append(index.Records[:1], index.Records[2])
	const wrote = `{
"info":{"subdir":"linux-64"},
"packages":{
"zlib-1.2-0.tar.bz2":` + zlib + `},
"packages.conda":{
"a-1-0.conda":{"sha256": null, "depends": null}},
"removed":["b-1-0.conda"],
"repodata_version":1,
"signatures":{"a-1-0.conda":{"k": {}}},
"odd":null
}
`
	if got := string(index.Bytes()); got != wrote {
		t.Errorf("got %s", got)
	}
}

func TestEmptyIndexes(t *testing.T) {
	want := ""
	for _, text := range []string{"", " \n", "{}", "{}\n", `{"info":null,"packages":{}}`} {
		index, err := Parse(text)
		if err != nil || len(index.Records) != 0 {
			t.Fatalf("%q: %v", text, err)
		}
		if got := string(index.Bytes()); want == "" {
			want = got
		} else if got != want {
			t.Errorf("%q: got %s", text, got)
		}
	}
	if !json.Valid([]byte(want)) {
		t.Error(want)
	}
}

func TestHostileNames(t *testing.T) {
	names := []string{"../x-1-0.conda", "a/../../x.conda", "/etc/cron.d/x.conda", "//host/x.conda", `C:\x.conda`, `x\..\y.conda`, ".", "..", "", " ",
		"x.conda/", "%2e%2e%2fx.conda", "x%00.conda", "x\x00.conda", "x\n.conda", "x\x1b.conda", "x\u202e.conda", "straße-1-0.conda", "e\u0301-1-0.conda",
		strings.Repeat("x", 206) + ".conda", strings.Repeat("x", 4090) + ".conda", "repodata.json", "repodata.json.zst", ".staging", ".x-1-0.conda.part", ".conda",
		"a-1-0.conda?", "a-1-0.conda#", "a?b-1-0.conda", "-rf-1-0.conda", "a b-1-0.conda", "x.CONDA", "x.tar.gz", "x.tar.bz2.part"}
	for _, name := range names {
		if CheckFile(name) == nil {
			t.Errorf("%q: is taken", name)
		}
		key, _ := json.Marshal(name)
		for _, section := range []string{"packages", "packages.conda"} {
			if _, err := Parse(fmt.Sprintf(`{%q: {%s: {}}}`, section, key)); err == nil {
				t.Errorf("%s in %s: is taken", key, section)
			}
		}
	}
	for _, name := range []string{"zlib-1.2.8-3.tar.bz2", "_r-mutex-1.0.1-anacondar_1.conda", "x-1!2.0+g1-0.conda", "PyYAML-3-0.tar.bz2", strings.Repeat("x", 205) + ".conda"} {
		if err := CheckFile(name); err != nil {
			t.Error(err)
		}
	}
}

func TestHostileValues(t *testing.T) {
	for _, v := range []string{`"size":-1`, `"size":-0`, `"size":9223372036854775807`, `"size":9223372036854775808`, `"size":1e400`, `"size":"12"`, `"size":12.0`,
		`"size":1e2`, `"size":[]`, `"size":true`, `"size":012`, `"sha256":"` + strings.Repeat("a", 63) + `"`, `"sha256":"` + strings.Repeat("a", 65) + `"`,
		`"sha256":"` + strings.Repeat("g", 64) + `"`, `"md5":"abc"`, `"md5":5`, `"name":[]`, `"name":{"a":"b"}`, `"version":1.0`, `"build":false`,
		`"depends":"python"`, `"depends":[1]`, `"depends":[["a"]]`, `"depends":{}`, `"size":1,"size":1`, `"a":1,"A":1,"a":2`, `"a":1,"\u0061":2`} {
		_, err := Parse(`{"packages": {"x-1-0.conda": {` + v + `}}}`)
		if err == nil || !strings.Contains(err.Error(), "x-1-0.conda: line 1, column") {
			t.Errorf("%s: got %v", v, err)
		}
	}
	for _, v := range []string{`"SHA256":5`, `"timestamp":-1e99`, `"subdir":"../noarch"`, `"url":"javascript:"`, `"size":0`, `"size":null`, `"license":[1]`} {
		if _, err := Parse(`{"packages": {"x-1-0.conda": {` + v + `}}}`); err != nil {
			t.Errorf("%s: %v", v, err)
		}
	}
}

func TestHostileStructure(t *testing.T) {
	deep := func(n int) string { return `{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}" }
	for _, text := range []string{"null", "7", `"x"`, "[]", "true", "{}{}", "{} x", "\ufeff{}", "{\x00}", "\xff\xfe{\x00}\x00", `{"a":1,}`, `{,}`, `{"a" 1}`, `{"a":}`,
		`{"a":1 "b":2}`, `{"a":1,"a":2}`, `{"packages":{},"packages":{}}`, `{"info":[]}`, `{"packages":[]}`, `{"packages":null}`, `{"packages":{"x-1-0.conda":[]}}`,
		`{"packages":{"x-1-0.conda":{},"x-1-0.conda":{}}}`, `{"packages":{"x-1-0.conda":{}},"packages.conda":{"x-1-0.conda":{}}}`,
		`{"a":"` + "\xff" + `"}`, `{"a":"\ud800"}`, `{"a":"\udc00\ud800"}`, `{"a":"\ud800\u0041"}`, `{"a":"\x"}`, `{"a":"\u12g4"}`, "{\"a\":\"\n\"}", `{"a":"`, `{"a":"\`,
		`{"a":tru}`, `{"a":nul`, `{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":+1}`, `{"a":NaN}`, `{"a":[1,]}`, `{"a":[1 2]}`, `{"a":{"b":[1,{"c":2,"c":3}]}}`,
		deep(64), deep(10_000), deep(1_000_000), "<!DOCTYPE html><html>", `{'a':1}`, `{"a":1`, `{`, `{"removed":[1]}`, `{"removed":{}}`} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%.60q: is taken", text)
		}
	}
	for _, text := range []string{deep(63), "{\r\n}", `{"a":"\ud83d\ude00\u00e9\"\/"}`, `{"a":-0.5E+10}`, `{"a":[],"b":{},"c":"ß"}`, `{"z":1,"a":2}`} {
		if _, err := Parse(text); err != nil {
			t.Errorf("%.60q: %v", text, err)
		}
	}
}

// What Parse takes means the same to encoding/json, and Bytes keeps it.
func FuzzParse(f *testing.F) {
	f.Add(`{"packages":{"zlib-1.2-0.tar.bz2":` + zlib + `},"signatures":{"a":1}}`)
	f.Add(`{"info":{"a":"\ud83d\ude00"},"removed":["x"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		index, err := Parse(text)
		if err != nil || strings.TrimSpace(text) == "" {
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("%q: is no JSON", text)
		}
		again, err := Parse(string(index.Bytes()))
		if err != nil || len(again.Records) != len(index.Records) {
			t.Fatalf("%q became %q: %v", text, index.Bytes(), err)
		}
		for range index.All() {
		}
		if string(again.Bytes()) != string(index.Bytes()) {
			t.Fatalf("%q: is not written the same twice", text)
		}
	})
}

// dataFiles returns real indexes, which are no part of the project.
func dataFiles(tb testing.TB, pattern string) []string {
	files, _ := filepath.Glob(filepath.Join("../../../../shared/data", pattern))
	if len(files) == 0 {
		tb.Skip("NOT TESTED: no real indexes at ../shared/data/" + pattern + " beside the project's root")
	}
	return files
}

// Real indexes are read and written without loss.
func TestRealIndexes(t *testing.T) {
	for _, file := range append(dataFiles(t, "indexes/*/*/*/repodata.json"), dataFiles(t, "channels/*/*/repodata.json")...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		index, err := Parse(string(data))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var have, want struct {
			Packages map[string]any
			Conda    map[string]any `json:"packages.conda"`
			Info     map[string]any
		}
		if err := json.Unmarshal(index.Bytes(), &have); err != nil {
			t.Fatal(err)
		}
		json.Unmarshal(data, &want)
		if !(len(have.Packages)+len(want.Packages) == 0 || reflect.DeepEqual(have.Packages, want.Packages)) ||
			len(have.Conda)+len(want.Conda) > 0 && !reflect.DeepEqual(have.Conda, want.Conda) || len(have.Info) != len(want.Info) {
			t.Errorf("%s: is not written as read", file)
		}
		for r, f := range index.All() {
			if !r.Named(f) || f.Size <= 0 || len(f.MD5) != 32 {
				t.Errorf("%s: got %+v", r.File, f)
			}
		}
	}
}

func benchText(b *testing.B) string {
	data, err := os.ReadFile(dataFiles(b, "indexes/free/linux-64/*/repodata.json")[0])
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	return string(data)
}

func BenchmarkParse(b *testing.B) {
	text := benchText(b)
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseFieldsAndBytes(b *testing.B) {
	text := benchText(b)
	for b.Loop() {
		index, err := Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		for r, f := range index.All() {
			runtime.KeepAlive(r.Named(f))
		}
		index.Bytes()
	}
}

func BenchmarkEncodingJSON(b *testing.B) {
	text := []byte(benchText(b))
	for b.Loop() {
		var v struct{ Packages map[string]json.RawMessage }
		if err := json.Unmarshal(text, &v); err != nil {
			b.Fatal(err)
		}
	}
}
