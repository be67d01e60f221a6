package client

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is right is found right, and what is wrong is not.
func TestRead(t *testing.T) {
	dir := channelWithShards(t)
	for to, from := range map[string]beginning{
		"cut-1-0.conda":        {"zlib-1.2-3.conda", 300, 1},
		"cut-1-0.tar.bz2":      {"zlib-1.2-3.tar.bz2", 300, 1},
		"other.json.bz2":       {"zlib-1.2-3.tar.bz2", 1_000_000, 1},
		"twice.json":           {"repodata.json", 1_000_000, 2},
		"short.json":           {"repodata.json", 200, 1},
		"a_shards.msgpack.zst": {"repodata_shards.msgpack.zst", 1000, 2},
		"b_shards.msgpack.zst": {"repodata_shards.msgpack.zst", 50, 1},
	} {
		data, err := os.ReadFile(filepath.Join(dir, from.file))
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, to), bytes.Repeat(data[:min(from.length, len(data))], from.times))
	}
	put(t, dir+"/names.json", []byte(`{"packages": {"a-1-0.conda": {}, "a-1-0.conda": {}}}`))
	for name, want := range map[string]string{
		"zlib-1.2-3.conda": "", "zlib-1.2-3.tar.bz2": "", "repodata.json": "", "repodata_shards.msgpack.zst": "",
		"cut-1-0.conda": "BadZipFile", "cut-1-0.tar.bz2": "end-of-stream", "other.json.bz2": "JSONDecodeError", "twice.json": "Extra data", "short.json": "JSONDecodeError",
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

// channelWithShards is the subdir of a channel in all forms that Read knows. Its shards are made as conda's documents
// describe them.
func channelWithShards(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	Channel(t, dir, Stubs(t, t.TempDir(), "linux-64/zlib-1.2-3.conda", "linux-64/zlib-1.2-3.tar.bz2", "linux-64/app-1.0-0.conda zlib")...)
	const script = `import hashlib, json, sys
import msgpack, zstandard
dir = sys.argv[1]
index = json.load(open(dir + "/repodata.json"))
shards = {}
for kind in ("packages", "packages.conda"):
    for file, record in index[kind].items():
        for hash in ("md5", "sha256"):
            record[hash] = bytes.fromhex(record[hash])
        shards.setdefault(record["name"], {"packages": {}, "packages.conda": {}})[kind][file] = record
pack = lambda v: zstandard.ZstdCompressor().compress(msgpack.packb(v))
listed = {}
for name, shard in shards.items():
    data = pack(shard)
    listed[name] = hashlib.sha256(data).digest()
    open(dir + "/" + listed[name].hex() + ".msgpack.zst", "wb").write(data)
info = {"subdir": "linux-64", "base_url": "", "shards_base_url": "./"}
open(dir + "/repodata_shards.msgpack.zst", "wb").write(pack({"version": 1, "info": info, "shards": listed}))`
	if out, err := exec.Command(Python(t), "-c", script, dir+"/linux-64").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir + "/linux-64"
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
