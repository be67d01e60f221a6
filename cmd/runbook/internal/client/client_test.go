package client

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is right is found right, and what is wrong is not.
func TestRead(t *testing.T) {
	const channels = "../../../../../shared/data/testchannels/"
	if _, err := os.Stat(channels); err != nil {
		t.Skip("NOT TESTED HERE: no real channels (../shared/data)")
	}
	dir := t.TempDir() + "/channel"
	if err := os.CopyFS(dir, os.DirFS(channels+"conda-conda_format_repo/linux-64")); err != nil {
		t.Fatal(err)
	}
	for to, from := range map[string]beginning{
		"cut-1-0.conda":        {"zlib-1.2.11-h7b6447c_3.conda", 100_000, 1},
		"cut-1-0.tar.bz2":      {"zlib-1.2.11-h7b6447c_3.tar.bz2", 100_000, 1},
		"other.json.bz2":       {"zlib-1.2.11-h7b6447c_3.tar.bz2", 1_000_000, 1},
		"twice.json":           {"repodata.json", 1_000_000, 2},
		"short.json":           {"repodata.json", 1000, 1},
		"a_shards.msgpack.zst": {"repodata_shards.msgpack.zst", 1000, 2},
		"b_shards.msgpack.zst": {"repodata_shards.msgpack.zst", 100, 1},
	} {
		data, err := os.ReadFile(filepath.Join(dir, from.file))
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, to), bytes.Repeat(data[:min(from.length, len(data))], from.times))
	}
	put(t, dir+"/names.json", []byte(`{"packages": {"a-1-0.conda": {}, "a-1-0.conda": {}}}`))
	for name, want := range map[string]string{
		"zlib-1.2.11-h7b6447c_3.conda": "", "zlib-1.2.11-h7b6447c_3.tar.bz2": "", "repodata.json": "", "repodata_shards.msgpack.zst": "",
		"cut-1-0.conda": "BadZipFile", "cut-1-0.tar.bz2": "end-of-stream", "other.json.bz2": "UnicodeDecodeError", "twice.json": "Extra data", "short.json": "JSONDecodeError",
		"a_shards.msgpack.zst": "more than one frame", "b_shards.msgpack.zst": "cut short", "names.json": "twice", "absent.conda": "FileNotFound",
	} {
		c := Read(t, filepath.Join(dir, name))[0]
		if (want == "") != (c.Error == "") || !strings.Contains(c.Error, want) {
			t.Errorf("%s: got %q, want %q", name, c.Error, want)
		}
		if want == "" && (c.Members < 3 || !strings.HasPrefix(name, "zlib") && c.Members != 3) {
			t.Errorf("%s: got %+v", name, c)
		}
	}
}

// A beginning of a file, so many times.
type beginning struct {
	file          string
	length, times int
}

func TestVariants(t *testing.T) {
	have := Variants([]string{"200 /noarch/repodata.json", "404 /linux-64/repodata.json.zst", "200 /linux-64/zlib-1-0.conda", "200 /linux-64/repodata.json"})
	if strings.Join(have, ", ") != "200 repodata.json, 404 repodata.json.zst" {
		t.Errorf("got %v", have)
	}
}
