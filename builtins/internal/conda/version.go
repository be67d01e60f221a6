// Package conda implements conda's versions and match specs: which of two versions is
// newer, and which packages "python >=3.6,<4.0a0" or
// "blas * *openblas[build_number='>0']" ask for.
//
// Two things to know. Versions and specs are values that are parsed once and then only
// read, so many goroutines may share them; neither comparing nor matching allocates.
// And where conda's documentation leaves something open it does as conda does, except
// where a comment says otherwise.
//
// It does no input or output and calls no other package; packages choose and builtins
// call it.
package conda

import (
	"cmp"
	"fmt"
	"strings"
)

// A Version is a version in conda's order, as the documentation of VersionOrder in
// conda/models/version.py defines it. The zero Version is older than all others.
type Version struct {
	text  string      // as written, without the space around it
	parts []component // the epoch, then the version proper; nil if text is not a version
	local []component // after "+"
}

// A component is the text between dots or underscores: numbers and words in turn, a
// number first.
type component []atom

// An atom is a run of digits, or of anything else.
type atom struct {
	kind kind
	text string // digits without leading zeros; or small letters, but DEV for dev: it comes before all words but "*"
}

type kind uint8

const (
	word   kind = iota // older than any number: 1.0a < 1.0
	number             // by value
	post               // newer than any number
)

// zero is compared with an atom that only the other version has: 1.1 is 1.1.0.
var zero = atom{kind: number}

// ParseVersion reads a version: an optional epoch "1!", components of ASCII letters and
// digits between dots and underscores, and an optional local version after "+". Dashes
// are read as underscores in a text without underscores.
func ParseVersion(s string) (Version, error) {
	v := VersionOf(s)
	if v.parts == nil {
		return v, fmt.Errorf("got the version %q, want letters and digits between single dots, "+
			"as in 1.2.3rc1, 1!2.0 or 1.0+local", s)
	}
	return v, nil
}

// VersionOf is ParseVersion for callers that must order whatever a channel holds: a text
// that is not a version is older than all versions, and such texts are in the order of
// their letters.
func VersionOf(s string) Version {
	v := Version{text: strings.TrimSpace(s)}
	text := strings.ToLower(v.text)
	if strings.Contains(text, "-") && !strings.Contains(text, "_") {
		text = strings.ReplaceAll(text, "-", "_")
	}
	epoch, rest, ok := strings.Cut(text, "!")
	if !ok {
		epoch, rest = "0", text
	}
	rest, local, hasLocal := strings.Cut(rest, "+")
	if !allDigits(epoch) || strings.ContainsFunc(rest, notOfVersion) || strings.ContainsFunc(local, notOfVersion) {
		return v
	}
	atoms := make([]atom, 0, 8)
	parts := append(make([]component, 0, 5), component{numberOf(epoch)})
	end := ""
	if strings.HasSuffix(rest, "_") { // 1.0.1_ < 1.0.1a, unlike 1.0.1
		rest, end = rest[:len(rest)-1], "_"
	}
	if parts, atoms, ok = components(parts, atoms, rest, end); !ok {
		return v
	}
	if hasLocal {
		if v.local, _, ok = components(nil, atoms, local, ""); !ok {
			return v
		}
	}
	v.parts = parts
	return v
}

func notOfVersion(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '*')
}

// components appends the components of s followed by end. It returns false if one of them
// is empty.
func components(list []component, atoms []atom, s, end string) ([]component, []atom, bool) {
	for more := true; more; {
		part := s
		if i := strings.IndexAny(s, "._"); i >= 0 {
			part, s = s[:i], s[i+1:]
		} else {
			part, more = s+end, false
		}
		if part == "" {
			return nil, nil, false
		}
		first := len(atoms)
		if !digit(part[0]) {
			atoms = append(atoms, zero) // keeps numbers and words in step: 1.1.a1 is 1.1.0a1
		}
		atoms = split(atoms, part)
		list = append(list, atoms[first:len(atoms):len(atoms)])
	}
	return list, atoms, true
}

// split appends the runs of digits, of stars and of others in s.
func split(atoms []atom, s string) []atom {
	for s != "" {
		n := 1
		for n < len(s) && class(s[n]) == class(s[0]) {
			n++
		}
		switch run := s[:n]; {
		case digit(run[0]):
			atoms = append(atoms, numberOf(run))
		case run == "post":
			atoms = append(atoms, atom{kind: post})
		case run == "dev":
			atoms = append(atoms, atom{text: "DEV"})
		default:
			atoms = append(atoms, atom{text: run})
		}
		s = s[n:]
	}
	return atoms
}

func class(c byte) int {
	switch {
	case digit(c):
		return 0
	case c == '*':
		return 1
	}
	return 2
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func numberOf(digits string) atom {
	return atom{number, strings.TrimLeft(digits, "0")}
}

// String is the version as it was written.
func (v Version) String() string { return v.text }

// IsZero reports whether v is the zero Version, or of an empty text.
func (v *Version) IsZero() bool { return v.text == "" }

// Compare returns -1 if a is older than b, 1 if it is newer, and 0 if they are of one
// rank, such as 1.1 and 1.1.0. The ranks are totally ordered.
func Compare(a, b Version) int { return a.compare(&b) }

func (v *Version) compare(w *Version) int {
	switch {
	case v.parts == nil && w.parts == nil:
		return strings.Compare(v.text, w.text)
	case v.parts == nil:
		return -1
	case w.parts == nil:
		return 1
	}
	if c := compareParts(v.parts, w.parts); c != 0 {
		return c
	}
	return compareParts(v.local, w.local)
}

func compareParts(a, b []component) int {
	for i := range max(len(a), len(b)) {
		if c := compareComponents(partAt(a, i), partAt(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

func compareComponents(a, b component) int {
	for i := range max(len(a), len(b)) {
		if c := a.at(i).compare(b.at(i)); c != 0 {
			return c
		}
	}
	return 0
}

func partAt(list []component, i int) component {
	if i < len(list) {
		return list[i]
	}
	return nil
}

func (c component) at(i int) atom {
	if i < len(c) {
		return c[i]
	}
	return zero
}

func (a atom) compare(b atom) int {
	switch {
	case a.kind != b.kind:
		return cmp.Compare(a.kind, b.kind)
	case a.kind == number && len(a.text) != len(b.text):
		return cmp.Compare(len(a.text), len(b.text))
	}
	return strings.Compare(a.text, b.text)
}

// hasPrefix reports whether v matches "p.*": it equals p in all atoms of p but the last,
// which v may continue if it is a word. So 1.2.3 and 1.2a begin with 1.2, and 1.20 does
// not.
func (v *Version) hasPrefix(p *Version) bool {
	switch {
	case v.parts == nil || p.parts == nil:
		return v.parts == nil && p.parts == nil && strings.HasPrefix(v.text, p.text)
	case p.local == nil:
		return partsBegin(v.parts, p.parts)
	}
	return compareParts(v.parts, p.parts) == 0 && partsBegin(v.local, p.local)
}

func partsBegin(list, with []component) bool {
	last := len(with) - 1
	for i := range last {
		if compareComponents(partAt(list, i), with[i]) != 0 {
			return false
		}
	}
	have, want := partAt(list, last), with[last]
	n := len(want) - 1
	for i := range n {
		if have.at(i) != want[i] {
			return false
		}
	}
	if a := have.at(n); want[n].kind == word {
		return a.kind == word && strings.HasPrefix(a.text, want[n].text)
	}
	return have.at(n) == want[n]
}
