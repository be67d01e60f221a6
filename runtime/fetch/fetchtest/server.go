// Package fetchtest is a web server for tests: as good as any, and as bad as it
// is told to be, for as long as it is told.
//
// [New] serves files with strong ETags, ranges and conditional requests, on the
// loopback only. [Server.Fault] makes it misbehave in one of the ways that
// [All] lists. It keeps every request, and whether one carried a credential
// that was not for it. [Server.Client] has the patience of a test.
//
// Two things to know. A fault happens to the first requests of each path that
// it is for, and faults of one path happen in the order in which they were
// given. And every server is a proxy, too: what it is asked to forward it does,
// unless a fault says otherwise.
//
// It is for tests only, which the ladder of imports sees to.
package fetchtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Server serves files below its URL.
type Server struct {
	URL string // without a final slash
	CA  string // PEM certificate that vouches for a TLS server, "" without TLS

	files fs.FS
	done  chan struct{} // closed when the test ends
	web   *httptest.Server

	mu       sync.Mutex
	set      map[string][]byte // by Set
	tags     map[tagKey]string
	faults   []*fault
	requests []Request
	secrets  []string
	now      int // requests being answered
	most     int
	links    int // connections made
}

// Forever is how often a fault happens that never passes.
const Forever = -1

type fault struct {
	pattern string
	Behaviour
	times int
	hits  map[string]int // by path
}

// New serves files, which may be nil, until the test ends.
func New(t testing.TB, files fs.FS) *Server {
	t.Helper()
	s := newServer(files)
	s.web.Start()
	s.URL = s.web.URL
	t.Cleanup(s.close)
	return s
}

// NewTLS is New with TLS and HTTP/2, the server showing a certificate of a kind.
// Behaviours that need the bytes on the wire reset the stream there.
func NewTLS(t testing.TB, files fs.FS, c Certificate) *Server {
	t.Helper()
	s := newServer(files)
	ca, config, err := certify(c)
	if err != nil {
		t.Fatal(err)
	}
	s.CA = ca
	s.web.TLS, s.web.EnableHTTP2 = config, true
	s.web.StartTLS()
	s.URL = s.web.URL
	t.Cleanup(s.close)
	return s
}

func newServer(files fs.FS) *Server {
	s := &Server{files: files, done: make(chan struct{}), set: map[string][]byte{}, tags: map[tagKey]string{}}
	s.web = httptest.NewUnstartedServer(http.HandlerFunc(s.answer))
	s.web.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.web.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		s.mu.Lock()
		s.links++
		s.mu.Unlock()
		return context.WithValue(ctx, linkKey{}, &link{conn: c})
	}
	return s
}

// A link is a connection of a client.
type link struct {
	conn   net.Conn
	mu     sync.Mutex
	served int
}

type linkKey struct{}

func (s *Server) close() {
	close(s.done)
	s.web.CloseClientConnections()
	s.web.Close()
}

// Fault makes requests of a path answered by b, the first times of them or, if
// that is Forever, all. pattern is as in path.Match; one without a slash
// matches the last element of a path, "*" so every path.
func (s *Server) Fault(pattern string, b Behaviour, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &fault{strings.TrimPrefix(pattern, "/"), b, times, map[string]int{}})
}

// Heal ends all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Set makes name hold data from now on, or be gone if data is nil.
func (s *Server) Set(name string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set[strings.TrimPrefix(name, "/")] = data
}

// matches reports whether f is for p and not used up, and counts.
func (f *fault) matches(p string) bool {
	p = strings.TrimPrefix(p, "/")
	name := p
	if !strings.Contains(f.pattern, "/") {
		name = path.Base(p)
	}
	if ok, err := path.Match(f.pattern, name); err != nil || !ok && f.pattern != p {
		return false
	}
	if f.times != Forever && f.hits[p] >= f.times {
		return false
	}
	f.hits[p]++
	return true
}

// answer keeps the request, then does what a fault says or what is right.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, s: s}
	x.link, _ = r.Context().Value(linkKey{}).(*link)
	b := s.admit(r)
	defer s.leave()
	x.link.mu.Lock()
	x.link.served++
	x.reused = x.link.served > 1
	x.link.mu.Unlock()
	if b.do != nil {
		b.do(x)
		return
	}
	x.well()
}

// admit keeps r and finds the behaviour that is due.
func (s *Server) admit(r *http.Request) (b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.matches(r.URL.Path) {
			b = f.Behaviour
			break
		}
	}
	s.requests = append(s.requests, s.keep(r, b.Name))
	s.now++
	s.most = max(s.most, s.now)
	return b
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
}

// A tagKey is what tells versions of a file apart without reading them.
type tagKey struct {
	name string
	size int64
	time time.Time
}

// opened is a file to be served.
type opened struct {
	io.ReadSeekCloser
	tag  string // strong
	time time.Time
}

func (s *Server) open(name string) (*opened, error) {
	name = strings.TrimPrefix(name, "/")
	s.mu.Lock()
	data, there := s.set[name]
	s.mu.Unlock()
	switch {
	case there && data == nil, !there && s.files == nil:
		return nil, fs.ErrNotExist
	case there:
		return &opened{nopCloser{bytes.NewReader(data)}, tagOf(data), longAgo()}, nil
	}
	f, err := s.files.Open(name)
	if err != nil {
		return nil, err
	}
	o, err := s.describe(name, f)
	if err != nil {
		f.Close()
	}
	return o, err
}

func (s *Server) describe(name string, f fs.File) (*opened, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	seeker, ok := f.(io.ReadSeekCloser)
	if !ok || !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	o := &opened{seeker, "", info.ModTime()}
	if o.time.IsZero() {
		o.time = longAgo()
	}
	key := tagKey{name, info.Size(), o.time}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.tag = s.tags[key]; o.tag != "" {
		return o, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return nil, err
	}
	o.tag = `"` + hex.EncodeToString(sum.Sum(nil)[:8]) + `"`
	s.tags[key] = o.tag
	_, err = seeker.Seek(0, io.SeekStart)
	return o, err
}

func tagOf(data []byte) string {
	sum := sha256.Sum256(data)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

func longAgo() time.Time { return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) }

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }
