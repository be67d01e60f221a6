package compress

import (
	"bytes"
	"compress/bzip2"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	dsnet "github.com/dsnet/compress/bzip2"

	"runbook/runtime/host/sample"
)

// serial is what the library makes of data by itself: the very bytes we want.
func serial(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := dsnet.NewWriter(&b, &dsnet.WriterConfig{Level: dsnet.BestCompression})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// repodataText is n bytes or more of what an index of conda packages looks like.
func repodataText(n int) []byte {
	rng := rand.New(rand.NewPCG(3, 4))
	var b bytes.Buffer
	b.WriteString(`{"info":{"subdir":"linux-64"},"packages":{`)
	for i := 0; b.Len() < n; i++ {
		name := fmt.Sprintf("%s-%s%d", []string{"numpy", "r-base", "lib", "python"}[i/9%4], strings.Repeat("x", i/36%7), i/252)
		fmt.Fprintf(&b, "%q:{\"build\":\"py%d_%d\",\"build_number\":%[3]d,\"depends\":[\"python >=3.%d,<3.%[4]da0\",\"libgcc-ng >=%d.2.0\"],"+
			"\"license\":\"BSD-3-Clause\",\"md5\":\"%016x%016x\",\"name\":%q,\"sha256\":\"%016x%016[7]x%016[6]x%016[9]x\",\"size\":%d,\"version\":\"1.%d.%d\"},\n",
			fmt.Sprintf("%s-1.%d.0-%d.tar.bz2", name, i%9, i), i%40, i%3, i%12, 7+i%5, rng.Uint64(), rng.Uint64(), name, rng.Uint64(), rng.Uint32(), i%9, i%4)
	}
	return b.Bytes()
}

// bzip2Inputs are what blocks are cut of in different ways.
func bzip2Inputs() map[string][]byte {
	rng := rand.New(rand.NewPCG(5, 6))
	noise := make([]byte, 2_000_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	fours := make([]byte, 1_900_000) // each four bytes become five
	runs := make([]byte, 0, 3_000_000)
	for i := range fours {
		fours[i] = byte(i / 4)
	}
	for len(runs) < cap(runs)-600 {
		runs = append(runs, bytes.Repeat([]byte{byte(rng.Uint32() % 3)}, rng.IntN(600))...)
	}
	all := map[string][]byte{
		"empty": nil, "a byte": {0}, "four bytes": {9, 9, 9, 9}, "noise": noise, "fours": fours, "runs": runs,
		"zeros": make([]byte, 50_000_000), "text": repodataText(3_000_000),
	}
	for _, n := range []int{blockText - 1, blockText, blockText + 1, 2 * blockText, 3*blockText + 1} {
		all[fmt.Sprint("noise of ", n)] = bytes.Repeat(noise, 2)[:n]
	}
	for _, n := range []int{720_000 - 1, 720_000, 720_000 + 1, 720_003, 720_004, 1_440_000} {
		all[fmt.Sprint("fours of ", n)] = fours[:n]
	}
	for _, n := range []int{255, 256, 259, 260, blockText / 5 * 255, blockText/5*255 + 1, blockText/5*255 + 4} {
		all[fmt.Sprint("zeros of ", n)] = make([]byte, n)
	}
	return all
}

// someInputs are the names of inputs that take a while to try, a third of all and some of each kind.
func someInputs(t *testing.T, all map[string][]byte) []string {
	t.Helper()
	kind := func(name string) []string { return []string{strings.Fields(name)[0]} }
	return sample.Every(t, 3, slices.Sorted(maps.Keys(all)), kind)
}

func TestBzip2IsWhatTheLibraryWrites(t *testing.T) {
	all := bzip2Inputs()
	for _, name := range someInputs(t, all) {
		data := all[name]
		got := pack(t, Bzip2, data, 1<<20)
		if !bytes.Equal(got, serial(t, data)) {
			t.Errorf("%s: got %d bytes that are not the library's", name, len(got))
		}
		r := bzip2.NewReader(bytes.NewReader(got))
		if back, err := io.ReadAll(r); err != nil || !bytes.Equal(back, data) {
			t.Errorf("%s: got %d bytes back, %v, want %d", name, len(back), err, len(data))
		}
	}
}

// Blocks that end within a run, and within its first bytes, at every place.
func TestBzip2AroundBoundaries(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	noise := bzip2Inputs()["noise"]
	for range sample.Count(t, 5, 10) {
		run := bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(600))
		at := blockText - rng.IntN(12)
		data := append(append(bytes.Clone(noise[:at]), run...), noise[at:at+rng.IntN(5000)]...)
		if !bytes.Equal(pack(t, Bzip2, data, 1+rng.IntN(100_000)), serial(t, data)) {
			t.Fatalf("a run of %d behind %d bytes: got bytes that are not the library's", len(run), at)
		}
	}
}

func TestBzip2DependsNotOnProcessors(t *testing.T) {
	sample.Slow(t, "it compresses thirty megabytes")
	data := repodataText(3_000_000)
	want := pack(t, Bzip2, data, 1<<20)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, n := range []int{1, 3, 8} {
		runtime.GOMAXPROCS(n)
		for _, piece := range []int{3333, 1 << 18, len(data)} {
			if !bytes.Equal(pack(t, Bzip2, data, piece), want) {
				t.Errorf("%d processors, pieces of %d: got other bytes", n, piece)
			}
		}
	}
}

// oneStream is how a client of 2016 reads an index.
const oneStream = `import bz2, hashlib, sys
d = bz2.BZ2Decompressor()
raw = d.decompress(sys.stdin.buffer.read() if sys.version_info[0] > 2 else sys.stdin.read())
assert not d.unused_data, "got data behind the stream"
assert getattr(d, "eof", True), "got no end"
sys.stdout.write(hashlib.sha1(raw).hexdigest())`

func TestBzip2IsOneStreamForOthers(t *testing.T) {
	sample.Slow(t, "the other tools take seconds")
	tools := [][]string{{"bzip2", "-dc"}, {"bzip2", "-t"}, {"python3", "-c", oneStream}, {"python2.7", "-c", oneStream}}
	tools = slices.DeleteFunc(tools, func(args []string) bool {
		err := exec.Command(args[0], "--help").Run()
		if err != nil {
			t.Logf("NOT TESTED: %s: %v", args[0], err)
		}
		return err != nil
	})
	all := bzip2Inputs()
	for _, name := range someInputs(t, all) {
		data := all[name]
		if strings.HasPrefix(name, "noise of") {
			continue // noise takes long
		}
		packed := pack(t, Bzip2, data, 1<<20)
		for _, args := range tools {
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Stdin = bytes.NewReader(packed)
			out, err := cmd.Output()
			bad := err != nil || args[1] == "-dc" && !bytes.Equal(out, data) || args[1] == "-c" && string(out) != fmt.Sprintf("%x", sha1.Sum(data))
			if bad {
				t.Errorf("%s: %s: got %d bytes, %v", name, args[0], len(out), err)
			}
		}
	}
}

type brokenWriter struct{ left int }

var errBroken = errors.New("broken")

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

func TestBzip2TellsOfItsWriter(t *testing.T) {
	noise := bytes.Repeat(bzip2Inputs()["noise"], 4)
	for _, left := range []int{0, 5, 1 << 20, 3_999_000} {
		w, _ := NewBzip2(&brokenWriter{left})
		_, err := w.Write(noise)
		if errClose := w.Close(); !errors.Is(errClose, errBroken) || err != nil && !errors.Is(err, errBroken) {
			t.Errorf("%d bytes: got %v, then %v", left, err, errClose)
		}
	}
	w, _ := NewBzip2(io.Discard)
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte{1}); err == nil {
		t.Error("got no error of a write behind the end")
	}
}

func BenchmarkBzip2(b *testing.B) {
	data := repodataText(30_000_000)
	b.Run("parallel", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			pack(b, Bzip2, data, 256<<10)
		}
	})
	b.Run("library", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			serial(b, data)
		}
	})
	b.Run("bzip2 -9", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			cmd := exec.Command("bzip2", "-9c")
			cmd.Stdin = bytes.NewReader(data)
			if _, err := cmd.Output(); err != nil {
				b.Skip(err)
			}
		}
	})
}
