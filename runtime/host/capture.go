package host

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// captureHalf is how much of the beginning and of the end of an output is kept.
const captureHalf = 512 << 10 // bytes

const longestLine = 64 << 10 // bytes

// A capture keeps the beginning and the end of what a process prints and
// passes all of it on. It never fails: a closed terminal must not stop a
// package manager.
type capture struct {
	head, tail []byte
	total      int64
	copy       io.Writer
	line       []byte // not yet passed on: the other output must not come in between
}

func (c *capture) Write(p []byte) (int, error) {
	if c.copy != nil {
		c.line = append(c.line, p...)
		if n := bytes.LastIndexByte(c.line, '\n') + 1; n > 0 || len(c.line) > longestLine {
			c.pass(max(n, len(c.line)-longestLine))
		}
	}
	c.total += int64(len(p))
	n := min(len(p), captureHalf-len(c.head))
	c.head = append(c.head, p[:n]...)
	c.tail = append(c.tail, p[n:]...)
	if len(c.tail) > 4*captureHalf { // seldom, so that bytes are not moved for each write
		c.tail = append([]byte(nil), c.tail[len(c.tail)-captureHalf:]...)
	}
	return len(p), nil
}

// pass passes on n bytes of the line.
func (c *capture) pass(n int) {
	if n > 0 {
		c.copy.Write(c.line[:n])
		c.line = append([]byte(nil), c.line[n:]...)
	}
}

// Bytes passes on the rest. It returns what was kept and says in between what was not. Lines are cut
// off whole, unless one is very long: half a secret would not be recognised as what it
// is one.
func (c *capture) Bytes() []byte {
	c.pass(len(c.line))
	head, tail := c.head, c.tail[max(0, len(c.tail)-captureHalf):]
	if c.total == int64(len(head)+len(tail)) {
		return append(head, tail...)
	}
	if i := bytes.LastIndexByte(head, '\n'); i >= len(head)-longestLine {
		head = head[:i]
	}
	if i := bytes.IndexByte(tail, '\n'); i < longestLine {
		tail = tail[i+1:]
	}
	cut := c.total - int64(len(head)+len(tail))
	return append(fmt.Appendf(bytes.Clone(head), "\n[... %d bytes left out ...]\n", cut), tail...)
}

// A shared writer is written to by both outputs of a process.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// captures returns one capture for each output of a process.
func captures(w io.Writer) (stdout, stderr *capture) {
	if w == nil {
		return &capture{}, &capture{}
	}
	w = &shared{w: w}
	return &capture{copy: w}, &capture{copy: w}
}
