package shards

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"runbook/builtins/internal/compress"
)

// raw is msgpack.
type raw []byte

func pack(v any) raw {
	if r, ok := v.(raw); ok {
		return r
	}
	b, err := msgp.AppendIntf(nil, v)
	if err != nil {
		panic(err)
	}
	return b
}

// object is a map with members in order: a key, a value, a key, ...
func object(members ...any) raw {
	b := msgp.AppendMapHeader(nil, uint32(len(members)/2))
	for _, v := range members {
		b = append(b, pack(v)...)
	}
	return b
}

func array(items ...any) raw {
	b := msgp.AppendArrayHeader(nil, uint32(len(items)))
	for _, v := range items {
		b = append(b, pack(v)...)
	}
	return b
}

func zstd(t testing.TB, text []byte) []byte {
	t.Helper()
	p, err := compress.NewPieces(1)
	if err != nil {
		t.Fatal(err)
	}
	return p.Pack(nil, text)
}

func deep(n int) raw {
	b := bytes.Repeat(msgp.AppendArrayHeader(nil, 1), n)
	return msgp.AppendNil(b)
}

var digest = bytes.Repeat([]byte{7}, 32)

func indexOf(name string, d any) raw {
	return object("version", 1, "info", object("subdir", "noarch", "base_url", "", "shards_base_url", ""), "shards", object(name, d))
}

func TestHostileIndexes(t *testing.T) {
	good := indexOf("zlib", digest)
	if _, err := Parse(zstd(t, good)); err != nil {
		t.Fatal(err)
	}
	for want, text := range map[string]raw{
		"got the end, want a map":                                {},
		"got nil, want a map":                                    pack(nil),
		"want a map":                                             array(good),
		"behind the end":                                         append(slices.Clone(good), 0xc0),
		"too few bytes":                                          good[:len(good)-1],
		"got version 2, want 1":                                  object("version", 2, "shards", object()),
		"got str, want a whole number":                           object("version", "1"),
		"got no shards":                                          object("version", 1),
		"got array, want a map":                                  object("shards", array()),
		"got str, want zlib as 32 bytes":                         indexOf("zlib", strings.Repeat("0", 64)),
		"zlib: got 31 bytes":                                     indexOf("zlib", digest[1:]),
		"zlib: got 33 bytes":                                     indexOf("zlib", append(slices.Clone(digest), 1)),
		"zlib: got 1 behind 32 bytes":                            indexOf("zlib", array(slices.Repeat([]any{1}, 33)...)),
		"zlib: got 2 bytes":                                      indexOf("zlib", array(1, 2)),
		"zlib: got 256 behind 0 bytes":                           indexOf("zlib", array(256)),
		"got str, want a whole numbe":                            indexOf("zlib", array("1")),
		"got nil, want zlib as 32 bytes":                         indexOf("zlib", nil),
		`got the key "a" twice`:                                  object("shards", object("a", digest, "b", digest, "a", digest)),
		`got the key "shards" twice`:                             object("shards", object(), "shards", object()),
		`got the name "../x" with '.'`:                           indexOf("../x", digest),
		`got the name "a/b" with '/'`:                            indexOf("a/b", digest),
		`got the name "-a" with '-'`:                             indexOf("-a", digest),
		`got the name "a--b" with "--"`:                          indexOf("a--b", digest),
		`got the name "" of 0 bytes`:                             indexOf("", digest),
		"of 65 bytes, want 1 to 64":                              indexOf(strings.Repeat("a", 65), digest),
		"want UTF-8":                                             indexOf("a\xff", digest),
		"got int, want a string":                                 object("shards", object(1, digest)),
		"got bin, want a string":                                 object("shards", object([]byte("a"), digest)),
		"got int, want base_url as a string":                     object("info", object("base_url", 1)),
		"got array, want a map ":                                 object("info", array()),
		"got more than 64 levels":                                object("other", deep(70)),
		"msgpack byte 1: msgp: too few bytes left to read objec": {0x81, 0xdb, 0xff, 0xff, 0xff, 0xff},
	} {
		index, err := Parse(zstd(t, text))
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("got %v, %v, want %q", index, err, want)
		}
	}
	for name, data := range map[string][]byte{"nothing": nil, "msgpack": good, "cut": zstd(t, good)[:30], "more": append(zstd(t, good), 1), "a bomb": zstd(t, make([]byte, maxIndex+1))} {
		if _, err := Parse(data); err == nil || !strings.HasPrefix(err.Error(), "zstd") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestIndexesThatAreGood(t *testing.T) {
	numbers := []any{}
	for range 32 {
		numbers = append(numbers, 200)
	}
	for name, text := range map[string]raw{
		"an array of numbers": indexOf("zlib", array(numbers...)), "unknown keys": object("x", deep(60), "shards", object("_a", digest, "__b", digest, "R.x_y-1", digest, "c_", digest)),
		"no strings": object("info", object("base_url", nil), "shards", object()), "pyramids": object("shards", object("b", digest, "a", digest)),
	} {
		index, err := Parse(zstd(t, text))
		if err != nil || !slices.IsSortedFunc(index.Shards, func(a, b Shard) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("%s: got %v, %v", name, index, err)
		}
	}
}

// textOf returns the text of an index with one shard, which lists package a.
func textOf(shard []byte) (string, error) {
	index := &Index{Subdir: "noarch", BaseURL: "../x/", Shards: []Shard{{"a", sha256.Sum256(shard)}}}
	var out bytes.Buffer
	err := index.WriteJSON(&out, func(Shard) ([]byte, error) { return shard, nil })
	return out.String(), err
}

func TestHostileShards(t *testing.T) {
	record := object("name", "a")
	in := func(members ...any) raw { return object("packages", object("a-1-0.tar.bz2", object(members...))) }
	for want, text := range map[string]raw{
		"want a map":  array(),
		"want a map ": object("packages", nil),
		"a-1-0.tar.bz2: msgpack byte 25: got str, want a map": object("packages", object("a-1-0.tar.bz2", "x")),
		`got a record of "b", want "a"`:                       in("name", "b"),
		`got a record of "", want "a"`:                        in("name", ""),
		"got a record without a name":                         in("version", "1"),
		"got int, want a string":                              in("name", 1),
		"got bin, want what JSON can say":                     in("name", "a", "x", []byte("12")),
		"got bin, want what JSON can say ":                    in("name", "a", "x", object("md5", digest)),
		"md5: got 32 bytes, want 16":                          in("name", "a", "md5", digest),
		"sha256: got 16 bytes, want 32":                       in("name", "a", "sha256", digest[16:]),
		"got the number NaN":                                  in("name", "a", "x", math.NaN()),
		"got the number +Inf":                                 in("name", "a", "x", float32(math.Inf(1))),
		"got ext, want what JSON can say":                     in("name", "a", "x", raw{0xd4, 5, 0}),
		"want what JSON can say":                              in("name", "a", "x", raw{0xc1}),
		"want UTF-8":                                          in("name", "a", "x", "\xed\xa0\x80"),
		`got the key "x" twice`:                               in("name", "a", "x", 1, "x", 2),
		`the key "y" twice`:                                   in("name", "a", "x", object("y", 1, "y", 2)),
		"got more than 64 levels":                             in("name", "a", "x", deep(70)),
		"got more than 64 levels ":                            object("other", deep(1_000_000)),
		"got a record of more than":                           in("name", "a", "x", strings.Repeat("x", maxRecord+1)),
		"got a record of more than ":                          in("name", "a", "x", array(strings.Repeat("\x01", maxRecord/2), 1)),
		"the key \"a-1-0.conda\" twice":                       object("packages.conda", object("a-1-0.conda", record, "a-1-0.conda", record)),
		"got a-1-0.conda twice":                               object("packages", object("a-1-0.conda", record), "packages.conda", object("a-1-0.conda", record)),
		`got "../a", want the name of`:                        object("packages", object("../a", record)),
		`got ".a", want the name of`:                          object("packages.conda", object(".a", record)),
		`got "a\\b", want the name of`:                        object("v3", object("conda", object(`a\b`, record))),
		`got "a\nb" removed`:                                  object("removed", array("a\nb")),
		"got str, want an array":                              object("removed", "a"),
		`got "../x" in v3`:                                    object("v3", object("../x", object())),
		"behind the end":                                      append(object(), 0),
		"got the end, want a string":                          {0x81},
		`got a record of "b"`:                                 object("packages.conda", object("a-1-0.conda", object("name", "b"))),
		`got a record of "c"`:                                 object("v3", object("whl", object("a-1-0", object("name", "c")))),
		"too few bytes":                                       {0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, 'x', 0xdd, 0xff, 0xff},
	} {
		out, err := textOf(zstd(t, text))
		if err == nil || !strings.HasPrefix(err.Error(), "shard a: ") || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("got %.200s, %v, want %q", out, err, want)
		}
	}
	for name, data := range map[string][]byte{"nothing": nil, "text": []byte("{}"), "a bomb": zstd(t, make([]byte, maxShard+1)), "two bombs": bytes.Repeat(zstd(t, make([]byte, maxShard/2+1)), 2)} {
		if _, err := textOf(data); err == nil || !strings.HasPrefix(err.Error(), "shard a: zstd") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestWrongDigest(t *testing.T) {
	index := &Index{Shards: []Shard{{Name: "a"}}}
	err := index.WriteJSON(io.Discard, func(Shard) ([]byte, error) { return zstd(t, object()), nil })
	if err == nil || !strings.HasPrefix(err.Error(), "shard a: got a wrong digest: sha256 ") {
		t.Errorf("got %v", err)
	}
}

func TestShardsThatAreGood(t *testing.T) {
	numbers := []any{}
	for range 16 {
		numbers = append(numbers, 10)
	}
	text, err := textOf(zstd(t, object("packages", object("a-1-0.tar.bz2", object("name", "A", "f", float32(0.5), "g", 2.0, "md5", array(numbers...))), "new", array([]byte{1}), "removed", array())))
	want := "{\n\"info\":{\"subdir\":\"noarch\",\"base_url\":\"../x/\"},\n\"packages\":{\n\"a-1-0.tar.bz2\":{\"name\":\"A\",\"f\":0.5,\"g\":2.0,\"md5\":\"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\"}},\n" +
		"\"packages.conda\":{},\n\"removed\":[],\n\"repodata_version\":2\n}\n"
	if err != nil || text != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
}

func TestRecordsThatAreRefused(t *testing.T) {
	for want, record := range map[string]string{
		"got the end, want an object": "", "want an object": "[]", "without a name": `{}`, "want a string": `{"name":1}`, "want the end": `{"name":"a"}x`,
		`want the key "b" once`: `{"b":1,"a":2,"b":3,"name":"a"}`, "want 16 bytes in hex": `{"name":"a","md5":"00"}`, "want 32 bytes in hex": `{"name":"a","sha256":"` + strings.Repeat("g", 64) + `"}`,
		"want a number of 64 bits": `{"name":"a","n":18446744073709551616}`, "want a number": `{"name":"a","n":01}`, "want a number of": `{"name":"a","n":1e999}`, "want a number o": `{"name":"a","n":1.}`,
		"want a value": `{"name":"a","n":nul}`, "want a comma": `{"name":"a" "b":1}`, "want a colon": `{"name"}`, "want no control": "{\"name\":\"a\n\"}", "want the end of a string": `{"name":"a`,
		"want UTF-8": "{\"name\":\"\xff\"}", "want escapes": `{"name":"\x"}`, "levels": `{"name":"a","x":` + strings.Repeat("[", 70), "with ' '": `{"name":"a b"}`,
		"want a string ": `{"name":"a",}`, "want a value ": `{"name":"a","x":[1,]}`,
	} {
		b, err := NewBuilder("noarch")
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Add(Packages, "a-1-0.tar.bz2", record); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) || !strings.HasPrefix(err.Error(), `"a-1-0.tar.bz2": `) {
			t.Errorf("%.100s: got %v, want %q", record, err, want)
		}
		if b.Add(PackagesConda, "../a", `{"name":"a"}`) == nil || b.Add(sections, "a", `{"name":"a"}`) == nil || b.Remove("a-1") == nil || b.Remove("/a-1-0") == nil {
			t.Error("got no error of a bad file")
		}
		if err := b.Add(Packages, "b-1-0.tar.bz2", `{"name":"b"}`); err != nil {
			t.Error(err)
		}
		f := files{}
		if err := b.Build(f.put); err != nil || len(f) != 2 {
			t.Errorf("got %d files, %v of what was not refused", len(f), err)
		}
		broken := errors.New("broken")
		if err := b.Build(func(string, []byte) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
}

func FuzzShard(f *testing.F) {
	x := decode(f, []byte(odd))
	for _, packed := range build(f, x) {
		p, _ := compress.NewPieces(1 << 20)
		text, err := p.Unpack(nil, packed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		packed := zstd(t, text)
		if index, err := Parse(packed); err == nil {
			for _, s := range index.Shards {
				if checkName(s.Name) != nil {
					t.Errorf("got the name %q", s.Name)
				}
			}
		}
		if out, err := textOf(packed); err == nil && !json.Valid([]byte(out)) {
			t.Errorf("got no JSON: %s", out)
		}
	})
}
