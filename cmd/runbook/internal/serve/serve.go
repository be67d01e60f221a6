// Package serve serves mirrored channels and installers over HTTP, and changes nothing.
//
// Two things to know. What is open is what is served: a file is opened once, below a root that nothing leads out of,
// and all that is told of it (size, tag, bytes) comes from that descriptor, so that a publish in the middle of a
// download replaces a name and not what the client gets. And tokens are in no message, neither of the log nor an error.
//
// The command serve calls it; it asks builtins/mirrored for digests and catalogs, and pages writes what people open.
// ServeHTTP is in handler.go, pages are filled in browse.go, connections are in conn.go.
package serve

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"runbook/cmd/runbook/internal/serve/pages"
)

// Options are what a site decides. Dir must be given; the rest may be zero.
type Options struct {
	Dir            string        // ACCOUNT/SUBDIR/FILE
	Extras         string        // directory of installers, served below /static/extras/
	Tokens         string        // file of who may read which account
	Cert, Key      string        // PEM files, for TLS
	AccessLog      io.Writer     // a line of JSON for each request
	Complain       func(error)   // told what a person should look at; any goroutine calls it
	MaxConnections int           // at a time
	Stall          time.Duration // how long a client may take nothing at all
	Version        string        // of the program, for the pages
	Now            func() time.Time
}

// What is not asked for often enough to be an option.
const (
	headerTime  = 10 * time.Second // for the head of a request, and for a handshake
	idleTime    = 75 * time.Second // between requests
	bodyTime    = 500 * time.Millisecond
	headerBytes = 16 << 10
	lookAgain   = time.Second // how long what was made of files is taken without a look at them
)

// A Server serves one directory.
type Server struct {
	opts    Options
	dir     *os.Root
	extras  *os.Root    // may be nil
	tops    [2]*os.File // of dir and extras
	tags    *tags
	warm    warm
	tokens  *kept[*tokens]      // may be nil
	cert    *kept[*certificate] // may be nil
	log     *accessLog
	metrics *metrics
	gate    *gate
	pages   *pages.Set
	shelf   *shelf
	http    *http.Server
	ending  context.Context
	end     context.CancelFunc
}

// New returns a Server of a directory, or an error that says why it cannot be one.
func New(o Options) (s *Server, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Complain == nil {
		o.Complain = func(error) {}
	}
	s = &Server{opts: o, log: &accessLog{out: o.AccessLog}, metrics: newMetrics(o.Now())}
	s.ending, s.end = context.WithCancel(context.Background())
	if s.dir, err = openMirror(o.Dir); err != nil {
		return nil, err
	}
	if s.pages, err = pages.New(); err != nil {
		return nil, err
	}
	s.tags = newTags(s.dir, o.Now)
	s.shelf = newShelf(s)
	if o.Extras != "" {
		if s.extras, err = os.OpenRoot(o.Extras); err != nil {
			return nil, fmt.Errorf("extras: %w", err)
		}
	}
	for i, root := range []*os.Root{s.dir, s.extras} {
		if root == nil {
			continue
		}
		if s.tops[i], err = root.Open("."); err != nil {
			return nil, fmt.Errorf("serve: %w", err)
		}
	}
	if o.Tokens != "" {
		if s.tokens, err = keep(o, readTokens, o.Tokens); err != nil {
			return nil, err
		}
	}
	if o.Cert != "" {
		if s.cert, err = keep(o, readCertificate, o.Cert, o.Key); err != nil {
			return nil, err
		}
	}
	s.warn()
	collect(false)
	s.http = s.server()
	return s, nil
}

// warn tells of accounts that cannot be reached.
func (s *Server) warn() {
	for _, name := range []string{"t", "healthz", "metrics"} {
		if fi, err := s.dir.Stat(name); err == nil && fi.IsDir() {
			s.opts.Complain(fmt.Errorf("serve: the account %s cannot be reached: /%s is something else", name, name))
		}
	}
	for _, name := range s.Accounts() {
		if !s.stays(name) {
			s.opts.Complain(&refusal{fmt.Sprintf("serve: the account %s is a link, and --tokens follows none to it", name),
				"make it a directory, or mount what it leads to there: mount --bind"})
		}
	}
}

func (s *Server) server() *http.Server {
	h := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: headerBytes,
		DisableGeneralOptionsHandler: true, Protocols: new(http.Protocols),
		ErrorLog:  log.New(complaints(s.opts.Complain), "", 0),
		ConnState: func(c net.Conn, state http.ConnState) { s.gate.changed(c, state) },
	}
	h.Protocols.SetHTTP1(true) // each download is a connection of its own, which the limits see
	return h
}

// complaints is a Writer of lines.
type complaints func(error)

// Write passes a line on.
func (c complaints) Write(line []byte) (int, error) {
	c(errors.New(string(bytes.TrimRight(line, "\n"))))
	return len(line), nil
}

// Serve answers what comes in on l until ctx ends, and then the downloads that are under way, for at most grace. It
// closes l, and returns how many it had to cut short.
func (s *Server) Serve(ctx context.Context, l *net.TCPListener, grace time.Duration) (cut int64, err error) {
	s.gate = newGate(l, s.most(), s.opts.Stall)
	s.metrics.open = s.gate.count
	served := make(chan error, 1)
	listener, lanes := s.listener()
	go func() { served <- s.http.Serve(listener) }()
	select {
	case err := <-served:
		return 0, fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	s.end() // from now on it is not healthy
	late, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err = s.http.Shutdown(late)
	if lanes != nil && !lanes.end(late) || err != nil {
		cut = s.metrics.inFlight.Load()
		s.http.Close()
		if lanes != nil {
			lanes.each(func(c *conn) { c.Close() })
		}
	}
	return cut, nil
}

// most is how many connections there may be: each may need another descriptor for what it downloads.
func (s *Server) most() int {
	const own = 32 // that are open besides
	wanted := s.opts.MaxConnections
	if wanted <= 0 {
		wanted = defaultConnections
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= uint64(2*wanted+own) {
		return wanted
	}
	most := max(1, (int(limit.Cur)-own)/2)
	s.opts.Complain(&refusal{fmt.Sprintf("serve: only %d connections at a time: this process may open %d files", most, limit.Cur),
		"raise that: ulimit -n, or LimitNOFILE= of its unit"})
	return most
}

// open opens a file below dir or extras.
func (s *Server) open(root *os.Root, name string) (*file, error) {
	if root == s.dir {
		return openFile(root, s.tops[0], name)
	}
	return openFile(root, s.tops[1], name)
}

// InFlight returns how many requests are under way.
func (s *Server) InFlight() int64 { return s.metrics.inFlight.Load() }

// Close lets go of the directories.
func (s *Server) Close() {
	s.end()
	s.shelf.close()
	s.dir.Close()
	s.tops[0].Close()
	if s.extras != nil {
		s.extras.Close()
		s.tops[1].Close()
	}
}

func (s *Server) listener() (net.Listener, *lanes) {
	if s.cert == nil {
		l := s.newLanes(s.gate)
		return l, l
	}
	return tls.NewListener(s.gate, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cert.get().pair, nil },
	}), nil
}
