package repodata

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"unsafe"
)

// A scanner goes once over JSON text through a window of it and remembers the first error, behind
// which it sees nothing.
//
// What is read at once (a record, say) is read as if the window held all of it. If it did not, the
// error is errShort: the scanner reads more of the text into the window and reads the thing again from its
// beginning, which happens once in hundreds of records.
type scanner struct {
	ctx     context.Context
	r       io.Reader
	trusted bool
	on      events
	top     top

	b     []byte // b[:n] is the window; zeros behind it stop every loop
	n, i  int
	eof   bool          // nothing is behind the window
	gone  int64         // bytes before the window
	line  int           // newlines before the window
	begin int64         // where the window's first line begins
	sum   *maphash.Hash // of all bytes that are read, nil for none

	depth  int
	keys   []string // of the objects around i, each one's after its parent's
	others int      // bytes of members that are not records
	seen   set      // files of records
	last   []byte   // the name of the file before
	wild   bool     // the files' names do not rise, or some have capitals
	folded string   // rec.File in lower case
	at     int      // where the key of the member is
	skips  func(Section) bool
	rec    Record
	key    string // of the member that an object is at
	quoted string // the same as the source wrote it
	raw    string // its value
	stem   []byte // room for a file name
	err    error
}

// A textError says what is wrong with the text.
type textError struct{ text string }

func (e *textError) Error() string { return e.text }

var errShort = errors.New("the window ends") // never leaves this package

const (
	padding = 16 // bytes behind the window: a word may be read from the byte behind its end on
	glance  = 64 // bytes that an error and its message look at

	perMember = 64 // bytes that a member may take beside its text
)

func newScanner(ctx context.Context, trusted bool) *scanner {
	return &scanner{ctx: ctx, trusted: trusted, b: make([]byte, window+padding)}
}

// fail says what is wrong at a place of the window. Nothing is said so near to the window's end that
// more text could change it.
func (x *scanner) fail(at int, format string, args ...any) {
	switch {
	case x.err != nil:
	case !x.eof && at+glance > x.n:
		x.err = errShort
	default:
		x.refuse(at, format, args...)
	}
	x.i = x.n
}

func (x *scanner) refuse(at int, format string, args ...any) {
	before := x.b[:at]
	column := int64(at - bytes.LastIndexByte(before, '\n'))
	if bytes.IndexByte(before, '\n') < 0 {
		column = x.gone + int64(at) - x.begin + 1
	}
	x.err = &textError{fmt.Sprintf("line %d, column %d: %s", x.line+bytes.Count(before, []byte{'\n'})+1, column,
		fmt.Sprintf(format, args...))}
}

// expected says what is wrong at i where nothing is read at once.
func (x *scanner) expected(want string) {
	for x.err == nil && !x.eof && x.i+glance > x.n {
		x.more(maxRecord, "the text")
	}
	if x.err == nil {
		x.refuse(x.i, "got %s, want %s", x.glimpse(x.i), want)
	}
	x.i = x.n
}

// glimpse is what stands at a place, for messages.
func (x *scanner) glimpse(at int) string {
	if at >= x.n {
		return "the end"
	}
	s := x.b[at:min(at+20, x.n)]
	if n := bytes.IndexAny(s, ",]}\n"); n > 0 {
		s = s[:n]
	}
	return fmt.Sprintf("%q", s)
}

// more forgets what is before i and reads what follows the window. What the window holds from i on
// must be shorter than limit.
func (x *scanner) more(limit int, what string) {
	if x.n-x.i >= limit {
		x.refuse(x.i, "got more than %d bytes in %s", limit, what)
		return
	}
	x.forget()
	if x.n+padding == len(x.b) {
		b := make([]byte, min(2*len(x.b), limit+glance+padding))
		copy(b, x.b[:x.n])
		x.b = b
	}
	x.fill()
}

func (x *scanner) forget() {
	before := x.b[:x.i]
	if n := bytes.Count(before, []byte{'\n'}); n > 0 {
		x.line += n
		x.begin = x.gone + int64(bytes.LastIndexByte(before, '\n')) + 1
	}
	x.gone += int64(x.i)
	x.n = copy(x.b, x.b[x.i:x.n])
	x.i = 0
}

// fill reads as much as the buffer takes.
func (x *scanner) fill() {
	if x.err = x.ctx.Err(); x.err != nil {
		return
	}
	for empty := 0; x.n+padding < len(x.b) && !x.eof && x.err == nil; {
		room := x.b[x.n : len(x.b)-padding]
		n, err := x.r.Read(room)
		if x.sum != nil {
			x.sum.Write(room[:n])
		}
		x.n += n
		if empty++; n > 0 {
			empty = 0
		}
		switch {
		case err == io.EOF:
			x.eof = true
		case err != nil:
			x.err = err
		case empty == 100:
			x.err = io.ErrNoProgress
		}
	}
	clear(x.b[x.n : x.n+padding])
	if x.err == nil && x.gone+int64(x.n) > maxText {
		x.refuse(x.n, "got more than %d bytes", int64(maxText))
	}
}

// whole reads a value of which nothing is used before the window holds all of it.
func (x *scanner) whole(what string, read func()) {
	start, depth, keys := x.i, x.depth, len(x.keys)
	for read(); x.err == errShort; read() {
		x.err, x.i, x.depth, x.keys = nil, start, depth, x.keys[:keys]
		if x.more(maxOthers-x.others, what); x.err != nil {
			return
		}
		start = 0
	}
	x.charge(x.i - start)
}

// charge counts what is kept of the text.
func (x *scanner) charge(n int) {
	if x.others += n + perMember; x.others > maxOthers && x.err == nil {
		x.refuse(x.i, "got more than %d bytes that are no records", maxOthers)
	}
}

// gap skips white space of any length.
func (x *scanner) gap() {
	for x.err == nil {
		if x.space(); x.i < x.n || x.eof {
			return
		}
		x.more(maxRecord, "white space")
	}
}

// view returns a part of the window.
func (x *scanner) view(from, to int) string {
	return unsafe.String(unsafe.SliceData(x.b[from:to]), to-from)
}
