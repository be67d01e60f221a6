package fetch_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"runbook/runtime/fetch"
	"runbook/runtime/host"
)

// BenchmarkParallel gets large files, 16 at once, over the loopback, by a Client
// and by curl in turns.
//
//	go test ./runtime/fetch -run - -bench Parallel -benchtime 5x
func BenchmarkParallel(b *testing.B) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		b.Skip("SKIPPED: no curl")
	}
	const files, size, at = 48, 32 << 20, 16
	dir := b.TempDir()
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), make([]byte, size), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer s.Close()
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		getAll(b, s.URL, files, size, at)
		ours += time.Since(start)
		start = time.Now()
		out, err := exec.Command(curl, "-sSfZ", "--parallel-max", fmt.Sprint(at), s.URL+fmt.Sprintf("/[0-%d]", files-1), "-o", "/dev/null").CombinedOutput()
		if err != nil {
			b.Fatalf("%s: %v", out, err)
		}
		theirs += time.Since(start)
	}
	total := float64(b.N*files*size) / (1 << 20)
	b.ReportMetric(total/ours.Seconds(), "MiB/s")
	b.ReportMetric(total/theirs.Seconds(), "curl-MiB/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "of-curl")
}

func getAll(b *testing.B, url string, files, size, at int) {
	c := fetch.New()
	defer c.Transport.(*http.Transport).CloseIdleConnections()
	names := make(chan int)
	var wg sync.WaitGroup
	for range at {
		wg.Go(func() {
			buf := make([]byte, 128<<10)
			for i := range names {
				resp, err := c.Get(b.Context(), host.Request{URL: fmt.Sprint(url, "/", i)})
				if err != nil {
					b.Error(err)
					return
				}
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
				resp.Body.Close()
				if err != nil || n != int64(size) {
					b.Errorf("got %d bytes, %v", n, err)
				}
			}
		})
	}
	for i := range files {
		names <- i
	}
	close(names)
	wg.Wait()
}
