package catalog

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

const sample = `{"info":{"subdir":"linux-64"},"packages":{
"a-1.2-0.tar.bz2":{"name":"a","version":"1.2","build":"0","build_number":0,"depends":["b >=1","c"],"license":"MIT","size":12,"md5":"0123456789abcdef0123456789abcdef"},
"a-1.10-0.tar.bz2":{"name":"a","version":"1.10","build":"0","build_number":0,"depends":["b"],"timestamp":1700000000000},
"b-1-0.tar.bz2":{"name":"b","version":"1","build":"0","depends":[],"constrains":["a <2"]}},
"packages.conda":{"a-1.10-0.conda":{"name":"a","version":"1.10","build":"0","depends":["b"]},
"lib_a-1-0.conda":{"name":"lib_a","version":"1","build":"0","depends":["a 1.*"],"license":["<b>"]}},
"removed":["a-0.9-0.tar.bz2","../x"]}`

func read(t *testing.T, texts map[string]string) (*Catalog, error) {
	t.Helper()
	var all []Subdir
	for _, name := range []string{"linux-64", "noarch"} {
		text, ok := texts[name]
		if !ok {
			continue
		}
		at := filepath.Join(t.TempDir(), "repodata.json")
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(at)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Subdir{Name: name, Index: f})
	}
	c, err := Read(context.Background(), all)
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}

func TestCatalog(t *testing.T) {
	c, err := read(t, map[string]string{"linux-64": sample, "noarch": `{"packages":{"b-2-0.tar.bz2":{"name":"b","version":"2","build":"0"}}}`})
	if err != nil {
		t.Fatal(err)
	}
	both := []string{"linux-64", "noarch"}
	if have, want := c.Names(0, 10), []Package{{"a", "1.10", 3, 4, both[:1]}, {"b", "2", 2, 2, both}, {"lib_a", "1", 1, 1, both[:1]}}; !reflect.DeepEqual(have, want) {
		t.Errorf("got %v, want %v", have, want)
	}
	if have, want := c.Versions("a"), []Version{{"1.10", 2, both[:1], false}, {"1.2", 1, both[:1], false}, {"0.9", 1, both[:1], true}}; !reflect.DeepEqual(have, want) {
		t.Errorf("got %v, want %v", have, want)
	}
	if have, total := c.Search("A", 0, 1); total != 2 || have[0].Name != "a" {
		t.Errorf("got %v, %d", have, total)
	}
	if have, total := c.Dependents("b", 0, 10); total != 1 || have[0] != "a" {
		t.Errorf("got %v, %d", have, total)
	}
	files, err := c.Files("a", "1.2")
	if err != nil || len(files) != 1 || files[0].License != "MIT" || files[0].Size != 12 || len(files[0].Depends) != 2 {
		t.Errorf("got %+v, %v", files, err)
	}
	if files, err = c.Files("a", "0.9"); err != nil || len(files) != 1 || !files[0].Removed || files[0].Name != "a-0.9-0.tar.bz2" {
		t.Errorf("got %+v, %v", files, err)
	}
}
