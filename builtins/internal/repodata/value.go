package repodata

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// Every method here but space consumes what it is named for.

func (x *scanner) space() {
	if x.b[x.i] <= ' ' {
		x.i = skipSpace(x.b, x.i)
	}
}

// skipSpace returns where white space ends that begins at i.
func skipSpace(b []byte, i int) int {
	if b[i] == '\n' { // most often, and spaces behind it
		i++
	}
	for {
		odd := binary.LittleEndian.Uint64(b[i:]) ^ ones*' '
		i += bits.TrailingZeros64(odd) >> 3
		switch b[i] {
		case '\n', '\r', '\t', ' ':
			i++
		default:
			return i
		}
	}
}

// A cursor stands in an object or an array that the window holds. One loop goes over all of it:
//
//	for c := x.enter('{'); x.next(&c); { ... c.key ...; x.value() }
type cursor struct {
	key  string // of the member whose value is next
	end  byte
	n    int  // items so far
	base int  // of its keys in scanner.keys
	wild bool // the keys do not rise
}

// enter goes into an object, whose keys must differ, or into an array.
func (x *scanner) enter(open byte) cursor {
	switch x.depth++; {
	case x.b[x.i] != open:
		x.fail(x.i, "got %s, want %q", x.glimpse(x.i), open)
	case x.depth > maxDepth:
		x.fail(x.i, "got more than %d levels", maxDepth)
	default:
		x.i++
	}
	return cursor{end: open + 2, base: len(x.keys)} // in ASCII, both pairs are two apart
}

// next goes to the next value and reports whether there is one; if not, it has left c.
func (x *scanner) next(c *cursor) bool {
	x.space()
	switch b := x.b[x.i]; {
	case x.err != nil:
		return false
	case b == c.end:
		x.leave(c)
		return false
	case c.n == 0:
	case b != ',':
		x.fail(x.i, "got %s, want a comma or %q", x.glimpse(x.i), c.end)
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
	x.i++
}

// nextKey goes behind a key and its colon.
func (x *scanner) nextKey(c *cursor) {
	last := c.key
	c.key = x.name()
	if x.trusted {
		return
	}
	c.wild = c.wild || c.n > 1 && c.key <= last
	if x.keys = append(x.keys, c.key); len(x.keys) > maxKeys {
		x.fail(x.i, "got more than %d keys in an object", maxKeys)
	}
}

// name reads a key, its colon and the white space behind it.
func (x *scanner) name() string {
	key := x.keyText()
	x.colon()
	return key
}

func (x *scanner) keyText() string {
	if x.b[x.i] != '"' {
		x.fail(x.i, "got %s, want a key", x.glimpse(x.i))
		return ""
	}
	return x.str()
}

func (x *scanner) colon() {
	if x.space(); x.b[x.i] != ':' {
		x.fail(x.i, "got %s, want a colon", x.glimpse(x.i))
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
			x.fail(x.i, "got the key %.60q twice in the object that ends here", keys[i])
			return
		}
	}
}

// value returns the text of any value.
func (x *scanner) value() string {
	start := x.i
	switch c := x.b[x.i]; {
	case c == '"':
		x.skipString()
	case c == '{' || c == '[':
		for c := x.enter(c); x.next(&c); {
			x.value()
		}
	case c == '-' || c-'0' < 10:
		x.number()
	default:
		x.literal()
	}
	if x.err != nil {
		return ""
	}
	return x.view(start, x.i)
}

func (x *scanner) literal() {
	for _, l := range [...]string{"null", "true", "false"} {
		if end := x.i + len(l); end <= x.n && string(x.b[x.i:end]) == l {
			x.i = end
			return
		}
	}
	x.fail(x.i, "got %s, want a value", x.glimpse(x.i))
}

// number follows RFC 8259, section 6.
func (x *scanner) number() {
	if x.b[x.i] == '-' {
		x.i++
	}
	if x.b[x.i] == '0' {
		x.i++
	} else {
		x.digits()
	}
	if x.b[x.i] == '.' {
		x.i++
		x.digits()
	}
	if x.b[x.i]|0x20 == 'e' {
		x.i++
		if c := x.b[x.i]; c == '+' || c == '-' {
			x.i++
		}
		x.digits()
	}
	if x.i == x.n { // more may follow; nothing that is read ends with a number
		x.fail(x.i, "got the end in a number")
	}
}

func (x *scanner) digits() {
	start := x.i
	for x.b[x.i]-'0' < 10 {
		x.i++
	}
	if x.i == start {
		x.fail(x.i, "got %s, want a digit", x.glimpse(x.i))
	}
}
