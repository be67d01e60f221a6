package state

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"runbook/builtins/internal/repodata"
)

// A Kind is an algorithm.
type Kind byte

const (
	None   Kind = iota // the record has no digest: what was fetched is taken as it came
	SHA256             // the strongest that records have
	MD5                // for those of before 2018
)

// headLen is how many bytes of a digest are kept: all of an MD5, half of a SHA-256, which cannot be forged either.
const headLen = md5.Size

// A sum is a digest, cut to what is kept of it.
type Sum struct {
	Kind Kind
	head [headLen]byte
}

// SumOf returns the best digest of a record.
func SumOf(f *repodata.Fields) Sum {
	switch {
	case f.SHA256 != "":
		return ParseSum(SHA256, f.SHA256)
	case f.MD5 != "":
		return ParseSum(MD5, f.MD5)
	}
	return Sum{}
}

// ParseSum reads a hex digest, which has been checked.
func ParseSum(kind Kind, digits string) Sum {
	s := Sum{Kind: kind}
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
type Digest struct {
	main, other hash.Hash // other: the MD5 beside a SHA-256, if both are wanted
}

// NewDigest returns a Digest of a kind; both adds the MD5 beside a SHA-256.
func NewDigest(kind Kind, both bool) *Digest {
	switch {
	case kind == MD5:
		return &Digest{main: md5.New()}
	case both:
		return &Digest{sha256.New(), md5.New()}
	}
	return &Digest{main: sha256.New()}
}

// Write never fails.
func (d *Digest) Write(p []byte) (int, error) {
	if d.other != nil {
		d.other.Write(p)
	}
	return d.main.Write(p)
}

// Reset forgets all bytes.
func (d *Digest) Reset() {
	d.main.Reset()
	if d.other != nil {
		d.other.Reset()
	}
}

// Differs describes how the bytes that were seen differ from what is wanted, "" if they do not. md5, if not nil, is
// wanted too.
func (d *Digest) Differs(want Sum, md5 *Sum) string {
	text := differs(d.main, want)
	if text == "" && md5 != nil {
		text = differs(d.other, *md5)
	}
	return text
}

func differs(h hash.Hash, want Sum) string {
	if want.Kind == None {
		return ""
	}
	have := h.Sum(nil)
	if [headLen]byte(have) == want.head {
		return ""
	}
	return "got " + want.Kind.String() + ":" + hex.EncodeToString(have) + ", want " + want.text()
}

func (k Kind) String() string {
	if k == MD5 {
		return "md5"
	}
	return "sha256"
}

// Digits returns what is kept of the digest, in hex.
func (s Sum) Digits() string { return hex.EncodeToString(s.head[:]) }

// text shows the digest of a record as far as it is kept.
func (s Sum) text() string {
	digits := s.Digits()
	if s.Kind == SHA256 {
		digits += "..."
	}
	return s.Kind.String() + ":" + digits
}
