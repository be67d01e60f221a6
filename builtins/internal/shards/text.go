package shards

import (
	"bytes"
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/tinylib/msgp/msgp"
)

// maxRecord is how many bytes of text a record may have; real ones have less than 100 KB.
const maxRecord = 8 << 20

// digests are the members of a record that shards hold as bytes.
var digests = map[string]int{"md5": 16, "sha256": 32} // read only

// appendRecord appends the record that is next as JSON. It must be one of the package name; letters
// of either case count as the same, because writers of shards lower them.
func (r *reader) appendRecord(j []byte, name string) []byte {
	start, named := len(j), false
	j = append(j, '{')
	for m := r.enterMap(); r.next(&m); {
		j = appendKey(j, m.key)
		switch n, isDigest := digests[m.key]; {
		case m.key == "name":
			named = true
			if got := r.str(); r.err == nil && (len(got) != len(name) || !strings.EqualFold(got, name)) {
				r.fail("got a record of %.70q, want %q", got, name)
			} else {
				j = appendString(j, got)
			}
		case isDigest && (r.kind() == msgp.BinType || r.kind() == msgp.ArrayType):
			j = append(j, '"')
			j = append(hex.AppendEncode(j, r.digest(m.key, n)), '"')
		default:
			j = r.appendValue(j, start)
		}
	}
	if r.err == nil && !named {
		r.fail("got a record without a name, want %q", name)
	}
	return append(j, '}')
}

// appendValue appends any value that has a form in JSON to the text of a record that begins at start.
func (r *reader) appendValue(j []byte, start int) []byte {
	if len(j)-start > maxRecord || r.kind() == msgp.StrType && len(r.b) > maxRecord && r.huge() {
		r.fail("got a record of more than %d bytes", maxRecord)
	}
	switch r.kind() {
	case msgp.MapType:
		j = append(j, '{')
		for m := r.enterMap(); r.next(&m); {
			j = r.appendValue(appendKey(j, m.key), start)
		}
		return append(j, '}')
	case msgp.ArrayType:
		j = append(j, '[')
		n := len(j)
		for a := r.enterArray(); r.next(&a); {
			if len(j) > n {
				j = append(j, ',')
			}
			j = r.appendValue(j, start)
		}
		return append(j, ']')
	}
	return r.appendScalar(j)
}

// huge reports whether the string that is next has more than maxRecord bytes.
func (r *reader) huge() bool {
	s, _, err := msgp.ReadStringZC(r.b)
	return err == nil && len(s) > maxRecord
}

func (r *reader) appendScalar(j []byte) []byte {
	switch r.kind() {
	case msgp.StrType:
		return appendString(j, r.str())
	case msgp.IntType:
		return strconv.AppendInt(j, r.int(), 10)
	case msgp.UintType:
		n, rest, err := msgp.ReadUint64Bytes(r.b)
		r.took(rest, err)
		return strconv.AppendUint(j, n, 10)
	case msgp.Float32Type:
		f, rest, err := msgp.ReadFloat32Bytes(r.b)
		r.took(rest, err)
		return r.appendFloat(j, float64(f))
	case msgp.Float64Type:
		f, rest, err := msgp.ReadFloat64Bytes(r.b)
		r.took(rest, err)
		return r.appendFloat(j, f)
	case msgp.BoolType:
		v, rest, err := msgp.ReadBoolBytes(r.b)
		r.took(rest, err)
		return strconv.AppendBool(j, v)
	case msgp.NilType:
		r.took(msgp.ReadNilBytes(r.b))
		return append(j, "null"...)
	}
	r.want("what JSON can say")
	return j
}

// appendFloat keeps a float one for readers that tell 1.0 from 1.
func (r *reader) appendFloat(j []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		r.fail("got the number %v, want what JSON can say", f)
		return j
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	n := len(j)
	j = strconv.AppendFloat(j, f, format, -1, 64)
	if !bytes.ContainsAny(j[n:], ".e") {
		j = append(j, ".0"...)
	}
	return j
}

// appendKey appends a comma unless j ends with the brace of the object, and the key.
func appendKey(j []byte, key string) []byte {
	if j[len(j)-1] != '{' {
		j = append(j, ',')
	}
	return append(appendString(j, key), ':')
}

// appendString appends s, which is UTF-8, as RFC 8259, section 7, wants it.
func appendString(j []byte, s string) []byte {
	const digits = "0123456789abcdef"
	j = append(j, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		j = append(j, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			j = append(j, '\\', c)
		case '\n':
			j = append(j, '\\', 'n')
		default:
			j = append(j, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(j, s[start:]...), '"')
}
