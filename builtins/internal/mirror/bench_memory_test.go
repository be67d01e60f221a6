package mirror

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkMemory reports the most resident memory of a process that mirrors into an empty tree, for few and many
// packages and for small and large ones.
//
//	go test ./builtins/internal/mirror -run - -bench Memory -benchtime 1x
func BenchmarkMemory(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
		size int64
	}{{"2000-packages", 2000, 4 << 10}, {"20000-packages", 20000, 4 << 10}, {"100000-packages", 100000, 1 << 10},
		{"1MB", 2, 1 << 20}, {"1GB", 2, 1 << 30}} {
		b.Run(c.name, func(b *testing.B) {
			s := holes(b, c.n, c.size)
			for b.Loop() {
				o := job{Channel: s.dir, Dest: filepath.Join(b.TempDir(), "tree"), NoBzip2: true}.run(b)
				b.ReportMetric(float64(o.PeakKB)/1e3, "peak-MB")
			}
		})
	}
}

// holes is a set of equal packages that take no room.
func holes(b *testing.B, n int, size int64) *set {
	s := newSet(b, n, func(int) int64 { return 0 }, 0)
	h := sha256.New()
	for i, name := range s.names {
		file := filepath.Join(s.dir, benchSubdir, name)
		if err := os.Truncate(file, size); err != nil {
			b.Fatal(err)
		}
		if i == 0 {
			f, err := os.Open(file)
			if err == nil {
				_, err = io.Copy(h, f)
				f.Close()
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		s.sizes[i], s.sums[i] = size, hex.EncodeToString(h.Sum(nil))
	}
	if err := s.writeIndex(); err != nil {
		b.Fatal(err)
	}
	return s
}
