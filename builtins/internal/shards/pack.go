package shards

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// A packer turns the JSON text of a record into msgpack. It remembers the first
// error, behind which it sees nothing.
type packer struct {
	s      string
	i      int
	out    []byte
	depth  int
	subdir string
	keys   []string // of the objects around i, each one's after its parent's
	name   string   // of the record
	lacks  bool     // the record has no subdir
	err    error
}

// packRecord appends text, which must be one object, to out and returns what its
// "name" is. Old records have no subdir, which clients want: they get it. md5 and
// sha256 become bytes, "" there becomes nil. Whole numbers stay that if 64 bits
// can hold them and are an error if not; others are rounded to 64 bit floats, as by every reader.
func (p *packer) packRecord(out []byte, text, subdir string) ([]byte, string, error) {
	*p = packer{s: text, out: out, keys: p.keys[:0], subdir: subdir, lacks: true}
	p.space()
	if p.peek() != '{' {
		p.fail("want an object")
	}
	p.object(true)
	if p.space(); p.err == nil && p.i < len(p.s) {
		p.fail("want the end")
	}
	if p.err == nil && p.name == "" {
		p.err = fmt.Errorf("got a record without a name")
	}
	return p.out, p.name, p.err
}

func (p *packer) fail(want string) {
	if p.err == nil {
		got := "the end"
		if p.i < len(p.s) {
			got = strconv.Quote(p.s[p.i:min(p.i+20, len(p.s))])
		}
		p.err = fmt.Errorf("byte %d: got %s, %s", p.i, got, want)
	}
	p.i = len(p.s)
}

func (p *packer) space() {
	for p.i < len(p.s) && strings.IndexByte(" \n\r\t", p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *packer) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// more goes to the next item of a container that ends with end, of which n are done.
func (p *packer) more(end byte, n int) bool {
	p.space()
	switch c := p.peek(); {
	case c == end:
		p.i++
		return false
	case n > 0 && c != ',':
		p.fail("want a comma")
	case n > 0:
		p.i++
		p.space()
	}
	return p.err == nil
}

// object packs an object; that of the record itself is the top.
func (p *packer) object(top bool) {
	head, base, wild, n := p.enter(), len(p.keys), false, 0
	for ; p.more('}', n); n++ {
		start := len(p.out)
		key := p.str()
		p.out = msgp.AppendString(p.out[:start], key)
		wild = wild || n > 0 && key <= p.keys[len(p.keys)-1]
		p.keys = append(p.keys, key)
		if p.space(); p.peek() != ':' {
			p.fail("want a colon")
			break
		}
		p.i++
		p.space()
		p.member(top, key)
	}
	if key, twice := "", false; wild {
		if key, twice = firstTwice(p.keys[base:]); twice {
			p.fail(fmt.Sprintf("want the key %.60q once", key))
		}
	}
	p.keys = p.keys[:base]
	p.depth--
	if top && p.lacks {
		p.out = msgp.AppendString(msgp.AppendString(p.out, "subdir"), p.subdir)
		n++
	}
	p.insert(head, msgp.AppendMapHeader(nil, uint32(n)))
}

// enter goes into a container and returns where its header belongs.
func (p *packer) enter() int {
	p.i++
	if p.depth++; p.depth > maxDepth {
		p.fail(fmt.Sprintf("want at most %d levels", maxDepth))
	}
	return len(p.out)
}

// insert puts a header in front of items that are already there.
func (p *packer) insert(at int, header []byte) {
	p.out = slices.Insert(p.out, at, header...)
}

// member packs the value of a member.
func (p *packer) member(top bool, key string) {
	n, isDigest := digests[key]
	switch {
	case top && isDigest && p.peek() == '"':
		p.digest(n)
	case top && key == "subdir":
		p.lacks = false
		p.value()
	case top && key == "name":
		p.name = p.str()
		p.out = msgp.AppendString(p.out, p.name)
	default:
		p.value()
	}
}

func (p *packer) digest(n int) {
	start := p.i
	s := p.str()
	if s == "" {
		p.out = msgp.AppendNil(p.out)
		return
	}
	d, err := hex.DecodeString(s)
	if err != nil || len(d) != n {
		p.i = start
		p.fail(fmt.Sprintf("want %d bytes in hex", n))
	}
	p.out = msgp.AppendBytes(p.out, d)
}

func (p *packer) value() {
	switch c := p.peek(); {
	case c == '"':
		p.out = msgp.AppendString(p.out, p.str())
	case c == '{':
		p.object(false)
	case c == '[':
		head, n := p.enter(), 0
		for ; p.more(']', n); n++ {
			p.value()
		}
		p.depth--
		p.insert(head, msgp.AppendArrayHeader(nil, uint32(n)))
	case c == '-' || c >= '0' && c <= '9':
		p.number()
	case p.literal("null"):
		p.out = msgp.AppendNil(p.out)
	case p.literal("true"):
		p.out = msgp.AppendBool(p.out, true)
	case p.literal("false"):
		p.out = msgp.AppendBool(p.out, false)
	default:
		p.fail("want a value")
	}
}

func (p *packer) literal(l string) bool {
	if !strings.HasPrefix(p.s[p.i:], l) {
		return false
	}
	p.i += len(l)
	return true
}

// str reads a string.
func (p *packer) str() string {
	start, escaped := p.i, false
	if p.peek() != '"' {
		p.fail("want a string")
		return ""
	}
	for i := p.i + 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '\\':
			escaped = true
			i++
		case c == '"':
			p.i = i + 1
			return p.unquote(p.s[start:p.i], escaped)
		case c < ' ':
			p.i = i
			p.fail("want no control character")
			return ""
		}
	}
	p.i = len(p.s)
	p.fail("want the end of a string")
	return ""
}

// unquote returns what a string says; half a surrogate pair becomes U+FFFD, as everywhere.
func (p *packer) unquote(quoted string, escaped bool) string {
	s := quoted[1 : len(quoted)-1]
	if !utf8.ValidString(s) {
		p.fail("want UTF-8 in front of it")
		return ""
	}
	if !escaped {
		return s
	}
	if err := json.Unmarshal([]byte(quoted), &s); err != nil {
		p.fail("want escapes in front of it that JSON knows")
	}
	return s
}

// number follows RFC 8259, section 6.
func (p *packer) number() {
	start := p.i
	for p.i < len(p.s) && strings.IndexByte("+-.0123456789eE", p.s[p.i]) >= 0 {
		p.i++
	}
	text := p.s[start:p.i]
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
		p.out = appendInt(p.out, n)
		return
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && strconv.FormatUint(n, 10) == text {
		p.out = msgp.AppendUint64(p.out, n)
		return
	}
	f, err := strconv.ParseFloat(text, 64)
	isFloat := strings.ContainsAny(text, ".eE") || text == "-0"
	if err != nil || !isFloat || math.IsInf(f, 0) || !json.Valid([]byte(text)) {
		p.i = start
		p.fail("want a number of 64 bits")
	}
	p.out = msgp.AppendFloat64(p.out, f)
}

// appendInt appends what is not negative in the unsigned forms, as most writers do.
func appendInt(b []byte, n int64) []byte {
	if n >= 0 {
		return msgp.AppendUint64(b, uint64(n))
	}
	return msgp.AppendInt64(b, n)
}
