package runtime

import (
	"fmt"
	"strings"
	"unicode"

	"go.starlark.net/syntax"

	"runbook/runtime/trace"
)

// checkName refuses the name of a thing, such as a step, that people would not read as
// what it is: one without a letter or digit, with white space at its ends, or with
// characters that do not show as themselves.
func checkName(thing, name string) error {
	spelt := trace.Quote(name)
	visible := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	switch {
	case spelt != name || strings.ContainsAny(name, "\ufe0e\ufe0f"):
		return Hint(fmt.Errorf("%s: got name %s, want one whose characters all show", thing, spelt),
			"write it anew: it holds what a terminal obeys, blank letters, or a pile of accents")
	case !strings.ContainsFunc(name, visible) || strings.TrimSpace(name) != name:
		return fmt.Errorf("%s: got name %q, want letters or digits, without spaces around them", thing, name)
	}
	return nil
}

// hiddenNames returns an error for each name in a file whose characters do not all show:
// what a reviewer takes for one name may be two.
func hiddenNames(f *syntax.File) (all Errors) {
	seen := map[string]bool{}
	syntax.Walk(f, func(n syntax.Node) bool {
		id, ok := n.(*syntax.Ident)
		if !ok || seen[id.Name] {
			return true
		}
		seen[id.Name] = true
		if err := checkName("identifier", id.Name); err != nil && id.Name != trace.Quote(id.Name) {
			all = append(all, &Error{Class: Mistake, Pos: id.NamePos.String(), Err: err, rule: "hidden-name"})
		}
		return true
	})
	return all
}
