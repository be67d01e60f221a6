package fetch

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A shelf serves one file, as badly as it is told to.
type shelf struct {
	data     []byte
	etag     string
	mime     string
	noRange  bool
	unsized  bool                                                           // until the connection closes
	cut      func(request int) int                                          // bytes to send before breaking off; -1 for all
	instead  func(request int, w http.ResponseWriter, r *http.Request) bool // answers itself
	requests int
	sent     int
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests++
	if s.instead != nil && s.instead(s.requests, w, r) {
		return
	}
	offset := 0
	if s.etag != "" {
		w.Header().Set("ETag", s.etag)
	}
	if s.mime != "" {
		w.Header().Set("Content-Type", s.mime)
	}
	if s.unsized {
		w.Header().Set("Transfer-Encoding", "identity")
		w.Header().Set("Connection", "close")
	} else if fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &offset); s.noRange || r.Header.Get("If-Range") != s.etag {
		offset = 0
	}
	rest := s.data[offset:]
	if !s.unsized {
		w.Header().Set("Content-Length", fmt.Sprint(len(rest)))
	}
	if offset > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, len(s.data)-1, len(s.data)))
		w.WriteHeader(206)
	}
	if s.cut != nil {
		if n := s.cut(s.requests); n >= 0 && n < len(rest) {
			s.sent += n
			w.Write(rest[:n])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	s.sent += len(rest)
	w.Write(rest)
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	r.Read(b)
	return b
}

func hash256(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
func hash5(b []byte) string   { s := md5.Sum(b); return hex.EncodeToString(s[:]) }

// load downloads s into dir as "x".
func load(t *testing.T, ctx context.Context, s http.Handler, dir string, want Want) (Done, error) {
	t.Helper()
	srv := serve(t, s.ServeHTTP)
	return loadFrom(t, ctx, srv.URL+"/x", dir, want)
}

func loadFrom(t *testing.T, ctx context.Context, url, dir string, want Want) (Done, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	c, _ := quick()
	return Download(ctx, c.Get, url, root, "x", want, nil)
}

func names(t *testing.T, dir string) string {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range es {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestDownload(t *testing.T) {
	t.Parallel()
	data := noise(300 << 10)
	sum, sum5 := hash256(data), hash5(data)
	size := int64(len(data))
	after := func(n, cut int) func(int) int {
		return func(request int) int {
			if request > n {
				return -1
			}
			return cut
		}
	}
	for _, test := range []struct {
		name     string
		shelf    shelf
		want     Want
		requests int
		problem  string
		left     string
	}{
		{"plain", shelf{}, Want{}, 1, "", "x"},
		{"all checks", shelf{}, Want{SHA256: sum, MD5: strings.ToUpper(sum5), Size: size}, 1, "", "x"},
		{"until closed", shelf{unsized: true}, Want{SHA256: sum}, 1, "", "x"},
		{"wrong sha256", shelf{}, Want{SHA256: sum5 + sum5}, 1, "got sha256 " + sum + ", want " + sum5 + sum5, ""},
		{"wrong md5", shelf{}, Want{MD5: sum[:32]}, 1, "got md5 " + sum5, ""},
		{"wrong size", shelf{}, Want{Size: size + 1}, 1, fmt.Sprintf("got a file of %d bytes, want %d", size, size+1), ""},
		{"too long until closed", shelf{unsized: true}, Want{Size: 1000}, 1, "got more than 1000 bytes", ".x.part"},
		{"too short until closed", shelf{unsized: true}, Want{Size: size + 1}, 5, "cut short: got 307200 of 307201", ".x.part"},
		{"cut and resumed", shelf{etag: `"1"`, cut: after(2, 100<<10)}, Want{SHA256: sum}, 3, "", "x"},
		{"cut and begun anew", shelf{cut: after(2, 100<<10)}, Want{SHA256: sum}, 3, "", "x"},
		{"cut, weak tag", shelf{etag: `W/"1"`, cut: after(1, 100<<10)}, Want{SHA256: sum}, 2, "", "x"},
		{"cut, range ignored", shelf{etag: `"1"`, noRange: true, cut: after(2, 100<<10)}, Want{SHA256: sum}, 3, "", "x"},
		{"always cut", shelf{etag: `"1"`, cut: after(99, 1)}, Want{}, 5, "cut short", ".x.part .x.part.etag"},
		{"page", shelf{mime: "text/html; charset=utf-8"}, Want{}, 1, "got an HTML page", ""},
		{"xhtml", shelf{mime: "application/xhtml+xml"}, Want{}, 1, "got an HTML page", ""},
		{"gone", shelf{instead: status(404)}, Want{}, 1, "got status 404 Not Found", ""},
		{"no content", shelf{instead: status(204)}, Want{}, 1, "got status 204 No Content", ""},
		{"not modified", shelf{instead: status(304)}, Want{}, 1, "got status 304 Not Modified", ""},
		{"down", shelf{instead: status(503)}, Want{}, 5, "got status 503 Service Unavailable", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // some wait for the next try
			s, dir := test.shelf, t.TempDir()
			s.data = data
			done, err := load(t, context.Background(), &s, dir, test.want)
			if s.requests != test.requests || names(t, dir) != test.left {
				t.Errorf("%d requests left %q, %v", s.requests, names(t, dir), err)
			}
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) {
					t.Errorf("got %v", err)
				}
				return
			}
			got, _ := os.ReadFile(filepath.Join(dir, "x"))
			if err != nil || !bytes.Equal(got, data) || done != (Done{Size: size, SHA256: sum, ETag: s.etag}) {
				t.Errorf("got %+v, %v", done, err)
			}
		})
	}
}

func status(code int) func(int, http.ResponseWriter, *http.Request) bool {
	return func(_ int, w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true }
}

func TestEmptyFileAndPageByName(t *testing.T) {
	dir := t.TempDir()
	if done, err := load(t, context.Background(), &shelf{}, dir, Want{SHA256: hash256(nil)}); err != nil || done.Size != 0 || names(t, dir) != "x" {
		t.Errorf("empty: got %+v, %v", done, err)
	}
	root, _ := os.OpenRoot(dir)
	defer root.Close()
	srv := serve(t, (&shelf{data: []byte("<p>"), mime: "text/html"}).ServeHTTP)
	c, _ := quick()
	if _, err := Download(context.Background(), c.Get, srv.URL, root, "index.HTML", Want{}, nil); err != nil {
		t.Errorf("page: %v", err)
	}
	if _, err := Download(context.Background(), c.Get, srv.URL, root, "index", Want{}, nil); !errors.Is(err, ErrPage) {
		t.Errorf("no page: %v", err)
	}
	if _, err := Download(context.Background(), c.Get, srv.URL, root, "../x.html", Want{}, nil); err == nil {
		t.Error("left the root")
	}
}

func TestModeAndProgress(t *testing.T) {
	dir := t.TempDir()
	root, _ := os.OpenRoot(dir)
	defer root.Close()
	if err := root.Mkdir("sub", 0o755); err != nil {
		t.Fatal(err)
	}
	c, _ := quick()
	srv := serve(t, (&shelf{data: noise(1 << 20)}).ServeHTTP)
	for mode, want := range map[fs.FileMode]fs.FileMode{0: 0o644, 0o600: 0o600, 0o755: 0o755} {
		var done, total int64
		_, err := Download(context.Background(), c.Get, srv.URL, root, "sub/x", Want{Mode: mode}, func(d, t int64) { done, total = d, t })
		fi, serr := root.Stat("sub/x")
		if err != nil || serr != nil || fi.Mode() != want || done != 1<<20 || total != 1<<20 || names(t, filepath.Join(dir, "sub")) != "x" {
			t.Errorf("%v: got %v, %v, told of %d of %d", mode, fi.Mode(), err, done, total)
		}
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("SKIPPED, no full disk to be had: ", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	s := &shelf{data: noise(1 << 20), etag: `"1"`}
	_, err := load(t, context.Background(), s, dir, Want{})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), ".x.part") || s.requests != 1 {
		t.Errorf("got %v after %d requests", err, s.requests)
	}
}

func TestStallWhileDownloading(t *testing.T) {
	t.Parallel()
	s := &shelf{data: noise(1000), etag: `"1"`}
	s.instead = func(request int, w http.ResponseWriter, r *http.Request) bool {
		if request == 1 {
			w.Header().Set("ETag", s.etag)
			w.Header().Set("Content-Length", "1000")
			w.Write(s.data[:500])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}
		return false
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	_, err = Download(context.Background(), hasty().Get, serve(t, s.ServeHTTP).URL, root, "x", Want{SHA256: hash256(s.data)}, nil)
	if err != nil || s.sent != 500 {
		t.Errorf("got %v, sent %d", err, s.sent)
	}
}
