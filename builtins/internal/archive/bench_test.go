package archive

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/md5"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"runbook/runtime/host"
)

// BenchmarkPeer extracts an archive in turn with the commands that people use, all
// of them until the disk has it, and reports the median of the ratios of their times:
// x/peer, which below 1 is faster. go test -run - -bench Peer -benchtime 5x
func BenchmarkPeer(b *testing.B) {
	for _, set := range []struct {
		name        string
		files, size int
		digest      bool
	}{
		{"large", 2500, 920_000, false}, // 2.3 GB
		{"small", 20_000, 2_000, false},
		{"large-md5", 2500, 920_000, true},
	} {
		b.Run(set.name, func(b *testing.B) {
			dir := b.TempDir()
			sum := writeTar(b, filepath.Join(dir, "a.tar"), set.files, set.size)
			command := "tar xf a.tar -C peer && sync -f peer"
			o := Options{}
			if set.digest {
				command, o.MD5 = "md5sum -c --quiet a.md5 && "+command, sum
				must(b, os.WriteFile(filepath.Join(dir, "a.md5"), []byte(sum+"  a.tar\n"), 0o644))
			}
			var ratios []float64
			for b.Loop() {
				peer := timed(b, func() error {
					c := exec.Command("sh", "-ec", "mkdir peer; "+command)
					c.Dir = dir
					return c.Run()
				})
				ours := timed(b, func() error { return extractTo(dir, o) })
				ratios = append(ratios, ours.Seconds()/peer.Seconds())
				must(b, os.RemoveAll(filepath.Join(dir, "peer")))
				must(b, os.RemoveAll(filepath.Join(dir, "ours")))
				must(b, exec.Command("sync", "-f", dir).Run())
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "x/peer")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func timed(b *testing.B, f func() error) time.Duration {
	start := time.Now()
	must(b, f())
	return time.Since(start)
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func extractTo(dir string, o Options) error {
	name := filepath.Join(dir, "a.tar")
	c := host.Content{Open: func() (host.File, error) { return os.Open(name) }}
	l, err := List(context.Background(), c, 0)
	if err != nil {
		return err
	}
	dest := filepath.Join(dir, "ours")
	if err := os.Mkdir(dest, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dest)
	if err != nil {
		return err
	}
	defer root.Close()
	return l.Extract(context.Background(), root, all, o)
}

// writeTar makes an archive of files of some size in a hundred directories, and
// returns its MD5.
func writeTar(b *testing.B, name string, files, size int) string {
	f, err := os.Create(name)
	must(b, err)
	defer f.Close()
	var sum hash.Hash = md5.New()
	buf := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<20)
	w := tar.NewWriter(buf)
	data := make([]byte, size)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	for i := range files {
		copy(data, fmt.Sprint(i))
		h := &tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("d%02d/f%d", i%100, i), Mode: 0o644, Size: int64(size),
			ModTime: time.Unix(1_470_000_000, 0)}
		must(b, w.WriteHeader(h))
		_, err := w.Write(data)
		must(b, err)
	}
	must(b, w.Close())
	must(b, buf.Flush())
	must(b, f.Sync())
	return fmt.Sprintf("%x", sum.Sum(nil))
}
