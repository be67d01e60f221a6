package repodata

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
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

// members yields the keys of an object; the loop's body reads the value.
func (x *scanner) members() iter.Seq[string] {
	return func(yield func(string) bool) {
		base, rising := len(x.keys), true
		for range x.items('{', '}') {
			if x.peek() != '"' {
				x.fail("got %s, want a key", x.glimpse())
				return
			}
			key := x.str()
			if n := len(x.keys); n > base && key <= x.keys[n-1] {
				rising = false
			}
			x.keys = append(x.keys, key)
			if x.colon(); x.err != nil || !yield(key) {
				return
			}
		}
		if !rising { // keys that rise are all different
			x.unique(x.keys[base:])
		}
		x.keys = x.keys[:base]
	}
}

// colon goes to the value of a member.
func (x *scanner) colon() {
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

// elements yields for each element of an array; the loop's body reads it.
func (x *scanner) elements() iter.Seq[int] { return x.items('[', ']') }

// items yields for each part between an opening and a closing byte.
func (x *scanner) items(open, end byte) iter.Seq[int] {
	return func(yield func(int) bool) {
		if x.peek() != open {
			x.fail("got %s, want %q", x.glimpse(), open)
			return
		}
		if x.depth++; x.depth > maxDepth {
			x.fail("got more than %d levels", maxDepth)
		}
		x.i++
		for n := 0; x.more(n, end); n++ {
			if !yield(n) {
				return
			}
		}
		x.depth--
	}
}

// more goes to item n, or behind the closing byte.
func (x *scanner) more(n int, end byte) bool {
	x.space()
	switch c := x.peek(); {
	case x.err != nil:
		return false
	case c == end && c != 0:
		x.i++
		return false
	case n == 0:
		return true
	case c != ',':
		x.fail("got %s, want a comma or %q", x.glimpse(), end)
		return false
	}
	x.i++
	if x.space(); x.peek() == end {
		x.fail("got %q after a comma", end)
	}
	return x.err == nil
}

// value returns the text of any value.
func (x *scanner) value() string {
	start := x.i
	switch c := x.peek(); {
	case c == '"':
		x.skipString()
	case c == '{':
		for range x.members() {
			x.value()
		}
	case c == '[':
		for range x.elements() {
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

// str returns what a string says.
func (x *scanner) str() (s string) {
	start := x.i
	escaped := x.skipString()
	switch {
	case x.err != nil:
		return ""
	case !escaped:
		return x.s[start+1 : x.i-1]
	}
	if err := json.Unmarshal([]byte(x.s[start:x.i]), &s); err != nil {
		x.fail("%v", err)
	}
	return s
}

// skipString also checks what json.Unmarshal lets pass: lone surrogates.
func (x *scanner) skipString() (escaped bool) {
	for i := x.i + 1; i < len(x.s); i++ {
		switch c := x.s[i]; {
		case c == '"':
			x.i = i + 1
			return escaped
		case c == '\\':
			n := escape(x.s[i:])
			if x.i = i; n == 0 {
				x.fail("got %s, want an escape", x.glimpse())
				return
			}
			escaped, i = true, i+n-1
		case c < ' ':
			x.i = i
			x.fail("got the control character %q in a string", c)
			return
		}
	}
	x.i = len(x.s)
	x.fail("got the end, want the end of a string")
	return
}

// escape returns the length of the escape that s begins with, 0 if it is none.
func escape(s string) int {
	switch {
	case len(s) > 1 && strings.IndexByte(`"\/bfnrt`, s[1]) >= 0:
		return 2
	case len(s) < 6 || s[1] != 'u':
		return 0
	}
	switch u := hex4(s[2:6]); {
	case u < 0 || u >= 0xdc00 && u < 0xe000:
		return 0
	case u < 0xd800 || u >= 0xe000:
		return 6
	}
	if len(s) < 12 || s[6:8] != `\u` {
		return 0
	}
	if low := hex4(s[8:12]); low < 0xdc00 || low >= 0xe000 {
		return 0
	}
	return 12
}

// hex4 returns the value of four hex digits, -1 if they are none.
func hex4(s string) (n int) {
	for _, c := range []byte(s) {
		d := strings.IndexByte("0123456789abcdef", c|0x20)
		if d < 0 || c < '0' {
			return -1
		}
		n = n<<4 | d
	}
	return n
}

// invalidAt returns where s stops being UTF-8.
func invalidAt(s string) int {
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd") {
			return i
		}
	}
	return len(s)
}
