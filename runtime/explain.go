package runtime

import (
	"errors"
	"fmt"
	"regexp"
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
	{regexp.MustCompile(`^for loop not within a function`), "", "move it into a function, or write a list comprehension"},
	{regexp.MustCompile(`^while loop not within a function|does not support while loops`), "there is no while",
		"use for over a list, wait_for(), or retries= and delay="},
	{regexp.MustCompile(`^return statement not within a function`), "", "a file returns nothing: give the name to others with load()"},
	{regexp.MustCompile(`^(break|continue) not in a loop`), "", "it ends a for loop; return ends a function, fail(text) a step"},
	{regexp.MustCompile(`^cannot reassign `), "", "a name at the top of a file is bound once: give one of them another name"},
	{regexp.MustCompile(`^can't assign to`), "", "a name stands before =; compare with =="},
	{regexp.MustCompile(`^positional argument may not follow named`), "", "put it before those with names, or name it"},
	{regexp.MustCompile(`^required parameter may not follow`), "", "put it before those that have a default"},
	{regexp.MustCompile(`^unknown binary op: (string \+ |\w+ \+ string)`), "", "make it text first: str(x), or \"%s\" % x"},
	{regexp.MustCompile(`^unknown binary op: (list \+ |\w+ \+ list)`), "", "make it a list first: [x]"},
	{regexp.MustCompile(`^(unknown binary op|.* not implemented)`), "", "both sides must be of a type that goes together: int(x) and str(x) convert"},
	{regexp.MustCompile(`^function \w+ (missing|accepts|got )`), "", "compare the call with the line of its def"},
	{regexp.MustCompile(`^load: name \w+ not found`), "", "look at what that file defines; a name that begins with _ stays in it"},
	{regexp.MustCompile(`frozen`), "", "values made while loading cannot be changed in a step: " +
		"make a copy there, x = list(items) or x = dict(table)"},
	{regexp.MustCompile(`^(local|global) variable \w+ referenced before assignment`), "",
		"a function cannot change a name outside of it: return the value, or set the name in the function first"},
	{regexp.MustCompile(`^dict has no \.(\w+) field or method`), "", "an entry of a dict is d[\"KEY\"], or d.get(\"KEY\")"},
	{regexp.MustCompile(`^result has no `), "", "a result has .changed, .code, .stdout and .stderr"},
	{regexp.MustCompile(`^"?answer"? (struct )?has no |^struct has no `), "", "an answer has .code, .stdout and .stderr"},
	{regexp.MustCompile(`^NoneType has no |^NoneType value is not`), "", "a function without return gives None: return the value"},
	{regexp.MustCompile(`has no \.\w+ field or method$`), "", "dir(x) lists what a value has"},
	{regexp.MustCompile(`^invalid call of non-function`), "", "it is a value: leave the parentheses after it out"},
	{regexp.MustCompile(`^got string in sequence assignment`), "", "a loop over a dict gets its keys: for k, v in d.items()"},
	{regexp.MustCompile(`^(got \w+ in sequence assignment|too (few|many) values to unpack)`), "", "write as many names as there are values"},
	{regexp.MustCompile(`^key .* not in dict`), "", "d.get(\"KEY\", OTHER) takes another value where there is none"},
	{regexp.MustCompile(`index .* out of range`), "", "look at len(x) first"},
	{regexp.MustCompile(`value is not iterable|want iterable`), "", "a loop takes a list or a dict: range(n) for a number, x.splitlines() for a text"},
	{regexp.MustCompile(`arguments? for format string|not enough arguments`), "", "a text with one %s takes one value, with two a tuple: \"%s %s\" % (a, b)"},
	{regexp.MustCompile(`not all arguments converted`), "", "there is one % sign for each value"},
	{regexp.MustCompile(`^unhashable`), "", "a key is a text, a number or a tuple"},
	{regexp.MustCompile(`^(keyword argument .* is repeated|duplicate parameter)`), "", "leave one of the two out"},
	{regexp.MustCompile(`called recursively`), "", "functions may not call themselves: use a loop"},
	{regexp.MustCompile(cancelled + `(too many steps|` + errTime.Error() + `)$`), errTime.Error(), "look for a loop or a value that is larger than meant"},
	{regexp.MustCompile(cancelled + errMemory.Error() + `$`), errMemory.Error(), "look for a value that grows in a loop"},
}

// cancelled begins the error of a script that was ended, as the interpreter has it or as it was explained.
const cancelled = `^(Starlark computation cancelled: )?`

// longestError is how much of a message is kept: fail() may be given anything.
const longestError = 16 << 10

// explain adds a hint to messages that newcomers meet.
func explain(e *Error) *Error {
	text := e.Err.Error()
	if len(text) > longestError {
		text = strings.ToValidUTF8(text[:longestError], "") + "..."
		e.Err = errors.New(text)
	}
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

// parseError explains what resolving a file of names found: all of it, not only the
// first. loaded says that another file loads this one.
func parseError(err error, names []string, loaded bool) error {
	var list resolve.ErrorList
	if !errors.As(err, &list) {
		return &Error{Class: Mistake, Err: err}
	}
	var all Errors
	outside := false
	for _, re := range list {
		e := &Error{Class: Mistake, Pos: re.Pos.String(), Err: errors.New(re.Msg), rule: "syntax"}
		if name, ok := strings.CutPrefix(re.Msg, "undefined: "); ok {
			name, _, _ = strings.Cut(name, " ")
			e = &Error{Class: Mistake, Pos: e.Pos, Err: fmt.Errorf("undefined: %s", name), rule: "unknown-name"}
			e.Advice = undefinedHint(name, names, loaded)
		}
		switch {
		case strings.HasPrefix(re.Msg, "cannot reassign ") && outside && re.Pos.Col > 1:
			continue // follows from an if or for that is outside functions
		case strings.HasPrefix(re.Msg, "cannot reassign "):
			e.rule = "bound-twice"
		case strings.HasPrefix(re.Msg, "keyword argument "):
			e.rule = "repeated-argument"
		}
		outside = outside || strings.Contains(re.Msg, "not within a function")
		explain(e)
		if len(all) == 0 || all[len(all)-1].Error() != e.Error() {
			all = append(all, e)
		}
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
