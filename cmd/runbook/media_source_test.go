package main

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/media"
	"runbook/runtime/host/sample"
)

// An archiveServer serves archives over HTTP as an object store does, with ETags and ranges.
type archiveServer struct {
	dir   string
	first func(w http.ResponseWriter, r *http.Request) bool // answers instead, if it returns true

	mu  sync.Mutex
	log []string // "/name", or "/name bytes=N-"
}

// newArchiveServer has the archives that media.star takes unless told otherwise. Miniconda's and the
// notebook's have no small files beside them.
func newArchiveServer(t testing.TB) (*archiveServer, string) {
	d := &archiveServer{dir: archiveDir(t)}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	return d, server.URL
}

func (d *archiveServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.log = append(d.log, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
	d.mu.Unlock()
	if d.first != nil && d.first(w, r) {
		return
	}
	plain := strings.HasPrefix(r.URL.Path, "/miniconda-") || strings.HasPrefix(r.URL.Path, "/notebook-")
	data, err := os.ReadFile(d.dir + r.URL.Path)
	if err != nil || plain && !strings.HasSuffix(r.URL.Path, ".tar") {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", etag(data))
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// asked returns the requests since the last call.
func (d *archiveServer) asked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	log := d.log
	d.log = nil
	return log
}

// A source may be named as a URL of a directory, too.
func TestMediaFileURL(t *testing.T) {
	t.Parallel()
	m := newMedium(t, media.Cluster)
	m.source = "file://" + m.source + "/"
	m.layOut()
	m.sameAs(expandedMedia(t), "anaconda-cluster")
	m.source = "source"
	if out := m.run(3); !strings.Contains(out, `var source: got "source"`) {
		t.Errorf("got %s", out)
	}
}

// From a URL a dry run knows nothing before the small files are here, and says
// so; with them it knows everything that has a list.
func TestMediaURL(t *testing.T) {
	t.Parallel()
	m := newMedium(t)
	var d *archiveServer
	d, m.source = newArchiveServer(t)
	if out := m.run(1, "--dry-run"); !strings.Contains(out, "--step lists") || strings.Count(out, "hint:") > 1 {
		t.Errorf("got %s", out)
	}
	if log := d.asked(); len(log) > 0 || len(m.files()) > 0 {
		t.Errorf("the dry run asked for %v and made %v", log, m.files())
	}
	m.run(0, "--step", "lists")
	if out := m.run(1, "--dry-run"); !strings.Contains(out, media.Miniconda) || !strings.Contains(out, "hint: download the archive first") {
		t.Errorf("got %s", out)
	}
	m.layOut("--var", "components=linux-64,cluster,r")
	d.asked()
	m.run(0) // the rest
	want := []string{"/" + media.Miniconda, "/" + media.Notebook}
	if log := d.asked(); strings.Join(log, " ") != strings.Join(want, " ") {
		t.Errorf("asked for %v, want %v", log, want)
	}
	m.layOut() // nothing is left to do
	if log := d.asked(); len(log) > 0 {
		t.Errorf("asked again for %v", log)
	}
	m.sameAs(expandedMedia(t), "wakari")
}

// A download that breaks off goes on in the same run; one that a run had to give up goes on in the next.
func TestMediaResume(t *testing.T) {
	t.Parallel()
	m := newMedium(t)
	var d *archiveServer
	d, m.source = newArchiveServer(t)
	const half = 3 << 20
	gone := true
	d.first = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/"+media.Linux64 && r.Header.Get("Range") == "":
			d.cut(w, media.Linux64, half)
		case r.URL.Path == "/"+media.Linux64 && gone:
			http.Error(w, "come back later", http.StatusForbidden)
			return true
		}
		return false
	}
	if out := m.run(1); !strings.Contains(out, "403 Forbidden") {
		t.Errorf("got %s", out)
	}
	if _, err := os.Stat(m.out + "/archives/" + media.Linux64); err == nil {
		t.Errorf("half an archive has the name of the whole one")
	}
	d.asked()
	gone = false
	m.run(0, "--trace", m.dir+"/real.jsonl")
	ranged := strings.Join(d.asked(), "\n")
	if !strings.Contains(ranged, fmt.Sprintf("/%s bytes=%d-", media.Linux64, half)) || strings.Contains(ranged, media.Linux64+"\n") {
		t.Errorf("want a request for the rest and none for the whole, got\n%s", ranged)
	}
	if trace, err := os.ReadFile(m.dir + "/real.jsonl"); err != nil || !strings.Contains(string(trace), fmt.Sprintf(`"resumed":%d`, half)) {
		t.Errorf("the trace does not tell of the resumed download: %v", err)
	}
	m.sameAs(expandedMedia(t), "anaconda-suite/pkgs/linux-64")
}

// cut answers with the first bytes of a file and hangs up.
func (d *archiveServer) cut(w http.ResponseWriter, name string, bytes int) {
	data, err := os.ReadFile(d.dir + "/" + name)
	if err != nil {
		panic(err)
	}
	w.Header().Set("ETag", etag(data))
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Write(data[:bytes])
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func etag(data []byte) string { return fmt.Sprintf(`"%x"`, md5.Sum(data)) }

// A damaged archive leaves nothing behind, and the next run with a good one ends well.
func TestMediaDamaged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		damage func(dir string) error
		want   string
	}{
		{"wrong md5", func(dir string) error {
			return replace(dir+"/cluster-2016-08-03.md5", []byte(strings.Repeat("0", 32)+"  x\n"))
		},
			"wrong digest of the archive: got md5 "},
		{"no md5", func(dir string) error { return replace(dir+"/cluster-2016-08-03.md5", []byte("\n")) }, "cluster-2016-08-03.md5 holds no checksum"},
		{"another byte", func(dir string) error { return alter(dir + "/" + media.Cluster) }, "wrong digest of the archive: got md5 "},
		{"cut short", func(dir string) error { return cut(dir + "/" + media.Cluster) }, "ends early"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newMedium(t, components...)
			if err := test.damage(m.source); err != nil {
				t.Fatal(err)
			}
			if out := m.run(1); !strings.Contains(out, test.want) || !strings.Contains(out, "cluster-2016-08-03.") {
				t.Errorf("got %s, want %s", out, test.want)
			}
			for name := range m.files() {
				if strings.Contains(name, "cluster") || strings.Contains(name, "/.") {
					t.Errorf("%s was left", name)
				}
			}
			good := newMedium(t, components...)
			m.source = good.source
			m.layOut()
			m.sameAs(expandedMedia(t), "anaconda-cluster")
		})
	}
}

// replace puts a file in the place of a link.
func replace(name string, data []byte) error {
	if err := os.Remove(name); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}

func alter(name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	i := strings.Index(string(data), "anaconda-cluster 1.4.0")
	data[max(i, len(data)/2)] ^= 1
	return replace(name, data)
}

func cut(name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return replace(name, data[:len(data)/2])
}

// Everything that is missing is said at once, before anything changes.
func TestMediaMissing(t *testing.T) {
	t.Parallel()
	m := newMedium(t, media.Linux64)
	out := m.run(3, "--var", "components=linux-64,r,notebook,cluster")
	for _, name := range []string{"no linux-64-R-Packages-*.tar", "no notebook-*.tar", "no cluster-*.tar"} {
		if !strings.Contains(out, name+" in "+m.source) {
			t.Errorf("want %s in\n%s", name, out)
		}
	}
	m.source = m.dir
	if out := m.run(3); !strings.Contains(out, "no archives in "+m.dir) {
		t.Errorf("got %s", out)
	}
	if len(m.files()) > 0 {
		t.Errorf("made %v", m.files())
	}
}

// A run that is killed at any moment is mended by the next one.
func TestMediaKilled(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it lays media out a dozen times")
	whole := newMedium(t, components...)
	whole.run(0)
	want := whole.files()
	for delay := range 6 {
		m := newMedium(t, components...)
		c := exec.Command(binary(t), m.args()...)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for range 2000 {
			if _, err := os.Stat(m.out); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(delay) * 12 * time.Millisecond)
		c.Process.Kill()
		t.Logf("%v after %d of %d files", c.Wait(), len(m.files()), len(want))
		m.layOut()
		if have := m.files(); len(have) != len(want) {
			t.Errorf("got %v, want %v", have, want)
		}
		m.sameAs(whole.out, "")
	}
}
