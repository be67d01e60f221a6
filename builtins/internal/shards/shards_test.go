package shards

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// indexText is a repodata.json as far as we carry it over.
type indexText struct {
	Info          map[string]any `json:"info"`
	Packages      map[string]json.RawMessage
	PackagesConda map[string]json.RawMessage            `json:"packages.conda"`
	V3            map[string]map[string]json.RawMessage `json:"v3"`
	Removed       []string
	Version       int `json:"repodata_version"`
}

func decode(t testing.TB, text []byte) (x indexText) {
	t.Helper()
	if err := json.Unmarshal(text, &x); err != nil {
		t.Fatalf("%v in %.300s", err, text)
	}
	return x
}

// files is a directory of shards.
type files map[string][]byte

func (f files) put(file string, data []byte) error {
	if _, ok := f[IndexFile]; ok {
		return errors.New("got a file behind the index")
	}
	f[file] = bytes.Clone(data)
	return nil
}

func (f files) get(s Shard) ([]byte, error) {
	data, ok := f[shardsDir+s.File()]
	if !ok {
		return nil, fmt.Errorf("%s: %w", s.File(), os.ErrNotExist)
	}
	return data, nil
}

// build makes shards of an index.
func build(t testing.TB, x indexText) files {
	t.Helper()
	b, err := NewBuilder("linux-64")
	if err != nil {
		t.Fatal(err)
	}
	for s, records := range map[Section]map[string]json.RawMessage{Packages: x.Packages, PackagesConda: x.PackagesConda, V3TarBz2: x.V3["tar.bz2"], V3Conda: x.V3["conda"]} {
		for _, file := range slices.Sorted(maps.Keys(records)) {
			if err := b.Add(s, file, string(records[file])); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, file := range x.Removed {
		if err := b.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	f := files{}
	if err := b.Build(f.put); err != nil {
		t.Fatal(err)
	}
	return f
}

func text(f files) ([]byte, error) {
	index, err := Parse(f[IndexFile])
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = index.WriteJSON(&out, f.get)
	return out.Bytes(), err
}

// values decodes records with exact numbers.
func values(t testing.TB, records map[string]json.RawMessage) map[string]any {
	t.Helper()
	all := map[string]any{}
	for file, raw := range records {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		all[file] = v
	}
	return all
}

func same(t testing.TB, name string, got, want map[string]json.RawMessage) {
	t.Helper()
	g, w := values(t, got), values(t, want)
	if len(g) != len(w) {
		t.Errorf("%s: got %d records, want %d", name, len(g), len(w))
	}
	for file := range w {
		if !reflect.DeepEqual(g[file], w[file]) {
			t.Fatalf("%s: %s: got %s, want %s", name, file, got[file], want[file])
		}
	}
}

// inSubdir returns records as shards have them: each with its subdir.
func inSubdir(t testing.TB, records map[string]json.RawMessage) map[string]json.RawMessage {
	t.Helper()
	all := map[string]json.RawMessage{}
	for file, text := range records {
		var have struct{ Subdir *string }
		if err := json.Unmarshal(text, &have); err != nil {
			t.Fatal(err)
		}
		if have.Subdir == nil {
			text = json.RawMessage(`{"subdir":"linux-64",` + strings.TrimPrefix(strings.TrimSpace(string(text)), "{"))
		}
		all[file] = text
	}
	return all
}

// generatedIndex has records of both kinds and files that were removed.
func generatedIndex(t testing.TB) []byte {
	t.Helper()
	packages, conda := map[string]any{}, map[string]any{}
	for i := range 500 {
		name := fmt.Sprintf("package%d", i/5)
		record := map[string]any{"name": name, "version": fmt.Sprint("1.", i%5), "build": "0", "build_number": i % 3, "depends": []string{"python >=2.7"},
			"md5": fmt.Sprintf("%032x", i), "sha256": fmt.Sprintf("%064x", i), "size": 1000 + i, "timestamp": 1_470_000_000_000 + i}
		packages[fmt.Sprintf("%s-1.%d-0.tar.bz2", name, i%5)] = record
		if i%2 == 0 {
			conda[fmt.Sprintf("%s-1.%d-0.conda", name, i%5)] = record
		}
	}
	removed := []string{"package1-0.9-0.tar.bz2", "gone-1.0-0.conda", "package1-0.8-0.conda"}
	text, err := json.Marshal(map[string]any{"packages": packages, "packages.conda": conda, "removed": removed})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// An index that was cut into shards is the same index when it is put together again: a generated one, and the real ones
// that may lie beside the project.
func TestIndexes(t *testing.T) {
	checkIndex(t, "generated", generatedIndex(t))
	names, err := filepath.Glob("../../../../shared/data/indexes/*/*/*/repodata.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		checkIndex(t, name, raw)
	}
}

func checkIndex(t *testing.T, name string, raw []byte) {
	t.Helper()
	want := decode(t, raw)
	f := build(t, want)
	out, err := text(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	got := decode(t, out)
	same(t, name, got.Packages, inSubdir(t, want.Packages))
	same(t, name, got.PackagesConda, inSubdir(t, want.PackagesConda))
	slices.Sort(want.Removed)
	if !slices.Equal(got.Removed, slices.Compact(want.Removed)) {
		t.Errorf("%s: got %d removed, want %d", name, len(got.Removed), len(want.Removed))
	}
	t.Logf("%s: %d bytes, %d files", name, len(raw), len(f))
}

// Shards that another program has made. It packs values in other forms than we do, and in another order.
func TestShardsOfOthers(t *testing.T) {
	records := map[string]map[string]any{
		"zlib-1.2-3.conda": {"name": "zlib", "version": "1.2", "md5": "00112233445566778899aabbccddeeff", "size": 120_000, "depends": []any{"libgcc-ng >=7.3.0"}},
		"app-1.0-0.conda":  {"name": "app", "version": "1.0", "sha256": strings.Repeat("0f", 32), "size": 7, "noarch": "python", "constrains": []any{}},
	}
	shards, others := map[string]any{}, files{}
	for file, record := range records {
		packed := maps.Clone(record)
		for _, digest := range []string{"md5", "sha256"} {
			if text, ok := record[digest].(string); ok {
				packed[digest], _ = hex.DecodeString(text)
			}
		}
		data := zstd(t, packOther(map[string]any{"packages": map[string]any{}, "packages.conda": map[string]any{file: packed}}))
		sum := sha256.Sum256(data)
		shards[record["name"].(string)], others[fmt.Sprintf("%x.msgpack.zst", sum)] = sum[:], data
	}
	info := map[string]any{"subdir": "linux-64", "base_url": "../packages/", "shards_base_url": "./"}
	index, err := Parse(zstd(t, packOther(map[string]any{"version": 1, "info": info, "shards": shards})))
	if err != nil || index.Subdir != "linux-64" || len(index.Shards) != 2 || index.Shards[1].Name != "zlib" || index.ShardsBaseURL != "./" {
		t.Fatalf("got %+v, %v", index, err)
	}
	var out bytes.Buffer
	if err := index.WriteJSON(&out, func(s Shard) ([]byte, error) { return others[s.File()], nil }); err != nil {
		t.Fatal(err)
	}
	want := map[string]json.RawMessage{}
	for file, record := range records {
		want[file], _ = json.Marshal(record)
	}
	got := decode(t, out.Bytes())
	same(t, "shards of others", got.PackagesConda, want)
	same(t, "shards of others", got.Packages, nil)
}

// packOther is a value in MessagePack, always in the longest form.
func packOther(v any) []byte {
	long := func(kind byte, n int) []byte { return binary.BigEndian.AppendUint32([]byte{kind}, uint32(n)) }
	switch v := v.(type) {
	case map[string]any:
		b := long(0xdf, len(v))
		for key, value := range v {
			b = append(append(b, packOther(key)...), packOther(value)...)
		}
		return b
	case []any:
		b := long(0xdd, len(v))
		for _, value := range v {
			b = append(b, packOther(value)...)
		}
		return b
	case []byte:
		return append(long(0xc6, len(v)), v...)
	case int:
		return binary.BigEndian.AppendUint64([]byte{0xcf}, uint64(v))
	}
	text := v.(string)
	return append(long(0xdb, len(text)), text...)
}

const odd = `{"packages":{
"a-1-0.tar.bz2":{"name":"a","md5":"00112233445566778899aabbccddeeff","sha256":null,"size":18446744073709551615,"n":-9223372036854775808,
 "f":[1.5,-0.25,1e-7,1e300,3.0,9007199254740993,0],"s":"q\"\\/\n\u0000\u2028\ud83d\ude00 é","t":[true,false,null,{},[],{"md5":"text"}],"":{"x":{"y":[[]]}}},
"a-2-0.tar.bz2":{ "version" : "2" , "name":"A" }},
"packages.conda":{"a-2-0.conda":{"name":"a"},"_b-1-0.conda":{"name":"_b","sha256":""},"a-b-1-0.conda":{"name":"a-b"}},
"v3":{"conda":{"a-3-0":{"name":"a"}},"tar.bz2":{"c-1-0":{"name":"c"}}},
"removed":["c-0-0.conda","a-0-0.tar.bz2","gone-1-0.conda"]}`

func TestRoundTripOfOddValues(t *testing.T) {
	want := decode(t, []byte(odd))
	f := build(t, want)
	out, err := text(f)
	if err != nil {
		t.Fatal(err)
	}
	want.PackagesConda["_b-1-0.conda"] = json.RawMessage(`{"name":"_b","sha256":null}`)
	numbers := strings.NewReplacer("1e-7", "1e-07", "1e300", "1e+300")
	want.Packages["a-1-0.tar.bz2"] = json.RawMessage(numbers.Replace(string(want.Packages["a-1-0.tar.bz2"])))
	got := decode(t, out)
	same(t, "packages", got.Packages, inSubdir(t, want.Packages))
	same(t, "packages.conda", got.PackagesConda, inSubdir(t, want.PackagesConda))
	same(t, "v3.conda", got.V3["conda"], inSubdir(t, want.V3["conda"]))
	same(t, "v3.tar.bz2", got.V3["tar.bz2"], inSubdir(t, want.V3["tar.bz2"]))
	if fmt.Sprint(got.Removed) != "[a-0-0.tar.bz2 c-0-0.conda gone-1-0.conda]" || got.Info["subdir"] != "linux-64" || got.Version != 1 {
		t.Errorf("got %v %v %d", got.Removed, got.Info, got.Version)
	}
	if !strings.Contains(string(out), `"a-1-0.tar.bz2":{"name":"a","md5":"00112233445566778899aabbccddeeff","sha256":null`) {
		t.Errorf("got other text: %s", out)
	}
	if again := build(t, got); !maps.EqualFunc(f, again, bytes.Equal) {
		t.Error("got other files of the text that was made of the first ones")
	}
}

func TestShardsAreFetchedSideBySide(t *testing.T) {
	x := indexText{Packages: map[string]json.RawMessage{}}
	for i := range 100 {
		x.Packages[fmt.Sprintf("p%d-1-0.tar.bz2", i)] = json.RawMessage(fmt.Sprintf(`{"name":"p%d"}`, i))
	}
	f := build(t, x)
	index, err := Parse(f[IndexFile])
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	running, most, calls := 0, 0, atomic.Int32{}
	get := func(s Shard) ([]byte, error) {
		mu.Lock()
		running++
		most = max(most, running)
		mu.Unlock()
		time.Sleep(time.Duration(len(s.File())+int(s.Digest[0])) * time.Microsecond * 20)
		mu.Lock()
		running--
		mu.Unlock()
		if calls.Add(1); s.Name == "p7" && len(x.Packages) == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		return f.get(s)
	}
	var out bytes.Buffer
	if err := index.WriteJSON(&out, get); err != nil || most < 2 || most > parallel {
		t.Errorf("got %d at once, %v", most, err)
	}
	want, _ := text(f)
	if !bytes.Equal(out.Bytes(), want) {
		t.Error("got other bytes when shards come late")
	}
	clear(x.Packages)
	err = index.WriteJSON(io.Discard, get)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(err.Error(), "shard p7: ") || running > 0 || calls.Load() == 200 {
		t.Errorf("got %v with %d calls, %d still running", err, calls.Load(), running)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWriterIsAskedEarly(t *testing.T) {
	x := indexText{Packages: map[string]json.RawMessage{}}
	for _, c := range "abcdefghijklmnopqrstuvwxyz" {
		x.Packages[string(c)+"-1-0.conda"] = json.RawMessage(fmt.Sprintf(`{"name":"%c","x":"%070000d"}`, c, 1))
	}
	f, calls := build(t, x), atomic.Int32{}
	index, err := Parse(f[IndexFile])
	if err != nil {
		t.Fatal(err)
	}
	err = index.WriteJSON(brokenWriter{}, func(s Shard) ([]byte, error) { calls.Add(1); return f.get(s) })
	if !errors.Is(err, io.ErrShortWrite) || calls.Load() > parallel+1 {
		t.Errorf("got %v behind %d calls", err, calls.Load())
	}
}
