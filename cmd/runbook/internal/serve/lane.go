package serve

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Most of what clients ask for are small files, and of the time that one takes most would be spent on what these
// requests do not need. A connection begins in the lane: as long as each request comes in one piece, is a plain GET or
// HEAD and names a file of a channel, it is answered here, with few calls of the system. Before the first that is
// anything else, also because it is malformed or slow, the connection goes over to net/http, with what was read of it.

// lanes are the connections that are not net/http's. As a listener they yield those that become so.
type lanes struct {
	*gate
	over  chan handed
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns map[*conn]bool
}

// handed is what Accept returns.
type handed struct {
	conn *conn
	err  error
}

func (s *Server) newLanes(g *gate) *lanes {
	l := &lanes{gate: g, over: make(chan handed), conns: map[*conn]bool{}}
	go func() {
		for {
			c, err := l.gate.accept()
			if err != nil {
				if !l.hand(handed{err: err}) {
					return
				}
				continue
			}
			l.wg.Add(1)
			go func() {
				defer l.wg.Done()
				s.lane(l, c)
			}()
		}
	}()
	return l
}

// Accept is net.Listener's.
func (l *lanes) Accept() (net.Conn, error) {
	select {
	case h := <-l.over:
		if h.err != nil {
			return nil, h.err
		}
		return h.conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *lanes) hand(h handed) bool {
	select {
	case l.over <- h:
		return true
	case <-l.closed:
		return false
	}
}

// note keeps a connection among those that end closes.
func (l *lanes) note(c *conn, open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if open {
		l.conns[c] = true
		return
	}
	delete(l.conns, c)
}

// each does something with each connection in the lane.
func (l *lanes) each(do func(*conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		do(c)
	}
}

// end has the lane's connections end: those that wait at once, the others after their answer. It reports whether they
// did before ctx.
func (l *lanes) end(ctx context.Context) bool {
	l.each(func(c *conn) { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	done := make(chan struct{})
	go func() { l.wg.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// lane answers requests of a connection until it ends, or goes over to net/http.
func (s *Server) lane(l *lanes, c *conn) {
	l.note(c, true)
	stays := s.answerAll(l, c)
	l.note(c, false)
	if stays || !l.hand(handed{conn: c}) {
		c.Close()
	}
}

// answerAll reports whether the connection stays in the lane, where it has ended.
func (s *Server) answerAll(l *lanes, c *conn) (stays bool) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Complain(fmt.Errorf("panic serving %v: %v\n%s", c.RemoteAddr(), p, debug.Stack()))
			stays = true
		}
	}()
	w := &reply{conn: c, header: make(http.Header, 16)}
	r := &plain{from: c.RemoteAddr().String(), header: make(http.Header, 8)}
	var room [4 << 10]byte
	var head []byte // what was read and not answered
	for patience := headerTime; ; patience = idleTime {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if s.ending.Err() != nil {
			return true
		}
		if len(head) == 0 {
			if patience == idleTime {
				l.changed(c, http.StateIdle)
			}
			n, err := c.TCPConn.Read(room[:])
			l.changed(c, http.StateActive)
			if n == 0 && err != nil {
				return true
			}
			head = room[:n]
		}
		n := r.read(head)
		if n == 0 {
			c.read = bytes.Clone(head)
			return false
		}
		head = head[n:]
		clear(w.header)
		*w = reply{conn: c, header: w.header, noBody: r.Method == http.MethodHead}
		s.ServeHTTP(w, &r.Request)
		if w.finish() != nil || s.ending.Err() != nil {
			return true
		}
	}
}

// A plain is a request that the lane answers. What it is made of serves the connection's next one, too.
type plain struct {
	http.Request
	from   string
	url    url.URL
	header http.Header
	values []string
}

// read reads a request and returns how long its head is; 0 if it is not whole, or not for the lane.
func (p *plain) read(text []byte) (length int) {
	end := bytes.Index(text, []byte("\r\n\r\n"))
	if end < 0 {
		return 0
	}
	line, fields, _ := strings.Cut(string(text[:end+2]), "\r\n")
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	isRead := method == http.MethodGet || method == http.MethodHead
	if !isRead || version != "HTTP/1.1" || !isFile(target) || !p.locate(target) || !p.fields(fields) {
		return 0
	}
	p.Request = http.Request{
		Method: method, URL: &p.url, Proto: version, ProtoMajor: 1, ProtoMinor: 1, Header: p.header, Body: http.NoBody,
		Host: p.header["Host"][0], RemoteAddr: p.from, RequestURI: target,
	}
	delete(p.header, "Host")
	return end + 4
}

// locate reads the URL.
func (p *plain) locate(target string) bool {
	if !strings.ContainsAny(target, "%?") {
		p.url = url.URL{Path: target}
		return true
	}
	u, err := url.ParseRequestURI(target)
	if err == nil {
		p.url = *u
	}
	return err == nil
}

// fields reads the lines of a head behind the first. It reports whether all are well formed, and one is the host's.
func (p *plain) fields(text string) bool {
	clear(p.header)
	p.values = p.values[:0]
	for text != "" {
		line, rest, _ := strings.Cut(text, "\r\n")
		name, value, colon := strings.Cut(line, ":")
		if !colon || !isPlainField(name, value) {
			return false
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		p.values = append(p.values, strings.Trim(value, " \t"))
		if earlier := p.header[name]; len(earlier) > 0 {
			p.header[name] = append(earlier, p.values[len(p.values)-1])
		} else {
			p.header[name] = p.values[len(p.values)-1 : len(p.values) : len(p.values)]
		}
		text = rest
	}
	return len(p.header["Host"]) == 1
}

// isFile reports whether a target looks like a file of a channel. All else has pages, which net/http writes.
func isFile(target string) bool {
	if target == "" || target[0] != '/' || strings.ContainsFunc(target, notPlain) {
		return false
	}
	switch path.Ext(target) {
	case ".conda", ".bz2", ".zst", ".json":
		return true
	}
	return false
}

// isPlainField reports whether a field of a head is well formed, and says nothing that the lane would have to know.
func isPlainField(name, value string) bool {
	if name == "" || strings.ContainsFunc(name, notInField) || strings.ContainsFunc(value, notPlain) {
		return false
	}
	switch strings.ToLower(name) {
	case "host":
		return !strings.ContainsFunc(strings.TrimSpace(value), notInHost)
	case "connection":
		return strings.EqualFold(strings.TrimSpace(value), "keep-alive")
	case "range":
		return !strings.Contains(value, ",")
	case "content-length", "transfer-encoding", "trailer", "te", "expect", "upgrade":
		return false
	}
	return true
}

func notPlain(r rune) bool { return r < ' ' || r > '~' }

func notInField(r rune) bool {
	return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

func notInHost(r rune) bool { return notInField(r) && !strings.ContainsRune(".:[]", r) }

// small is how much of a file goes out in one piece with its head, for which there is room.
const (
	small    = 32 << 10
	headroom = 4 << 10
)

var pieces = sync.Pool{New: func() any { return new([headroom + small]byte) }}

// A reply is the http.ResponseWriter of the lane. What has no length is kept until it is whole: it says what is wrong,
// and is short.
type reply struct {
	conn   *conn
	header http.Header
	code   int
	noBody bool
	body   []byte
	begun  bool  // the head is written
	left   int64 // of the length that was told
}

// Header is http.ResponseWriter's.
func (w *reply) Header() http.Header { return w.header }

// WriteHeader is http.ResponseWriter's.
func (w *reply) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
}

// Write is http.ResponseWriter's.
func (w *reply) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}

// ReadFrom is io.ReaderFrom's. What it gets is as long as the header says.
func (w *reply) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	whole := ok && !w.begun && !w.noBody && len(w.body) == 0
	if !whole || strconv.FormatInt(limited.N, 10) != w.header.Get("Content-Length") {
		return io.Copy(justWriter{w}, r)
	}
	piece := pieces.Get().(*[headroom + small]byte)
	defer pieces.Put(piece)
	text := w.head(piece[:0])
	w.begun, w.left = true, limited.N
	n := 0
	if limited.N <= int64(cap(text)-len(text)) {
		var err error
		if n, err = io.ReadFull(limited, text[len(text):][:limited.N]); err != nil {
			return 0, err
		}
		text = text[:len(text)+n]
	}
	if _, err := w.conn.Write(text); err != nil {
		return 0, err
	}
	m, err := w.conn.ReadFrom(limited)
	w.left -= int64(n) + m
	return int64(n) + m, err
}

// finish writes what was kept. The connection can go on if it returns nil.
func (w *reply) finish() error {
	if w.begun {
		if w.left != 0 {
			return io.ErrShortWrite
		}
		return nil
	}
	untold := w.noBody && len(w.body) == 0 // it might be anything
	if w.header.Get("Content-Length") == "" && w.code != http.StatusNotModified && !untold {
		w.header.Set("Content-Length", strconv.Itoa(len(w.body)))
	}
	text := w.head(nil)
	if !w.noBody {
		text = append(text, w.body...)
	}
	_, err := w.conn.Write(text)
	return err
}

// head appends the head to text.
func (w *reply) head(text []byte) []byte {
	w.WriteHeader(http.StatusOK)
	text = append(text, "HTTP/1.1 "...)
	text = strconv.AppendInt(text, int64(w.code), 10)
	text = append(append(text, ' '), http.StatusText(w.code)...)
	text = append(text, "\r\nDate: "...)
	text = append(text, date()...)
	for name, values := range w.header {
		for _, value := range values {
			text = append(append(append(append(text, "\r\n"...), name...), ": "...), inLine(value)...)
		}
	}
	return append(text, "\r\n\r\n"...)
}

func inLine(value string) string {
	if !strings.ContainsAny(value, "\r\n") {
		return value
	}
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(value)
}

// A second is what the dates in it look like.
type second struct {
	unix int64
	text string
}

var lately atomic.Pointer[second]

func date() string {
	now := time.Now()
	if l := lately.Load(); l != nil && l.unix == now.Unix() {
		return l.text
	}
	l := &second{now.Unix(), now.UTC().Format(http.TimeFormat)}
	lately.Store(l)
	return l.text
}
