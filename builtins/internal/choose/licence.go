package choose

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// families are the licence families that conda-build knows (conda_build/license_family.py), in the
// order in which they are looked for.
var families = []string{"AGPL", "LGPL", "GPL3", "GPL2", "GPL", "BSD", "MIT", "APACHE", "PSF", "CC", "MOZILLA",
	"PUBLICDOMAIN", "PROPRIETARY", "OTHER", "NONE"}

var (
	lesser = regexp.MustCompile(`LESSER *`)
	affero = regexp.MustCompile(`AFFERO *`)
	others = regexp.MustCompile(`[A,L]GPL`) // the comma is conda-build's
	gpl3   = regexp.MustCompile(`GPL[^2]*>= *2|GPL[^2]*3`)
	gpl2   = regexp.MustCompile(`GPL[^3]*2`)
	cc     = regexp.MustCompile(`CC\w+`)
)

// family guesses a licence's family as conda-build does: from what the record calls its family, or
// else from its licence. Without either it is NONE.
func family(family, license string) string {
	if family == "" {
		family = license
	}
	if family == "" {
		return "NONE"
	}
	s := strings.ReplaceAll(strings.ToUpper(family), "GENERAL PUBLIC LICENSE", "GPL")
	s = affero.ReplaceAllString(lesser.ReplaceAllString(s, "L"), "A")
	switch g := others.ReplaceAllString(s, ""); {
	case gpl3.MatchString(g):
		return "GPL3"
	case gpl2.MatchString(g):
		return "GPL2"
	case cc.MatchString(s):
		return "CC"
	}
	s = plain(s)
	if i := slices.IndexFunc(families, func(f string) bool { return strings.Contains(s, f) }); i >= 0 {
		return families[i]
	}
	return "OTHER"
}

// plain is s in capitals without space and ASCII punctuation.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r < 0x80 && (unicode.IsPunct(r) || unicode.IsSymbol(r)) {
			return -1
		}
		return unicode.ToUpper(r)
	}, s)
}

// licences are the families to leave out, by their plain names.
type licences struct {
	words map[string]*entry
	known map[[2]string][]*entry // what was found out so far: by family and licence, the words that name it
}

func newLicences(words []string) *licences {
	l := &licences{words: map[string]*entry{}, known: map[[2]string][]*entry{}}
	for _, w := range words {
		l.words[plain(w)] = &entry{key: "license_blacklist", word: w}
	}
	return l
}

// drop reports whether a licence is to be left out. "GPL", all that version 2.2 of the vendor's tool knew, stands for
// any version of it.
func (l *licences) drop(family, license string) bool {
	named, ok := l.known[[2]string{family, license}]
	if !ok {
		named = l.find(strings.Clone(family), strings.Clone(license))
	}
	for _, e := range named {
		e.hit = true
	}
	return len(named) > 0
}

func (l *licences) find(named, license string) (found []*entry) {
	f := family(named, license)
	if e := l.words[f]; e != nil {
		found = append(found, e)
	}
	if e := l.words["GPL"]; e != nil && (f == "GPL2" || f == "GPL3") {
		found = append(found, e)
	}
	l.known[[2]string{named, license}] = found
	return found
}
