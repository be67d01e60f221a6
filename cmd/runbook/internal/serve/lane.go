package serve

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
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
	from := c.RemoteAddr().String()
	b := bufio.NewReaderSize(c.TCPConn, 4<<10)
	w := &reply{conn: c, header: make(http.Header, 16)}
	var copied []byte
	for patience := headerTime; ; patience = idleTime {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if s.ending.Err() != nil {
			return true
		}
		if patience == idleTime {
			l.changed(c, http.StateIdle)
		}
		_, err := b.Peek(1)
		l.changed(c, http.StateActive)
		head, _ := b.Peek(b.Buffered())
		if err != nil {
			return true
		}
		copied = append(copied[:0], head...)
		var r *http.Request
		if isPlain(head) {
			r, err = http.ReadRequest(b)
		}
		if r == nil || err != nil {
			c.read = copied
			return false
		}
		r.RemoteAddr = from
		clear(w.header)
		*w = reply{conn: c, header: w.header, noBody: r.Method == http.MethodHead}
		s.ServeHTTP(w, r)
		if w.finish() != nil || s.ending.Err() != nil {
			return true
		}
	}
}

// isPlain reports whether the head of a request is whole, and one that the lane answers.
func isPlain(head []byte) bool {
	line, fields, _ := bytes.Cut(head, []byte("\r\n"))
	words := bytes.Split(line, []byte(" "))
	if len(words) != 3 || string(words[2]) != "HTTP/1.1" || !isFile(string(words[1])) {
		return false
	}
	if method := string(words[0]); method != http.MethodGet && method != http.MethodHead {
		return false
	}
	hosts := 0
	for string(fields) != "\r\n" {
		line, rest, ok := bytes.Cut(fields, []byte("\r\n"))
		name, value, colon := bytes.Cut(line, []byte(":"))
		if !ok || !colon || !isPlainField(string(name), string(value)) {
			return false
		}
		if strings.EqualFold(string(name), "Host") {
			hosts++
		}
		fields = rest
	}
	return hosts == 1
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
	text = time.Now().UTC().AppendFormat(text, http.TimeFormat)
	for name, values := range w.header {
		for _, value := range values {
			text = append(append(append(append(text, "\r\n"...), name...), ": "...), inLine.Replace(value)...)
		}
	}
	return append(text, "\r\n\r\n"...)
}

var inLine = strings.NewReplacer("\r", " ", "\n", " ")
