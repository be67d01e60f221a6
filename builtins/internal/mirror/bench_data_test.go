package mirror

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"runbook/builtins/internal/mirror/channel"
)

// A set is a channel of generated packages, in one subdir.
type set struct {
	dir   string // the channel
	names []string
	sizes []int64
	sums  []string // hex SHA-256
	bytes int64
}

const benchSubdir = "linux-64"

// fullSet is as large channels are: half of the packages are small, a few are half of the bytes.
func fullSet(b *testing.B) *set {
	r := rand.New(rand.NewPCG(1, 2))
	return newSet(b, 2000, func(int) int64 {
		return int64(min(100<<10*math.Exp(2*r.NormFloat64()), 60<<20))
	}, 1_500_000_000)
}

func smallSet(b *testing.B) *set {
	r := rand.New(rand.NewPCG(3, 4))
	return newSet(b, 4000, func(int) int64 { return 2000 + r.Int64N(44000) }, 95_000_000)
}

// newSet makes n packages whose sizes are drawn from size and then scaled to total bytes, unless that is 0.
func newSet(b *testing.B, n int, size func(i int) int64, total int64) *set {
	b.Helper()
	s := &set{dir: filepath.Join(b.TempDir(), "channel")}
	sum := int64(0)
	for i := range n {
		s.sizes = append(s.sizes, size(i))
		sum += s.sizes[i]
	}
	for i := range s.sizes {
		if total > 0 {
			s.sizes[i] = int64(float64(s.sizes[i]) * float64(total) / float64(sum))
		}
		s.names = append(s.names, fmt.Sprintf("pkg%05d-1.%d-py27_%d.tar.bz2", i, i%10, i%3))
		s.bytes += s.sizes[i]
	}
	if err := s.write(); err != nil {
		b.Fatal(err)
	}
	return s
}

func (s *set) write() error {
	if err := os.MkdirAll(filepath.Join(s.dir, benchSubdir), 0o755); err != nil {
		return err
	}
	pool := make([]byte, 4<<20)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(pool)
	for i, n := range s.names {
		sum, err := writePackage(filepath.Join(s.dir, benchSubdir, n), s.sizes[i], uint64(i), pool)
		if err != nil {
			return err
		}
		s.sums = append(s.sums, sum)
	}
	return s.writeIndex()
}

// writePackage makes a file that is like no other: each block begins with its own number. It returns the SHA-256.
func writePackage(name string, size int64, id uint64, pool []byte) (string, error) {
	f, err := os.Create(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	w := io.MultiWriter(f, h)
	const most = 256 << 10
	for n := uint64(0); size > 0; n++ {
		at := (id*7919 + n*most) % uint64(len(pool)-most)
		block := append(binary.LittleEndian.AppendUint64(nil, id<<32|n), pool[at:at+most]...)
		m := min(size, int64(len(block)))
		if _, err := w.Write(block[:m]); err != nil {
			return "", err
		}
		size -= m
	}
	return hex.EncodeToString(h.Sum(nil)), f.Close()
}

func (s *set) writeIndex() error {
	f, err := os.Create(filepath.Join(s.dir, benchSubdir, channel.IndexFile))
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	fmt.Fprintf(w, "{\n  \"info\": {\n    \"subdir\": %q\n  },\n  \"packages\": {", benchSubdir)
	for i, n := range s.names {
		comma := ","
		if i == 0 {
			comma = ""
		}
		fmt.Fprintf(w, "%s\n    %q: {\n      \"build\": \"py27_%d\",\n      \"build_number\": %d,\n      \"depends\": [\n        \"python 2.7*\"\n      ],\n", comma, n, i%3, i%3)
		fmt.Fprintf(w, "      \"license\": \"BSD\",\n      \"md5\": %q,\n      \"name\": \"pkg%05d\",\n      \"sha256\": %q,\n      \"size\": %d,\n      \"version\": \"1.%d\"\n    }",
			s.sums[i][32:], i, s.sums[i], s.sizes[i], i%10)
	}
	fmt.Fprint(w, "\n  }\n}\n")
	return w.Flush()
}

// complete checks that dir holds all packages, by their sizes.
func (s *set) complete(b *testing.B, dir string) {
	b.Helper()
	for i, n := range s.names {
		fi, err := os.Lstat(filepath.Join(dir, n))
		if err != nil {
			b.Fatal(err)
		}
		if fi.Size() != s.sizes[i] {
			b.Fatalf("%s: got %d bytes, want %d", n, fi.Size(), s.sizes[i])
		}
	}
}

// list makes a file as sha256sum reads it.
func (s *set) list(b *testing.B) string {
	b.Helper()
	name := filepath.Join(b.TempDir(), "SHA256SUMS")
	var text []byte
	for i, n := range s.names {
		text = fmt.Appendf(text, "%s  %s/%s\n", s.sums[i], benchSubdir, n)
	}
	if err := os.WriteFile(name, text, 0o644); err != nil {
		b.Fatal(err)
	}
	return name
}
