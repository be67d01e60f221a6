package runtime

import (
	"errors"
	"fmt"
	"regexp"
	"runbook/runtime/nearest"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// An explanation is the hint that goes with messages that match.
type explanation struct {
	match *regexp.Regexp
	text  string // in the place of the message, if any
	hint  string
}

var explanations = []explanation{
	{regexp.MustCompile(`^if statement not within a function`), "", "move it into a step's function, or use when= of step()"},
	{regexp.MustCompile(`^(for|while) loop not within a function`), "", "move it into a function, or write a list comprehension"},
	{regexp.MustCompile(`does not support while loops|got while,`), "there is no while", "use for over a list, wait_for(), or retries= and delay="},
	{regexp.MustCompile(`^got string literal, want`), "", "there are no f-strings: write \"%s\" % x, or \"{}\".format(x)"},
	{regexp.MustCompile(`^got (try|except|raise|with|class|import|from|global|yield|assert|del|is|async|await|nonlocal|finally)\b`), "", "Starlark has no such statement; a builtin that fails ends the step, fail(\"why\") does too"},
	{regexp.MustCompile(`^unknown binary op: string \+ `), "", "make it text first: str(x), or \"%s\" % x"},
	{regexp.MustCompile(`frozen`), "", "values made while loading cannot be changed in a step: make a new one there"},
	{regexp.MustCompile(`called recursively`), "", "functions may not call themselves: use a loop"},
	{regexp.MustCompile(`^(got indent|got outdent|inconsistent indentation|unindent does not match)`), "", "check that the lines of a block begin with the same spaces"},
	{regexp.MustCompile(`too many steps|` + errTime.Error()), errTime.Error(), "look for a loop or a value that is larger than meant"},
	{regexp.MustCompile(errMemory.Error()), errMemory.Error(), "look for a value that grows in a loop"},
}

// explain adds a hint to messages that newcomers meet.
func explain(e *Error) *Error {
	text := e.Err.Error()
	for _, x := range explanations {
		if !x.match.MatchString(text) {
			continue
		}
		if x.text != "" {
			e.Err = errors.New(x.text)
		}
		if e.Advice == "" {
			e.Advice = x.hint
		}
		break
	}
	return e
}

// parseError explains what parsing or resolving a file of names found: all of
// it, not only the first.
func parseError(err error, names []string) error {
	var se syntax.Error
	if errors.As(err, &se) {
		return explain(&Error{Class: Mistake, Pos: se.Pos.String(), Err: errors.New(se.Msg)})
	}
	var list resolve.ErrorList
	if !errors.As(err, &list) {
		return &Error{Class: Mistake, Err: err}
	}
	all := make(Errors, len(list))
	for i, re := range list {
		e := &Error{Class: Mistake, Pos: re.Pos.String(), Err: errors.New(re.Msg)}
		if name, ok := strings.CutPrefix(re.Msg, "undefined: "); ok {
			name, _, _ = strings.Cut(name, " ")
			e = &Error{Class: Mistake, Pos: e.Pos, Err: fmt.Errorf("undefined: %s", name)}
			if n := nearest.Of(name, names); n != "" {
				e.Advice = fmt.Sprintf("did you mean %q?", n)
			}
		}
		all[i] = explain(e)
	}
	if len(all) == 1 {
		return all[0]
	}
	return all
}

// known returns the names that a file with these predeclared ones may use.
func known(f *syntax.File, pre starlark.StringDict) []string {
	names := append(pre.Keys(), starlark.Universe.Keys()...)
	for _, id := range bound(f) {
		names = append(names, id.Name)
	}
	return names
}
