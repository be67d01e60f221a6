package fetchtest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// An exchange is a request and its answer in the making.
type exchange struct {
	w      http.ResponseWriter
	r      *http.Request
	s      *Server
	link   *link
	reused bool // the connection has served before
}

// well answers as a good server, or proxy, does.
func (x *exchange) well() {
	switch {
	case x.r.Method == http.MethodConnect:
		x.tunnel()
	case x.r.URL.IsAbs():
		x.forward()
	default:
		x.file()
	}
}

func (x *exchange) file() {
	f, err := x.s.open(x.r.URL.Path)
	if err != nil {
		http.NotFound(x.w, x.r)
		return
	}
	defer f.Close()
	x.w.Header().Set("ETag", f.tag)
	http.ServeContent(x.w, x.r, x.r.URL.Path, f.time, f)
}

// data returns the file that is asked for, nothing if there is none, and its tag.
func (x *exchange) data() ([]byte, string) {
	f, err := x.s.open(x.r.URL.Path)
	if err != nil {
		return nil, tagOf(nil)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return data, f.tag
}

// offset is where the rest begins that is asked for, 0 if the whole is.
func (x *exchange) offset(tag string, size int) (offset int) {
	fmt.Sscanf(x.r.Header.Get("Range"), "bytes=%d-", &offset)
	if offset >= size || x.r.Header.Get("If-Range") != tag {
		return 0
	}
	return offset
}

// begin sends the header of an answer with the file, or the rest of it, and a
// length that differs from the truth; it returns what is to be sent.
func (x *exchange) begin(differs int) []byte {
	data, tag := x.data()
	rest := x.prepare(data, tag)
	x.w.Header().Set("Content-Length", fmt.Sprint(len(rest)+differs))
	return x.start(data, rest)
}

// unsized is begin without a length: the answer ends with the connection, or in
// chunks.
func (x *exchange) unsized(chunks bool) []byte {
	data, tag := x.data()
	rest := x.prepare(data, tag)
	if !chunks {
		x.w.Header().Set("Transfer-Encoding", "identity")
		x.w.Header().Set("Connection", "close")
	}
	return x.start(data, rest)
}

func (x *exchange) prepare(data []byte, tag string) []byte {
	h := x.w.Header()
	h.Set("ETag", tag)
	h.Set("Last-Modified", longAgo().Format(http.TimeFormat))
	h.Set("Content-Type", "application/octet-stream")
	return data[x.offset(tag, len(data)):]
}

func (x *exchange) start(data, rest []byte) []byte {
	if offset := len(data) - len(rest); offset > 0 {
		x.w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, len(data)-1, len(data)))
		x.w.WriteHeader(http.StatusPartialContent)
	} else {
		x.w.WriteHeader(http.StatusOK)
	}
	if x.r.Method == http.MethodHead {
		return nil
	}
	return rest
}

// send writes b at once, and reports whether somebody still reads.
func (x *exchange) send(b []byte) bool {
	_, err := x.w.Write(b)
	return err == nil && http.NewResponseController(x.w).Flush() == nil
}

// abort ends the connection, or the stream, in the middle of what is being sent.
func (x *exchange) abort() { panic(http.ErrAbortHandler) }

// reset makes the other side see "connection reset by peer".
func (x *exchange) reset() {
	c := x.link.conn
	if secured, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = secured.NetConn()
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
	x.abort()
}

// wait stalls until the other side gives up.
func (x *exchange) wait() {
	select {
	case <-x.r.Context().Done():
	case <-x.s.done:
	}
}

// pause returns after d, and whether the other side is still there.
func (x *exchange) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-x.r.Context().Done():
	case <-x.s.done:
	}
	return false
}

// raw sends text as it is, then ends the connection.
func (x *exchange) raw(parts ...string) {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		x.abort() // HTTP/2
	}
	defer conn.Close()
	for _, p := range parts {
		io.WriteString(conn, p)
	}
}
