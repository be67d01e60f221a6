package shards

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// maxDepth is how many containers may be in one another; real ones have 4.
const maxDepth = 64

// A reader goes once over msgpack and remembers the first error, behind which it sees
// nothing. The strings that it gives are parts of what it reads. (The format: github.com/msgpack/msgpack, spec.md.)
type reader struct {
	text  string // all
	b     []byte // what is left of it
	depth int
	keys  []string // of the maps around b, each one's after its parent's
	err   error
}

func newReader(raw []byte) *reader { return &reader{text: string(raw), b: raw} }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("msgpack byte %d: %s", len(r.text)-len(r.b), fmt.Sprintf(format, args...))
	}
	r.b = nil
}

// kind returns the type of what is next; mismatches are to be told with got.
func (r *reader) kind() msgp.Type {
	if len(r.b) == 0 {
		return msgp.InvalidType
	}
	return msgp.NextType(r.b)
}

func (r *reader) want(what string) {
	if len(r.b) == 0 {
		r.fail("got the end, want %s", what)
	} else {
		r.fail("got %v, want %s", r.kind(), what)
	}
}

// took goes on behind a value that the library has read.
func (r *reader) took(rest []byte, err error) {
	if err != nil {
		r.fail("%v", err)
		return
	}
	r.b = rest
}

// A cursor stands in a map or an array. One loop goes over all of it:
//
//	for m := r.enterMap(); r.next(&m); { ... m.key ...; r.skip() }
type cursor struct {
	key  string // of the member whose value is next
	left uint32 // items
	base int    // of its keys in reader.keys, -1 in an array
	wild bool   // the keys do not rise
}

// enterMap goes into a map, whose keys must be strings that differ.
func (r *reader) enterMap() cursor {
	if r.kind() != msgp.MapType {
		r.want("a map")
	}
	n, rest, err := msgp.ReadMapHeaderBytes(r.b)
	return r.enter(n, rest, err, len(r.keys))
}

func (r *reader) enterArray() cursor {
	if r.kind() != msgp.ArrayType {
		r.want("an array")
	}
	n, rest, err := msgp.ReadArrayHeaderBytes(r.b)
	return r.enter(n, rest, err, -1)
}

func (r *reader) enter(n uint32, rest []byte, err error, base int) cursor {
	r.took(rest, err)
	if r.depth++; r.depth > maxDepth {
		r.fail("got more than %d levels", maxDepth)
	}
	return cursor{left: n, base: base}
}

// next goes to the next value and reports whether there is one; if not, it has left c.
func (r *reader) next(c *cursor) bool {
	if r.err != nil {
		return false
	}
	if c.left == 0 {
		r.leave(c)
		return false
	}
	c.left--
	if c.base < 0 {
		return true
	}
	last, first := c.key, len(r.keys) == c.base
	c.key = r.str()
	c.wild = c.wild || !first && c.key <= last
	r.keys = append(r.keys, c.key)
	return r.err == nil
}

func (r *reader) leave(c *cursor) {
	r.depth--
	if c.base < 0 {
		return
	}
	if c.wild { // keys that rise are all different
		if key, twice := firstTwice(r.keys[c.base:]); twice {
			r.fail("got the key %.60q twice in the map that ends here", key)
		}
	}
	r.keys = r.keys[:c.base]
}

// str reads a string, which is UTF-8.
func (r *reader) str() string {
	if r.kind() != msgp.StrType {
		r.want("a string")
		return ""
	}
	s, rest, err := msgp.ReadStringZC(r.b)
	if err == nil && !utf8.Valid(s) {
		r.fail("got the string %.60q, want UTF-8", s)
		return ""
	}
	if r.took(rest, err); r.err != nil {
		return ""
	}
	end := len(r.text) - len(rest)
	return r.text[end-len(s) : end]
}

// textIfAny returns a copy of a string, "" for nil.
func (r *reader) textIfAny(key string) string {
	switch r.kind() {
	case msgp.NilType:
		r.skip()
		return ""
	case msgp.StrType:
		return strings.Clone(r.str()) // what is read is to go
	}
	r.want(key + " as a string")
	return ""
}

func (r *reader) int() int64 {
	if k := r.kind(); k != msgp.IntType && k != msgp.UintType {
		r.want("a whole number")
		return 0
	}
	n, rest, err := msgp.ReadInt64Bytes(r.b)
	r.took(rest, err)
	return n
}

// digest reads n bytes. Old versions of rattler wrote them as an array of numbers.
func (r *reader) digest(key string, n int) []byte {
	var d []byte
	switch r.kind() {
	case msgp.BinType:
		b, rest, err := msgp.ReadBytesZC(r.b)
		r.took(rest, err)
		d = b
	case msgp.ArrayType:
		for a := r.enterArray(); r.next(&a); {
			c := r.int()
			if c < 0 || c > 255 || len(d) == n {
				r.fail("%.70s: got %d behind %d bytes, want %d bytes", key, c, len(d), n)
			}
			d = append(d, byte(c))
		}
	default:
		r.want(fmt.Sprintf("%.70s as %d bytes", key, n))
	}
	if r.err == nil && len(d) != n {
		r.fail("%.70s: got %d bytes, want %d", key, len(d), n)
	}
	return d
}

// skip goes behind any value.
func (r *reader) skip() {
	switch r.kind() {
	case msgp.MapType:
		for m := r.enterMap(); r.next(&m); {
			r.skip()
		}
	case msgp.ArrayType:
		for a := r.enterArray(); r.next(&a); {
			r.skip()
		}
	case msgp.InvalidType:
		r.want("a value")
	default:
		r.took(msgp.Skip(r.b))
	}
}

// end refuses what is behind the last value.
func (r *reader) end() {
	if r.err == nil && len(r.b) > 0 {
		r.fail("got %d bytes behind the end", len(r.b))
	}
}
