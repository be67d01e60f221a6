package conda

import (
	"fmt"
	"regexp"
	"strings"
)

// A pattern is a text, a glob whose * stands for any text, or a regular expression from ^
// to $. The zero pattern matches everything.
type pattern struct {
	text string // small letters if fold; "" for all
	glob bool
	re   *regexp.Regexp
	fold bool // case makes no difference
}

func newPattern(s string, fold bool) (pattern, error) {
	p := pattern{text: s, fold: fold}
	switch {
	case s == "*":
		p.text = ""
	case isRegexp(s):
		flags := ""
		if fold {
			flags = "(?i)"
		}
		re, err := regexp.Compile(flags + s)
		if err != nil {
			return p, fmt.Errorf("got %q, want a regular expression of Go: %w", s, err)
		}
		p.re = re
	case strings.Contains(s, "*"):
		p.glob = true
	}
	if fold {
		p.text = strings.ToLower(p.text)
	}
	return p, nil
}

func isRegexp(s string) bool {
	return len(s) > 1 && s[0] == '^' && s[len(s)-1] == '$'
}

func (p *pattern) match(s string) bool {
	switch {
	case p.re != nil:
		return p.re.MatchString(s)
	case p.glob:
		return glob(p.text, s, p.fold)
	case p.text == "":
		return true
	case p.fold:
		return strings.EqualFold(p.text, s)
	}
	return p.text == s
}

// exact reports whether p names one text.
func (p *pattern) exact() bool { return p.text != "" && !p.glob && p.re == nil }

// all reports whether p matches everything.
func (p *pattern) all() bool { return p.text == "" && p.re == nil }

// glob matches in one pass, going back to the last star where a letter differs.
func glob(pattern, s string, fold bool) bool {
	star, from := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == s[i] || fold && pattern[p] == lower(s[i])):
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
