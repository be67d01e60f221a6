package conda

import (
	"fmt"
	"regexp"
	"strings"
)

// A constraint says which versions will do. It is one relation, or several joined.
type constraint struct {
	op      op
	version Version // compared with
	stem    Version // of "compatible": version without its last component
	re      *regexp.Regexp
	of      []constraint
}

type op uint8

const (
	anything op = iota
	equal
	unequal
	older
	notNewer
	newer
	notOlder
	beginning    // =1.2, 1.2*, 1.2.*
	notBeginning // !=1.2.*
	compatible   // ~=1.2.3: not older, and 1.2.*
	matching     // a regular expression, or a glob with a star before its end
	allOf
	oneOf
)

// Longer ones first.
var operators = []struct {
	text string
	op   op
}{
	{"==", equal}, {"!=", unequal}, {"<=", notNewer}, {">=", notOlder}, {"~=", compatible},
	{"=", beginning}, {"<", older}, {">", newer},
}

func (c *constraint) match(v *Version) bool {
	switch c.op {
	case beginning:
		return v.hasPrefix(&c.version)
	case notBeginning:
		return !v.hasPrefix(&c.version)
	case compatible:
		return v.compare(&c.version) >= 0 && v.hasPrefix(&c.stem)
	case matching:
		return c.re.MatchString(v.text)
	case allOf:
		return !c.some(v, false)
	case oneOf:
		return c.some(v, true)
	case anything:
		return true
	}
	return c.op.holds(v.compare(&c.version))
}

// holds reports whether o, one of the six relations, holds if comparing a version with the
// one of the relation gives order.
func (o op) holds(order int) bool {
	switch o {
	case unequal:
		return order != 0
	case older:
		return order < 0
	case notNewer:
		return order <= 0
	case newer:
		return order > 0
	case notOlder:
		return order >= 0
	}
	return order == 0
}

// some reports whether matching one of c's parts gives result.
func (c *constraint) some(v *Version, result bool) bool {
	for i := range c.of {
		if c.of[i].match(v) == result {
			return true
		}
	}
	return false
}

// parseConstraint reads relations joined by "," (and) and "|" (or), which binds less, and
// parentheses.
func parseConstraint(s string) (constraint, error) {
	p := &constraintParser{rest: s}
	c, err := p.alternatives()
	if err == nil && p.rest != "" {
		err = fmt.Errorf("got %q after a version", p.rest)
	}
	return c, err
}

type constraintParser struct {
	rest  string
	depth int
}

func (p *constraintParser) alternatives() (constraint, error) {
	return p.joined('|', oneOf, func() (constraint, error) {
		return p.joined(',', allOf, p.term)
	})
}

func (p *constraintParser) joined(by byte, op op, part func() (constraint, error)) (constraint, error) {
	first, err := part()
	if err != nil || !p.next(by) {
		return first, err
	}
	c := constraint{op: op, of: []constraint{first}}
	for {
		one, err := part()
		if err != nil {
			return c, err
		}
		if c.of = append(c.of, one); !p.next(by) {
			return c, nil
		}
	}
}

// next skips spaces, then c. It returns false if another character follows.
func (p *constraintParser) next(c byte) bool {
	p.rest = strings.TrimLeft(p.rest, " ")
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

const deepest = 50 // parentheses in one another; real ones have two

func (p *constraintParser) term() (constraint, error) {
	if p.next('(') {
		if p.depth++; p.depth > deepest {
			return constraint{}, fmt.Errorf("got more than %d parentheses in one another", deepest)
		}
		c, err := p.alternatives()
		p.depth--
		if err == nil && !p.next(')') {
			err = fmt.Errorf("got %q, want a closing parenthesis", p.rest)
		}
		return c, err
	}
	n := strings.IndexAny(p.rest, "()|,")
	if strings.HasPrefix(p.rest, "^") {
		if n = strings.IndexByte(p.rest, '$'); n >= 0 {
			n++
		}
	}
	text := p.rest
	if n >= 0 {
		text = p.rest[:n]
	}
	p.rest = p.rest[len(text):]
	return relation(strings.TrimSpace(text))
}

// relation reads one of the forms without commas.
func relation(s string) (constraint, error) {
	if s == "*" {
		return constraint{}, nil
	}
	if strings.HasPrefix(s, "^") || strings.HasSuffix(s, "$") {
		p, err := newPattern(s, false)
		if err == nil && p.re == nil {
			err = fmt.Errorf("got %q, want a regular expression from ^ to $", s)
		}
		return constraint{op: matching, re: p.re}, err
	}
	op, text := cutOperator(s)
	return constraint{op: op}.over(s, text)
}

// cutOperator takes the operator from the front of s; without one it is "equal".
func cutOperator(s string) (op, string) {
	for _, o := range operators {
		if rest, ok := strings.CutPrefix(s, o.text); ok {
			return o.op, strings.TrimSpace(rest)
		}
	}
	return equal, s
}

// over completes c with the version that the relation s compares with.
func (c constraint) over(s, text string) (constraint, error) {
	if text == "" {
		return c, fmt.Errorf("got %q, want a version", s)
	}
	stem := strings.TrimSuffix(strings.TrimRight(text, "*"), ".")
	switch {
	case stem == "" && text != "." && (c.op == equal || c.op == beginning):
		return constraint{}, nil // =*
	case c.op == equal && strings.Contains(stem, "*"):
		glob := strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, ".*")
		re, err := regexp.Compile("^(?:" + glob + ")$")
		return constraint{op: matching, re: re}, err
	case c.op == equal && stem != text: // ==1.2.*, too
		c.op, text = beginning, stem
	case c.op == unequal && stem != text:
		c.op, text = notBeginning, stem
	case c.op == compatible && stem != text:
		return c, fmt.Errorf("got %q, want ~= without a star", s)
	case c.op == beginning || strings.HasSuffix(text, ".*"): // conda, too, takes >=2.* for >=2
		text = stem
	}
	var err error
	c.version, err = ParseVersion(text)
	if err == nil && c.op == compatible {
		i := strings.LastIndexAny(text, "._")
		if i < 0 {
			return c, fmt.Errorf("got %q, want two components after ~=", s)
		}
		c.stem, err = ParseVersion(text[:i])
	}
	return c, err
}
