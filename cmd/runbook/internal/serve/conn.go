package serve

import (
	"container/list"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A gate lets in so many connections at a time. If one more comes, the one that has been idle longest is closed. If
// none is, it waits until another ends, and who comes behind it waits in the kernel.
type gate struct {
	*net.TCPListener
	stall  time.Duration
	slots  chan struct{}
	closed chan struct{}
	shut   sync.Once

	mu   sync.Mutex
	idle *list.List // of *conn, the longest first
	want int        // connections that wait for a slot
}

// Defaults of what a site may decide otherwise.
const (
	defaultConnections = 1024
	defaultStall       = 30 * time.Second
)

func newGate(l *net.TCPListener, most int, stall time.Duration) *gate {
	if most <= 0 {
		most = defaultConnections
	}
	if stall <= 0 {
		stall = defaultStall
	}
	slots, closed := make(chan struct{}, most), make(chan struct{})
	return &gate{TCPListener: l, stall: stall, slots: slots, closed: closed, idle: list.New()}
}

// Accept is net.Listener's.
func (g *gate) Accept() (net.Conn, error) {
	c, err := g.accept()
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (g *gate) accept() (*conn, error) {
	c, err := g.AcceptTCP()
	if err != nil {
		return nil, err
	}
	select {
	case g.slots <- struct{}{}:
	default:
		g.shed(1)
		defer g.shed(-1)
		select {
		case g.slots <- struct{}{}:
		case <-g.closed:
			c.Close()
			return nil, net.ErrClosed
		}
	}
	return &conn{TCPConn: c, gate: g}, nil
}

// Close is net.Listener's.
func (g *gate) Close() error {
	g.shut.Do(func() { close(g.closed) })
	return g.TCPListener.Close()
}

func (g *gate) count() int { return len(g.slots) }

// shed notes that so many more connections wait, and makes room for one.
func (g *gate) shed(more int) {
	g.mu.Lock()
	g.want += more
	var longest *conn
	if e := g.idle.Front(); e != nil && g.want > 0 {
		longest = g.idle.Remove(e).(*conn)
		longest.place = nil
	}
	g.mu.Unlock()
	if longest != nil {
		longest.Close()
	}
}

// changed is told what the server does with a connection.
func (g *gate) changed(of net.Conn, state http.ConnState) {
	if t, ok := of.(*tls.Conn); ok {
		of = t.NetConn()
	}
	c, ok := of.(*conn)
	if !ok {
		return
	}
	g.mu.Lock()
	if c.place != nil {
		g.idle.Remove(c.place)
		c.place = nil
	}
	if state == http.StateIdle {
		c.place = g.idle.PushBack(c)
	}
	g.mu.Unlock()
	if state == http.StateIdle {
		g.shed(0)
	}
}

// A conn is a connection that is as patient as its client is alive: a write may take as long as it likes while bytes
// arrive, and ends when for some time none did.
type conn struct {
	*net.TCPConn
	gate  *gate
	place *list.Element // among the idle ones
	over  sync.Once
	own   atomic.Int64 // a deadline that the server set, in nanoseconds since 1970; 0 for none
	read  []byte       // what the lane read and did not answer
}

// Read is net.Conn's.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.read) == 0 {
		return c.TCPConn.Read(p)
	}
	n := copy(p, c.read)
	c.read = c.read[n:]
	return n, nil
}

// Close is net.Conn's.
func (c *conn) Close() error {
	err := c.TCPConn.Close()
	c.over.Do(func() { <-c.gate.slots })
	return err
}

// SetWriteDeadline is net.Conn's.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.own.Store(nanos(t))
	return c.TCPConn.SetWriteDeadline(t)
}

// SetDeadline is net.Conn's.
func (c *conn) SetDeadline(t time.Time) error {
	c.own.Store(nanos(t))
	return c.TCPConn.SetDeadline(t)
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// Write is net.Conn's.
func (c *conn) Write(p []byte) (n int, err error) {
	_, err = c.push(func() (int64, error) {
		m, err := c.TCPConn.Write(p[n:])
		n += m
		return int64(m), err
	})
	return n, err
}

// chunk is what goes to the kernel with one deadline. That more than nothing of it was taken is enough to go on.
const chunk = 4 << 20

// ReadFrom is io.ReaderFrom's. A file goes from the kernel to the kernel.
func (c *conn) ReadFrom(r io.Reader) (n int64, err error) {
	limited, _ := r.(*io.LimitedReader)
	if limited == nil {
		limited = &io.LimitedReader{}
	}
	from, ok := limited.R.(*file)
	if !ok {
		return io.Copy(justWriter{c}, r)
	}
	for limited.N > 0 {
		end := from.at + min(limited.N, chunk)
		m, err := c.push(func() (int64, error) { return c.send(from, end) })
		n += m
		limited.N -= m
		if err != nil || m == 0 {
			return n, err
		}
	}
	return n, nil
}

// justWriter hides ReadFrom.
type justWriter struct{ io.Writer }

// send sends a file from where it is to end, or less if it is late.
func (c *conn) send(from *file, end int64) (n int64, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		for from.at < end {
			m, err := unix.Sendfile(int(fd), from.fd, &from.at, int(end-from.at))
			switch {
			case err == unix.EAGAIN:
				return false
			case err == unix.EINTR:
				continue
			case err != nil || m == 0:
				failed = err
				return true
			}
			n += int64(m)
		}
		return true
	})
	if err == nil && failed != nil {
		err = os.NewSyscallError("sendfile", failed)
	}
	return n, err
}

// push has write, which goes on where it stopped, write until it is done or the client takes nothing any more.
func (c *conn) push(write func() (int64, error)) (n int64, err error) {
	left := -1 // bytes that the client had not taken when it was last asked for
	for {
		c.renew()
		m, err := write()
		n += m
		if !errors.Is(err, os.ErrDeadlineExceeded) || c.late() {
			return n, err
		}
		now := c.unsent()
		if m == 0 && left >= 0 && now >= left {
			return n, err
		}
		left = now
	}
}

// renew gives the next write its time.
func (c *conn) renew() {
	until := time.Now().Add(c.gate.stall)
	if own := c.own.Load(); own != 0 && own < until.UnixNano() {
		until = time.Unix(0, own)
	}
	_ = c.TCPConn.SetWriteDeadline(until) // of a closed one the write fails
}

// late reports whether the server's own deadline has passed.
func (c *conn) late() bool {
	own := c.own.Load()
	return own != 0 && time.Now().UnixNano() >= own
}

// unsent returns how many bytes the kernel holds that the client's has not acknowledged.
func (c *conn) unsent() (n int) {
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	}
	if err != nil {
		return 0
	}
	return n
}
