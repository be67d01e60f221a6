package repodata

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// record reads a record into f, whose Depends is used again.
func (x *scanner) record(f *Fields) {
	*f = Fields{BuildNumber: -1, Size: -1, Timestamp: -1, IndexedTimestamp: -1, Depends: f.Depends[:0]}
	start := x.i
	if x.b[x.i] != '{' {
		x.fail(x.i, "got %s, want '{'", x.glimpse(x.i))
		return
	}
	x.depth++
	x.i++
	x.space()
	keys := rising{}
	for more := x.b[x.i] != '}'; more; more = x.comma('}') {
		x.field(f, x.fieldName(&keys))
	}
	x.i++
	x.depth--
	if keys.wild && !x.trusted && x.err == nil {
		x.i = start
		x.value() // compares all keys
	}
}

// comma goes behind a comma and the white space around it; without one it wants end, and is there.
func (x *scanner) comma(end byte) bool {
	x.space()
	switch x.b[x.i] {
	case ',':
		x.i++
		x.space()
		return true
	case end:
	default:
		x.fail(x.i, "got %s, want a comma or %q", x.glimpse(x.i), end)
	}
	return false
}

// fieldName reads a key, its colon and the white space behind it.
func (x *scanner) fieldName(keys *rising) (key string) {
	at := x.i + 1
	if end := plain(x.b, at); x.b[at-1] == '"' && x.b[end] == '"' {
		x.i = end + 1
		key = x.view(at, end)
		keys.next(x.b[at:], key)
	} else {
		key = x.keyText()
		keys.wild = true
	}
	switch b := x.b[x.i : x.i+3]; {
	case b[0] == ':' && b[1] > ' ':
		x.i++
	case b[0] == ':' && b[1] == ' ' && b[2] > ' ':
		x.i += 2
	default:
		x.colon()
	}
	return key
}

// rising looks whether keys without escapes rise, for then they are all different. Their order is that of the words
// that they begin with, whose last byte may be the quote behind the key.
type rising struct {
	word uint64
	key  string
	wild bool // they do not
}

// next looks at a key and the text from there on.
func (r *rising) next(text []byte, key string) {
	w := binary.BigEndian.Uint64(text)
	if len(key) < 7 {
		w &= ^uint64(0) << (56 - 8*len(key))
	}
	if w <= r.word && (w < r.word || key <= r.key || strings.HasPrefix(key, r.key)) {
		r.wild = true
	}
	r.word, r.key = w, key
}

func (x *scanner) field(f *Fields, key string) {
	switch key {
	case "name":
		f.Name = x.text(key)
	case "version":
		f.Version = x.text(key)
	case "build":
		f.Build = x.text(key)
	case "build_number":
		f.BuildNumber = x.count(key, maxBuild)
	case "md5":
		f.MD5 = x.digest(key, 32)
	case "sha256":
		f.SHA256 = x.digest(key, 64)
	case "size":
		f.Size = x.count(key, maxSize)
	case "depends":
		f.Depends = x.list(f.Depends, key)
	case "subdir":
		f.Subdir = x.textIfAny()
	case "license":
		f.License = x.textIfAny()
	case "license_family":
		f.LicenseFamily = x.textIfAny()
	case "timestamp":
		f.Timestamp = x.timestamp()
	case "indexed_timestamp":
		f.IndexedTimestamp = x.timestamp()
	default:
		x.value()
	}
}

// text reads a string or null.
func (x *scanner) text(key string) string {
	if x.b[x.i] == '"' {
		return x.str()
	}
	x.null(key, "a string")
	return ""
}

func (x *scanner) null(key, want string) {
	if x.b[x.i] != 'n' {
		x.fail(x.i, "%s: got %s, want %s", key, x.glimpse(x.i), want)
		return
	}
	x.value()
}

// textIfAny reads a value. Anything but a string counts as missing: nothing depends on
// these fields, and real indexes hold numbers and lists there.
func (x *scanner) textIfAny() string {
	if x.b[x.i] == '"' {
		return x.str()
	}
	x.value()
	return ""
}

// digest reads a hex digest of n digits; null and "" count as missing.
func (x *scanner) digest(key string, n int) string {
	start := x.i
	if end := start + 1 + n; end < x.n && x.b[start] == '"' && x.b[end] == '"' && lowerHex(x.b[start+1:end]) {
		x.i = end + 1
		return x.view(start+1, end)
	}
	s := x.text(key)
	low := strings.ToLower(s)
	if s != "" && (len(s) != n || len(low) != n || !lowerHex([]byte(low))) {
		x.fail(start, "%s: got %.70q, want %d hex digits", key, s, n)
	}
	return low
}

// lowerHex reports whether b, whose length is a multiple of 8, is hex in lower case.
func lowerHex(b []byte) bool {
	all := uint64(highs)
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		all &= (between(w, '0', '9') | between(w, 'a', 'f')) &^ w
	}
	return all == highs
}

// count reads a whole number up to most, or null.
func (x *scanner) count(key string, most int64) int64 {
	start := x.i
	n, raw := x.whole64()
	if raw != "null" && (n < 0 || n > most) {
		x.fail(start, "%s: got %.40s, want a whole number up to %d", key, raw, most)
	}
	return n
}

// timestamp reads a time in seconds or milliseconds. As conda has it, what would be after the year 9999
// in seconds is in milliseconds.
func (x *scanner) timestamp() int64 {
	const lastSecond = 253402300799
	switch n, _ := x.whole64(); {
	case n > lastSecond*1000+999:
		return -1
	case n > lastSecond, n < 0:
		return n
	default:
		return n * 1000
	}
}

// whole64 reads any value and returns its text; n is -1 unless it is a whole number.
func (x *scanner) whole64() (n int64, raw string) {
	start := x.i
	i := start
	for ; x.b[i]-'0' < 10 && i-start < 18; i++ {
		n = n*10 + int64(x.b[i]-'0')
	}
	simple := i > start && (x.b[start] != '0' || i == start+1)
	switch x.b[i] {
	case ',', '}', '\n', '\r', ' ', '\t':
	default:
		simple = false
	}
	if simple {
		x.i = i
		return n, x.view(start, i)
	}
	raw = x.value()
	if n, err := strconv.ParseInt(raw, 10, 64); err == nil && raw[0] != '-' {
		return n, raw
	}
	return -1, raw
}

// list appends an array of strings to l; null is empty.
func (x *scanner) list(l []string, key string) []string {
	if x.b[x.i] != '[' {
		x.null(key, "'['")
		return l
	}
	x.i++
	x.space()
	for end := x.b[x.i] == ']'; !end; end = !x.comma(']') {
		if x.b[x.i] != '"' {
			x.fail(x.i, "%s: got %s, want strings", key, x.glimpse(x.i))
		}
		l = append(l, x.str())
	}
	x.i++
	return l
}
