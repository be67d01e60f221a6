package repodata

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

const zlib = `{"name":"zlib","version":"1.2","build":"0","x":[{"k\u0065y":1e3}] }`

func run(t *testing.T, rw *Rewrite, texts ...string) (string, []*Summary) {
	t.Helper()
	for _, s := range texts {
		rw.Sources = append(rw.Sources, text(s))
	}
	var b bytes.Buffer
	sums, err := rw.Run(context.Background(), &b)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b.Bytes()) {
		t.Errorf("got %s", b.String())
	}
	return b.String(), sums
}

func keepAllBut(files ...string) func(int, *Record) (bool, error) {
	return func(_ int, r *Record) (bool, error) { return !slices.Contains(files, r.File), nil }
}

// One source is written in its order, records and what is unknown to the letter.
func TestRewriteOne(t *testing.T) {
	const source = ` {"oth\u0065r" : [1, 2] , "signatures": {"zlib-1.2-0.tar.bz2": {"k" :1}, "b-1-0.conda":{}, "gone-1-0.conda":{}}, "repodata_version":2,
		"info" : {"platform": null, "base_url":"../x", "channel_relations" : {"base":"../cf", "later":5}, "repodata_revisions":[]},
		"packages.conda": {"b-1-0.conda": {}, "A-1-0.conda" :{"n": 1}}, "removed": ["z-1-0.conda", "a-1-0.conda", "A-1-0.conda", "z-1-0.conda", "é<"],
		"packages": {"zl\u0069b-1.2-0.tar.bz2" : ` + zlib + `},
		"v3":{"whl":{"w":{}},"conda":{"v-1-0":{"a":1},"w-1-0":{}},"tar.bz2":{}}, "packages.whl":{"w":1}, "last":null}`
	const want = `{
"oth\u0065r":[1, 2],
"info":{"platform":null,"subdir":"linux-64","channel_relations":{"base":"../cf", "later":5}},
"packages.conda":{
"A-1-0.conda":{"n": 1}},
"packages":{
"zl\u0069b-1.2-0.tar.bz2":` + zlib + `},
"v3":{"conda":{
"v-1-0":{"a":1},
"w-1-0":{}},
"tar.bz2":{}},
"last":null,
"removed":["z-1-0.conda","é\u003c"],
"repodata_version":1,
"signatures":{"zlib-1.2-0.tar.bz2":{"k" :1}}
}
`
	for _, trusted := range []bool{false, true} {
		rw := &Rewrite{Subdir: "linux-64", Trusted: trusted, Keep: keepAllBut("b-1-0.conda"), Sibling: func(p string) bool { return p == "../cf" }}
		got, sums := run(t, rw, source)
		if got != want {
			t.Errorf("trusted %v: got %s", trusted, got)
		}
		if s := sums[0]; s.Records != 5 || s.BaseURL != "../x" || fmt.Sprint(s.Dropped) != "[v3.whl packages.whl]" || len(s.Removed) != 5 {
			t.Errorf("got %+v", s)
		}
	}
}

func TestRewriteEmpty(t *testing.T) {
	const want = `{
"info":{"subdir":"noarch"},
"packages":{},
"packages.conda":{}
}
`
	for _, texts := range [][]string{{}, {""}, {" \n"}, {"{}"}, {`{"info":null}`}, {`{"info":{"subdir":null}}`}, {`{"v3":{"whl":{"a":{}}}}`}, {"", "{}"}, {`{"packages":{}}`, `{"packages":{"a-1-0.tar.bz2":{}}}`}} {
		if got, _ := run(t, &Rewrite{Subdir: "noarch", Keep: keepAllBut("a-1-0.tar.bz2")}, texts...); got != want {
			t.Errorf("%q: got %s", texts, got)
		}
	}
	if got, _ := run(t, &Rewrite{}, "{}"); !strings.Contains(got, `"info":{}`) {
		t.Error(got)
	}
}

// Sources are merged section by section; Keep is asked once for each record, in the order that is written.
func TestRewriteMany(t *testing.T) {
	first := `{"odd":1,"packages.conda":{"b-1-0.conda":{"n":0},"a-1-0.conda":{"n":0}},"removed":["r-1-0.conda","c-1-0.conda"],"signatures":{"b-1-0.conda":0,"c-1-0.conda":0,"a-1-0.conda":0}}`
	second := `{"info":{"arch":null,"base_url":"x"},"odd":2,"even":2,"packages":{"p-1-0.tar.bz2":{"n":1}},"packages.conda":{"a-1-0.conda":{"n":1},"c-1-0.conda":{"n":1}},
		"removed":["q-1-0.conda"],"signatures":{"a-1-0.conda":1,"c-1-0.conda":1},"repodata_version":1,"v3":{"conda":{"b-1-0":{},"v-1-0":{"n":1}}}}`
	third := `{"info":{"subdir":"linux-64"},"v3":{"tar.bz2":{"p-1-0":{},"t-1-0":{"n":2}},"conda":{"x-1-0":{"n":2}}},"repodata_version":7}`
	const want = `{
"info":{"arch":null,"subdir":"linux-64"},
"odd":1,
"even":2,
"packages":{
"p-1-0.tar.bz2":{"n":1}},
"packages.conda":{
"b-1-0.conda":{"n":0},
"a-1-0.conda":{"n":0},
"c-1-0.conda":{"n":1}},
"v3":{"tar.bz2":{
"t-1-0":{"n":2}},
"conda":{
"v-1-0":{"n":1},
"x-1-0":{"n":2}}},
"removed":["q-1-0.conda","r-1-0.conda"],
"repodata_version":1,
"signatures":{"b-1-0.conda":0,
"a-1-0.conda":0,
"c-1-0.conda":1}
}
`
	for _, trusted := range []bool{false, true} {
		asked, seen := "", map[string]bool{}
		rw := &Rewrite{Subdir: "linux-64", Trusted: trusted, Keep: func(source int, r *Record) (bool, error) {
			asked += fmt.Sprintln(source, r.Section, r.File)
			defer func() { seen[r.File] = true }()
			return !seen[r.File], nil
		}}
		got, sums := run(t, rw, first, second, third)
		if got != want || len(sums) != 3 || sums[1].Records != 5 {
			t.Errorf("got %s, %+v", got, sums[1])
		}
		if want := "1 0 p-1-0.tar.bz2\n0 1 b-1-0.conda\n0 1 a-1-0.conda\n1 1 a-1-0.conda\n1 1 c-1-0.conda\n2 2 p-1-0.tar.bz2\n2 2 t-1-0.tar.bz2\n1 3 b-1-0.conda\n1 3 v-1-0.conda\n2 3 x-1-0.conda\n"; asked != want {
			t.Errorf("asked for %s", asked)
		}
	}
}

func TestRewriteRefuses(t *testing.T) {
	record := `{"packages":{"a-1-0.tar.bz2":{}}}`
	tests := []struct {
		texts []string
		want  string
	}{
		{[]string{record, record}, "a-1-0.tar.bz2: is kept twice"},
		{[]string{record, `{"packages":{"A-1-0.tar.bz2":{}}}`}, "A-1-0.tar.bz2: is kept twice"},
		{[]string{record, `{"v3":{"tar.bz2":{"a-1-0":{}}}}`}, "a-1-0.tar.bz2: is kept twice"},
		{[]string{`{"info":{"subdir":"noarch"}}`}, `info.subdir: got "noarch", want "linux-64"`},
		{[]string{"{}", `{"info":{"subdir":"noarch"}}`}, `source 1: info.subdir: got "noarch", want "linux-64"`},
		{[]string{"{}", "{\n]"}, `source 1: line 2, column 1: got "]", want a key`},
		{[]string{"{"}, `line 1, column 2: got the end, want a key`},
	}
	for _, test := range tests {
		rw := &Rewrite{Subdir: "linux-64"}
		for _, s := range test.texts {
			rw.Sources = append(rw.Sources, text(s))
		}
		if _, err := rw.Run(context.Background(), io.Discard); err == nil || err.Error() != test.want {
			t.Errorf("%q: got %v, want %s", test.texts, err, test.want)
		}
	}
}

func TestRewriteSourceChanges(t *testing.T) {
	opened := 0
	changing := func() (io.ReadCloser, error) {
		opened++
		return text(fmt.Sprintf(`{"packages":{"a-%d-0.tar.bz2":{}}}`, opened))()
	}
	rw := &Rewrite{Sources: []func() (io.ReadCloser, error){changing, text("{}")}}
	if _, err := rw.Run(context.Background(), io.Discard); err == nil || err.Error() != "source 0: its text changed while it was read" {
		t.Error(err)
	}
}

func TestRelations(t *testing.T) {
	sibling := func(p string) bool { return p != "../no" }
	for relations, want := range map[string]bool{`{}`: true, `{"base":"../a"}`: true, `{"base":"../a","overrides":"../no"}`: false, `{"base":"../no"}`: false, `{"overrides":"../.."}`: true,
		`{"base":"https://x/y"}`: false, `{"base":"/x"}`: false, `{"base":5}`: false, `{"base":null}`: true, `"../a"`: false, `null`: false, `{"base":["../a"]}`: false, `{"other":"../no"}`: true} {
		got, _ := run(t, &Rewrite{Sibling: sibling}, `{"info":{"channel_relations":`+relations+`}}`)
		if strings.Contains(got, `"channel_relations":`+relations) != want {
			t.Errorf("%s: got %s", relations, got)
		}
		if got, _ := run(t, &Rewrite{}, `{"info":{"channel_relations":`+relations+`}}`); strings.Contains(got, "relations") {
			t.Errorf("%s: got %s", relations, got)
		}
	}
}

// Trusted and wrong texts neither panic nor run on.
func TestTrustedGarbage(t *testing.T) {
	for i := range len(windowText) {
		for _, c := range []string{"", "\x00", "]", "}", `"`, `\`, ",", "\xff"} {
			rewritten(true, windowText[:i]+c+windowText[i+1:])
			rewritten(true, windowText[:i]+c)
		}
	}
}
