package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"runbook/runtime/host"
)

// interrupt downloads n bytes of s into dir, then stops.
func interrupt(t *testing.T, url, dir string, n int64) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, _ := quick()
	get := func(ctx context.Context, r host.Request) (*host.Response, error) {
		resp, err := c.Get(ctx, r)
		if err == nil {
			resp.Body = &stopper{resp.Body, n, cancel}
		}
		return resp, err
	}
	if _, err := Download(ctx, get, url, root, "x", Want{}, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted download: %v", err)
	}
}

// A stopper cancels after n bytes.
type stopper struct {
	io.ReadCloser
	n      int64
	cancel func()
}

func (s *stopper) Read(p []byte) (int, error) {
	if s.n == 0 {
		s.cancel()
		return 0, context.Canceled
	}
	n, err := s.ReadCloser.Read(p[:min(int64(len(p)), s.n)])
	s.n -= int64(n)
	return n, err
}

func TestResumeAfterInterrupt(t *testing.T) {
	t.Parallel()
	data, half := noise(400<<10), int64(200<<10)
	sum := hash256(data)
	other := append([]byte("other"), data[5:]...)
	for _, test := range []struct {
		name    string
		spoil   func(s *shelf, dir string)
		want    Want
		resumed int64
		sent    int // in the second run
		problem string
	}{
		{"as it was", func(*shelf, string) {}, Want{SHA256: sum, MD5: hash5(data)}, half, 200 << 10, ""},
		{"no digest", func(*shelf, string) {}, Want{}, half, 200 << 10, ""},
		{"new version", func(s *shelf, _ string) { s.etag, s.data = `"2"`, other }, Want{SHA256: hash256(other)}, 0, 400 << 10, ""},
		{"new version, same tag", func(s *shelf, _ string) { s.data = other }, Want{SHA256: hash256(other)}, 0, 600 << 10, ""},
		{"wrong digest for ever", func(*shelf, string) {}, Want{SHA256: hash256(other)}, 0, 600 << 10, "wrong digest"},
		{"no note", func(_ *shelf, dir string) { os.Remove(dir + "/.x.part.etag") }, Want{SHA256: sum}, 0, 400 << 10, ""},
		{"torn note", func(_ *shelf, dir string) { os.WriteFile(dir+"/.x.part.etag", []byte(`"1"`), 0o600) }, Want{SHA256: sum}, 0, 400 << 10, ""},
		{"part too short", func(_ *shelf, dir string) { os.Truncate(dir+"/.x.part", half-1) }, Want{SHA256: sum}, 0, 400 << 10, ""},
		{"part longer than noted", func(_ *shelf, dir string) { appendTo(dir+"/.x.part", "junk that was never synced") }, Want{SHA256: sum}, half, 200 << 10, ""},
		{"part lost", func(_ *shelf, dir string) { os.Remove(dir + "/.x.part") }, Want{SHA256: sum}, 0, 400 << 10, ""},
		{"part rotten", func(_ *shelf, dir string) { flip(dir + "/.x.part") }, Want{SHA256: sum}, 0, 600 << 10, ""},
		{"part is a directory", func(_ *shelf, dir string) { os.Remove(dir + "/.x.part"); os.Mkdir(dir+"/.x.part", 0o755) }, Want{SHA256: sum}, 0, 400 << 10, ""},
	} {
		s, dir := &shelf{data: data, etag: `"1"`}, t.TempDir()
		url := serve(t, s.ServeHTTP).URL + "/x"
		interrupt(t, url, dir, half)
		test.spoil(s, dir)
		s.sent = 0
		done, err := loadFrom(t, context.Background(), url, dir, test.want)
		if done.Resumed != test.resumed || s.sent != test.sent {
			t.Errorf("%s: resumed %d, sent %d, %v", test.name, done.Resumed, s.sent, err)
		}
		if test.problem != "" {
			if err == nil || !strings.Contains(err.Error(), test.problem) || names(t, dir) != "" {
				t.Errorf("%s: got %v, left %s", test.name, err, names(t, dir))
			}
			continue
		}
		if got, _ := os.ReadFile(dir + "/x"); err != nil || !bytes.Equal(got, s.data) || names(t, dir) != "x" {
			t.Errorf("%s: got %v, left %s", test.name, err, names(t, dir))
		}
	}
}

func appendTo(name, text string) {
	f, _ := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString(text)
	f.Close()
}

func flip(name string) {
	b, _ := os.ReadFile(name)
	b[len(b)/2] ^= 1
	os.WriteFile(name, b, 0o600)
}

func TestPartOfAnotherURLIsNotTaken(t *testing.T) {
	s, dir := &shelf{data: noise(1000), etag: `"1"`}, t.TempDir()
	srv := serve(t, s.ServeHTTP)
	interrupt(t, srv.URL+"/old", dir, 500)
	if done, err := loadFrom(t, context.Background(), srv.URL+"/new", dir, Want{}); err != nil || done.Resumed != 0 {
		t.Errorf("got %+v, %v", done, err)
	}
}

// Where others may write, a part may be a trap.
func TestPlantedPartIsNotWritten(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(victim, part string) error{
		"symbolic link": os.Symlink, "hard link": os.Link,
		"fifo": func(_, part string) error { return syscall.Mkfifo(part, 0o666) },
	} {
		for _, file := range []string{".x.part", ".x.part.etag"} {
			s, dir := &shelf{data: noise(1000), etag: `"1"`}, t.TempDir()
			url := serve(t, s.ServeHTTP).URL + "/x"
			interrupt(t, url, dir, 500)
			victim := dir + "/victim"
			if err := os.WriteFile(victim, noise(600), 0o600); err != nil {
				t.Fatal(err)
			}
			os.Remove(dir + "/" + file)
			if err := plant(victim, dir+"/"+file); err != nil {
				t.Fatal(err)
			}
			_, err := loadFrom(t, context.Background(), url, dir, Want{SHA256: hash256(s.data)})
			if got, _ := os.ReadFile(victim); err != nil || !bytes.Equal(got, noise(600)) || names(t, dir) != "victim x" {
				t.Errorf("%s as %s: %v, left %s", name, file, err, names(t, dir))
			}
		}
	}
}
