package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"runbook/builtins/internal/compress"
)

// stamp is the time of members.
var stamp = time.Unix(1470182400, 0)

// hdr describes a member: h("dir/", ""), h("file", "data"), sym, hard.
type hdr struct {
	tar.Header
	data string
}

func file(name, data string) hdr {
	return hdr{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: stamp}, data}
}
func dir(name string) hdr {
	return hdr{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: stamp}, ""}
}
func sym(name, target string) hdr {
	return hdr{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777, ModTime: stamp}, ""}
}
func hard(name, target string) hdr {
	return hdr{tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: 0o644, ModTime: stamp}, ""}
}
func typed(kind byte, name string) hdr {
	return hdr{tar.Header{Typeflag: kind, Name: name, Mode: 0o644, ModTime: stamp}, ""}
}

// pack makes an archive with the library's writer.
func pack(t testing.TB, members ...hdr) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		if err := w.WriteHeader(&m.Header); err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		if _, err := w.Write([]byte(m.data)); err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// raw makes one ustar header and its data as bytes, for what the library's
// writer would refuse to write.
func raw(kind byte, name, link string, size string, data string) string {
	b := make([]byte, block)
	copy(b, name)
	copy(b[100:], "0000644\x000000000\x000000000\x00")
	copy(b[124:], size)
	copy(b[136:], "12750240000\x00        ")
	b[156] = kind
	copy(b[157:], link)
	copy(b[257:], "ustar\x0000")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	pad := (block - len(data)%block) % block
	return string(b) + data + strings.Repeat("\x00", pad)
}

// rawOf is raw with the size that data has.
func rawOf(kind byte, name, data string) string {
	return raw(kind, name, "", fmt.Sprintf("%011o\x00", len(data)), data)
}

// pax is an extended header with the given records.
func pax(kind byte, records ...string) string {
	var b strings.Builder
	for _, r := range records {
		n := len(r) + 2
		n += len(fmt.Sprint(n + len(fmt.Sprint(n))))
		fmt.Fprintf(&b, "%d %s\n", n, r)
	}
	return rawOf(kind, "pax", b.String())
}

// end is what ends an archive.
var end = strings.Repeat("\x00", 2*block)

func gz(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := compress.NewGzip(&b)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
