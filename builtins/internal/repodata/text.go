package repodata

import (
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"strings"
	"unicode/utf8"
)

// str returns what a string says.
func (x *scanner) str() string {
	start := x.i + 1
	if end := plain(x.b, start); x.b[end] == '"' {
		x.i = end + 1
		return x.view(start, end)
	}
	if !x.skipString() || x.err != nil {
		return x.view(start, max(start, x.i-1))
	}
	return x.unescape(start - 1)
}

func (x *scanner) unescape(start int) (s string) {
	if err := json.Unmarshal(x.b[start:x.i], &s); err != nil {
		x.fail(start, "%v", err)
	}
	return s
}

// skipString goes behind a string. It also checks what json.Unmarshal lets pass: lone surrogates and
// bytes that are no UTF-8.
func (x *scanner) skipString() (escaped bool) {
	i := x.i + 1
	for {
		i = plain(x.b, i)
		switch c := x.b[i]; {
		case c == '"':
			x.i = i + 1
			return escaped
		case c == '\\':
			n := escape(x.b[i:x.n])
			if n == 0 {
				x.fail(i, "got %s, want an escape", x.glimpse(i))
				return
			}
			escaped, i = true, i+n
		case c >= utf8.RuneSelf:
			n := rune8(x.b[i:x.n])
			if n == 0 {
				x.fail(i, "got a byte that is no UTF-8")
				return
			}
			i += n
		case i >= x.n:
			x.fail(x.n, "got the end, want the end of a string")
			return
		default:
			x.fail(i, "got the control character %q in a string", c)
			return
		}
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns the index, from i on, of the first byte that is not printable ASCII, or is a quote or a backslash.
// It looks at eight bytes at a time; BenchmarkIndex measures what that gains.
func plain(b []byte, i int) int {
	for {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, back := w^ones*'"', w^ones*'\\'
		// The lowest byte that a test of these finds is right; above it a borrow may lie.
		found := (quote-ones)&^quote | (back-ones)&^back | (w-ones*' ')&^w | w
		if found &= highs; found != 0 {
			return i + bits.TrailingZeros64(found)>>3
		}
		i += 8
	}
}

// rune8 returns the length of the UTF-8 that b begins with, 0 if it is none.
func rune8(b []byte) int {
	if r, n := utf8.DecodeRune(b); r != utf8.RuneError || n > 1 {
		return n
	}
	return 0
}

// escape returns the length of the escape that s begins with, 0 if it is none.
func escape(s []byte) int {
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
	if len(s) < 12 || s[6] != '\\' || s[7] != 'u' {
		return 0
	}
	if low := hex4(s[8:12]); low < 0xdc00 || low >= 0xe000 {
		return 0
	}
	return 12
}

// hex4 returns the value of four hex digits, -1 if they are none.
func hex4(s []byte) (n int) {
	for _, c := range s {
		d := strings.IndexByte("0123456789abcdef", c|0x20)
		if d < 0 || c < '0' {
			return -1
		}
		n = n<<4 | d
	}
	return n
}
