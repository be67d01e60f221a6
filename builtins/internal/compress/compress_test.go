package compress

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

var writers = map[Format]func(io.Writer) (io.WriteCloser, error){
	Gzip:  NewGzip,
	Bzip2: NewBzip2,
	Zstd:  NewZstd,
	XZ:    func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
	Plain: func(w io.Writer) (io.WriteCloser, error) { return nopWriter{w}, nil },
}

type nopWriter struct{ io.Writer }

func (nopWriter) Close() error { return nil }

// pack compresses data in pieces of n bytes.
func pack(t testing.TB, f Format, data []byte, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := writers[f](&b)
	if err != nil {
		t.Fatal(err)
	}
	for len(data) > 0 {
		k := min(n, len(data))
		if _, err := w.Write(data[:k]); err != nil {
			t.Fatal(err)
		}
		data = data[k:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unpack(packed io.Reader) ([]byte, Format, error) {
	r, err := NewReader(packed, "x")
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	return data, r.Format, err
}

// samples are what compressors treat differently.
func samples() map[string][]byte {
	noise := make([]byte, 300_000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	return map[string][]byte{
		"empty": nil, "a byte": {7}, "zeros": make([]byte, 2_000_000), "noise": noise,
		"text": bytes.Repeat([]byte(`{"name": "zlib", "build": "3"},`), 40_000),
	}
}

func TestRoundTrip(t *testing.T) {
	for f := range writers {
		for name, data := range samples() {
			got, format, err := unpack(iotest.OneByteReader(bytes.NewReader(pack(t, f, data, 1<<20))))
			if name == "zeros" && f == Plain {
				continue // a byte at a time takes long
			}
			if err != nil || format != f && len(data) > 0 || !bytes.Equal(got, data) {
				t.Errorf("%s of %s: got %d bytes of %s, %v", f, name, len(got), format, err)
			}
		}
	}
}

func TestEqualInputGivesEqualBytes(t *testing.T) {
	for _, f := range []Format{Gzip, Bzip2, Zstd} {
		for name, data := range samples() {
			if !bytes.Equal(pack(t, f, data, 1<<20), pack(t, f, data, 777)) {
				t.Errorf("%s of %s differs with the size of writes", f, name)
			}
		}
	}
}

func TestOtherToolsReadWhatWeWrite(t *testing.T) {
	for f, tool := range map[Format]string{Gzip: "gzip", Bzip2: "bzip2", Zstd: "zstd", XZ: "xz"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Logf("NOT TESTED: there is no %s here", tool)
			continue
		}
		data := samples()["text"]
		cmd := exec.Command(tool, "-dc")
		cmd.Stdin = bytes.NewReader(pack(t, f, data, 5000))
		if got, err := cmd.Output(); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s -dc: %d bytes, %v", tool, len(got), err)
		}
		cmd = exec.Command(tool, "-c")
		cmd.Stdin = bytes.NewReader(data)
		packed, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, format, err := unpack(bytes.NewReader(packed)); err != nil || format != f || !bytes.Equal(got, data) {
			t.Errorf("what %s wrote: got %d bytes of %s, %v", tool, len(got), format, err)
		}
	}
}

func TestConcatenatedFramesAreOneStream(t *testing.T) {
	for _, f := range []Format{Gzip, Bzip2, Zstd, XZ} {
		two := append(pack(t, f, []byte("one"), 9), pack(t, f, []byte("two"), 9)...)
		if got, _, err := unpack(bytes.NewReader(two)); string(got) != "onetwo" || err != nil {
			t.Errorf("%s: got %q, %v", f, got, err)
		}
	}
}

func TestDamageIsAnError(t *testing.T) {
	data := samples()["text"]
	for _, f := range []Format{Gzip, Bzip2, Zstd, XZ} {
		whole := pack(t, f, data, 1<<20)
		for _, n := range []int{len(whole) - 1, len(whole) / 2, 11} {
			if _, _, err := unpack(bytes.NewReader(whole[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s cut to %d of %d bytes: got %v, want an unexpected end", f, n, len(whole), err)
			}
		}
		flipped := bytes.Clone(whole)
		flipped[len(whole)*2/3] ^= 0x40
		if got, _, err := unpack(bytes.NewReader(flipped)); err == nil {
			t.Errorf("%s with a flipped bit: got %d bytes and no error", f, len(got))
		}
		if _, _, err := unpack(strings.NewReader(string(whole) + "garbage behind")); err == nil {
			t.Errorf("%s with garbage behind it: no error", f)
		}
	}
}

func TestDetect(t *testing.T) {
	for head, want := range map[string]Format{
		"": Plain, "B": Plain, "BZh9 is how a text may begin": Plain, "\x1f\x8b": Plain, "\x1f\x8b\x08": Gzip,
		"\x50\x2a\x4d\x18": Zstd, "\x5f\x2a\x4d\x18\x00": Zstd, "\x60\x2a\x4d\x18": Plain, "PK\x03\x04": Plain,
		"BZh01AY&SY": Plain, "BZh11AY&SY": Bzip2,
	} {
		if got := Detect([]byte(head)); got != want {
			t.Errorf("%q: got %s, want %s", head, got, want)
		}
	}
}

func TestWindowIsLimited(t *testing.T) {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(2*maxWindow))
	if err != nil {
		t.Fatal(err)
	}
	io.CopyN(w, zeros{}, 3*maxWindow)
	w.Close()
	if _, _, err := unpack(&b); err == nil || !strings.Contains(err.Error(), "window") {
		t.Errorf("zstd: got %v, want an error about the window", err)
	}
	head := "\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36\x02\x00\x21\x01\x28\x00\x00\x00\x00\x00\x00\x00"
	if _, _, err := unpack(strings.NewReader(head)); err == nil || !strings.Contains(err.Error(), "dictionary") {
		t.Errorf("xz: got %v, want an error about the dictionary", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func FuzzReader(f *testing.F) {
	for format := range writers {
		f.Add(pack(f, format, []byte("some text, some text, some text"), 9))
	}
	f.Add([]byte("\xfd7zXZ\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := NewReader(bytes.NewReader(data), "x")
		if err != nil {
			return
		}
		defer r.Close()
		n, err := io.Copy(io.Discard, io.LimitReader(r, 1<<20))
		if err == nil && r.Format == Plain && n != int64(min(len(data), 1<<20)) {
			t.Errorf("plain: got %d bytes, want %d", n, len(data))
		}
	})
}
