package repodata

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// str returns what a string says.
func (x *scanner) str() string {
	start := x.i
	escaped := x.skipString()
	switch {
	case x.err != nil:
		return ""
	case escaped:
		return x.unescape(x.s[start:x.i])
	}
	return x.s[start+1 : x.i-1]
}

func (x *scanner) unescape(quoted string) (s string) {
	if err := json.Unmarshal([]byte(quoted), &s); err != nil {
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
