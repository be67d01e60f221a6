package repodata

import (
	"fmt"
	"slices"
	"strings"
)

// A scanner goes once over JSON text and remembers the first error, behind which
// it sees nothing. Every method but space, peek and fail consumes what it is named for.
type scanner struct {
	s      string
	i      int
	depth  int
	keys   []string // of the objects around i, each one's after its parent's
	err    error
	placed bool // err names the record
}

func (x *scanner) fail(format string, args ...any) {
	if x.err == nil {
		before := x.s[:x.i]
		line := strings.Count(before, "\n") + 1
		x.err = fmt.Errorf("line %d, column %d: %s", line, x.i-strings.LastIndexByte(before, '\n'), fmt.Sprintf(format, args...))
	}
	x.i = len(x.s)
}

// glimpse is what stands at i, for messages.
func (x *scanner) glimpse() string {
	if x.i >= len(x.s) {
		return "the end"
	}
	s := x.s[x.i:min(x.i+20, len(x.s))]
	if n := strings.IndexAny(s, ",]}\n"); n > 0 {
		s = s[:n]
	}
	return fmt.Sprintf("%q", s)
}

func (x *scanner) space() {
	for x.i < len(x.s) {
		switch x.s[x.i] {
		case ' ', '\n', '\r', '\t':
			x.i++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end.
func (x *scanner) peek() byte {
	if x.i < len(x.s) {
		return x.s[x.i]
	}
	return 0
}

// A cursor stands in an object or an array. One loop goes over all of it:
//
//	for c := x.object(); x.next(&c); { ... c.key ...; x.value() }
type cursor struct {
	key  string // of the member whose value is next
	end  byte
	n    int  // items so far
	base int  // of its keys in scanner.keys
	wild bool // the keys do not rise
}

// object goes into an object, whose keys must differ.
func (x *scanner) object() cursor { return x.enter('{', '}') }

// array goes into an array.
func (x *scanner) array() cursor { return x.enter('[', ']') }

func (x *scanner) enter(open, end byte) cursor {
	if x.depth++; x.peek() != open {
		x.fail("got %s, want %q", x.glimpse(), open)
	} else if x.depth > maxDepth {
		x.fail("got more than %d levels", maxDepth)
	} else {
		x.i++
	}
	return cursor{end: end, base: len(x.keys)}
}

// next goes to the next value and reports whether there is one; if not, it has left c.
func (x *scanner) next(c *cursor) bool {
	x.space()
	switch b := x.peek(); {
	case x.err != nil:
		return false
	case b == c.end:
		x.leave(c)
		return false
	case c.n == 0:
	case b != ',':
		x.fail("got %s, want a comma or %q", x.glimpse(), c.end)
		return false
	default:
		x.i++
		x.space()
	}
	if c.n++; c.end == '}' {
		x.nextKey(c)
	}
	return x.err == nil
}

func (x *scanner) leave(c *cursor) {
	if c.wild { // keys that rise are all different
		x.unique(x.keys[c.base:])
	}
	x.keys = x.keys[:c.base]
	x.depth--
	if x.err == nil {
		x.i++
	}
}

// nextKey goes behind a key and its colon.
func (x *scanner) nextKey(c *cursor) {
	if x.peek() != '"' {
		x.fail("got %s, want a key", x.glimpse())
		return
	}
	last := c.key
	c.key = x.str()
	c.wild = c.wild || c.n > 1 && c.key <= last
	x.keys = append(x.keys, c.key)
	if x.space(); x.peek() != ':' {
		x.fail("got %s, want a colon", x.glimpse())
		return
	}
	x.i++
	x.space()
}

// unique refuses equal keys; it sorts them.
func (x *scanner) unique(keys []string) {
	slices.Sort(keys)
	for i := 1; i < len(keys); i++ {
		if keys[i] == keys[i-1] {
			x.fail("got the key %.60q twice in the object that ends here", keys[i])
			return
		}
	}
}

// value returns the text of any value.
func (x *scanner) value() string {
	start := x.i
	switch c := x.peek(); {
	case c == '"':
		x.skipString()
	case c == '{':
		for c := x.object(); x.next(&c); {
			x.value()
		}
	case c == '[':
		for c := x.array(); x.next(&c); {
			x.value()
		}
	case c == '-' || c >= '0' && c <= '9':
		x.number()
	default:
		x.literal()
	}
	if x.err != nil {
		return ""
	}
	return x.s[start:x.i]
}

func (x *scanner) literal() {
	for _, l := range [...]string{"null", "true", "false"} {
		if strings.HasPrefix(x.s[x.i:], l) {
			x.i += len(l)
			return
		}
	}
	x.fail("got %s, want a value", x.glimpse())
}

// number follows RFC 8259, section 6.
func (x *scanner) number() {
	if x.peek() == '-' {
		x.i++
	}
	if x.peek() == '0' {
		x.i++
	} else {
		x.digits()
	}
	if x.peek() == '.' {
		x.i++
		x.digits()
	}
	if c := x.peek(); c == 'e' || c == 'E' {
		x.i++
		if c := x.peek(); c == '+' || c == '-' {
			x.i++
		}
		x.digits()
	}
}

func (x *scanner) digits() {
	start := x.i
	for c := x.peek(); c >= '0' && c <= '9'; c = x.peek() {
		x.i++
	}
	if x.i == start {
		x.fail("got %s, want a digit", x.glimpse())
	}
}
