package compress

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

type onlyReader struct{ io.Reader }
type onlyWriter struct{ io.Writer }

func TestZstdDependsNotOnPieces(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 128 << 10, 128<<10 + 1, 12_000_000} {
		data := append(repodataText(n), "..."...)[:n]
		want := pack(t, Zstd, data, 1<<30)
		var copied, direct bytes.Buffer
		w, _ := NewZstd(&copied)
		if _, err := io.CopyBuffer(onlyWriter{w}, onlyReader{bytes.NewReader(data)}, make([]byte, 256<<10)); err != nil {
			t.Fatal(err)
		}
		w.Close()
		w, _ = NewZstd(&direct)
		if _, err := io.Copy(w, onlyReader{bytes.NewReader(data)}); err != nil { // by its ReadFrom
			t.Fatal(err)
		}
		w.Close()
		if !bytes.Equal(copied.Bytes(), want) || !bytes.Equal(direct.Bytes(), want) {
			t.Errorf("%d bytes: got other bytes in pieces", n)
		}
	}
}

func TestZstdIsOneFrameOfASmallWindow(t *testing.T) {
	packed := pack(t, Zstd, repodataText(12_000_000), 1<<20)
	var h zstd.Header
	if err := h.Decode(packed); err != nil || h.WindowSize > 8<<20 || !h.HasCheckSum || h.Skippable {
		t.Errorf("got a header %+v, %v", h, err)
	}
	if out, err := exec.Command("zstd", "--version").Output(); err != nil {
		t.Skipf("NOT TESTED: there is no zstd here: %s %v", out, err)
	}
	file := t.TempDir() + "/x.zst"
	if err := os.WriteFile(file, packed, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("zstd", "-lv", file).Output(); err != nil || !strings.Contains(string(out), "Zstandard Frames: 1\n") || !strings.Contains(string(out), "XXH64") {
		t.Errorf("got %s %v", out, err)
	}
	if out, err := exec.Command("zstd", "-t", "-M8MiB", file).CombinedOutput(); err != nil {
		t.Errorf("with 8 MiB of memory: %s %v", out, err)
	}
}

func TestPieces(t *testing.T) {
	p, err := NewPieces(10_000)
	if err != nil {
		t.Fatal(err)
	}
	text := repodataText(9_000)[:9_000]
	packed := p.Pack([]byte("head"), text)
	for range 2 {
		if got, err := p.Unpack([]byte("x"), packed[4:]); err != nil || string(got) != "x"+string(text) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	}
	if !bytes.Equal(p.Pack(nil, text), packed[4:]) {
		t.Error("got other bytes the second time")
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "text": text, "a short frame": packed[4:400], "something behind": append(bytes.Clone(packed[4:]), 'x'),
		"too much": p.Pack(nil, make([]byte, 10_001)), "too much in two": append(p.Pack(nil, text), p.Pack(nil, text)...),
		"too much of a stream": pack(t, Zstd, repodataText(10_001), 1<<20), "a flipped bit": append(append(bytes.Clone(packed[4:100]), packed[100]^1), packed[101:]...),
	} {
		if got, err := p.Unpack(nil, bad); err == nil || !strings.HasPrefix(err.Error(), "zstd") {
			t.Errorf("%s: got %d bytes, %v", name, len(got), err)
		}
	}
}

func BenchmarkZstd(b *testing.B) {
	data := repodataText(100_000_000)
	packed := pack(b, Zstd, data, 1<<20)
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			w, _ := NewZstd(io.Discard)
			io.CopyBuffer(onlyWriter{w}, onlyReader{bytes.NewReader(data)}, make([]byte, 256<<10))
			w.Close()
		}
		b.ReportMetric(float64(len(packed))/1e6, "MB")
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if r, err := NewReader(bytes.NewReader(packed), "x"); err != nil {
				b.Fatal(err)
			} else if n, err := io.CopyBuffer(onlyWriter{io.Discard}, r, make([]byte, 64<<10)); err != nil || n != int64(len(data)) {
				b.Fatal(n, err)
			}
		}
	})
}
