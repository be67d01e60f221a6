package mirror

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"runbook/builtins/internal/repodata"
)

// sumKind is an algorithm.
type sumKind byte

const (
	noSum     sumKind = iota // the record has no digest: what was fetched is taken as it came
	sha256Sum                // the strongest that records have
	md5Sum                   // for those of before 2018
)

// headLen is how many bytes of a digest are kept: all of an MD5, half of a SHA-256, which nobody can forge either.
const headLen = md5.Size

// A sum is a digest, cut to what is kept of it.
type sum struct {
	kind sumKind
	head [headLen]byte
}

// sumOf returns the best digest of a record.
func sumOf(f *repodata.Fields) sum {
	switch {
	case f.SHA256 != "":
		return cut(sha256Sum, f.SHA256)
	case f.MD5 != "":
		return cut(md5Sum, f.MD5)
	}
	return sum{}
}

// cut reads a hex digest, which has been checked.
func cut(kind sumKind, digits string) sum {
	s := sum{kind: kind}
	for i := range s.head {
		s.head[i] = digit(digits[2*i])<<4 | digit(digits[2*i+1])
	}
	return s
}

func digit(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// A digest takes what a package holds and compares it with what its record says.
type digest struct {
	main, other hash.Hash // other: the MD5 beside a SHA-256, if both are wanted
}

func newDigest(kind sumKind, both bool) *digest {
	switch {
	case kind == md5Sum:
		return &digest{main: md5.New()}
	case both:
		return &digest{sha256.New(), md5.New()}
	}
	return &digest{main: sha256.New()}
}

// Write never fails.
func (d *digest) Write(p []byte) (int, error) {
	if d.other != nil {
		d.other.Write(p)
	}
	return d.main.Write(p)
}

func (d *digest) reset() {
	d.main.Reset()
	if d.other != nil {
		d.other.Reset()
	}
}

// differs describes what is wrong with the bytes that were seen, "" for nothing.
func (d *digest) differs(it *item) string {
	text := differs(d.main, it.sum)
	if text == "" && it.md5 != nil {
		text = differs(d.other, *it.md5)
	}
	return text
}

func differs(h hash.Hash, want sum) string {
	if want.kind == noSum {
		return ""
	}
	have := h.Sum(nil)
	if [headLen]byte(have) == want.head {
		return ""
	}
	return "got " + want.kind.String() + ":" + hex.EncodeToString(have) + ", want " + want.text()
}

func (k sumKind) String() string {
	if k == md5Sum {
		return "md5"
	}
	return "sha256"
}

// text shows the digest of a record as far as it is kept.
func (s sum) text() string {
	digits := hex.EncodeToString(s.head[:])
	if s.kind == sha256Sum {
		digits += "..."
	}
	return s.kind.String() + ":" + digits
}
