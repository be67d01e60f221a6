package builtins

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"runbook/runtime"
	"runbook/runtime/trace"
)

// An Unequal error says that a test has another value than it wants. The texts have an element on each line, so that
// they can be compared as lines.
type Unequal struct {
	Have, Want string
	text       string
}

func (e Unequal) Error() string { return e.text }

// Long reports whether the message does not show the values in full.
func (e Unequal) Long() bool {
	return strings.Contains(e.Have+e.Want, "\n") || max(len([]rune(e.Have)), len([]rune(e.Want))) > mostShown
}

// mostShown is how many characters of a value a message shows.
const mostShown = 60

func notEqual(have, want starlark.Value, hide func(string) string) error {
	text := fmt.Sprintf("check.eq: got %s, want %s", shortValue(hide(have.String())), shortValue(hide(want.String())))
	return Unequal{hide(valueLines(have)), hide(valueLines(want)), text}
}

// shortValue is a value on one line.
func shortValue(text string) string {
	line := strings.Join(strings.Fields(text), " ")
	if r := []rune(line); len(r) > mostShown {
		line = string(r[:mostShown]) + "..."
	}
	return line
}

var checkEqBuiltin = &runtime.Builtin{
	Name: "check.eq",
	Args: []runtime.Arg{
		param("have", "any", "None", "what there is"),
		param("want", "any", "None", "what there should be"),
	},
	Summary: "fail the test unless two values are equal; of texts, lists and dicts it shows the lines that differ",
	Example: `check.eq(sorted(["b", "a"]), ["a", "b"])`,
	Test: func(c *runtime.Call) (starlark.Value, error) {
		have, want := starlark.Value(starlark.None), starlark.Value(starlark.None)
		if err := c.Unpack("have", &have, "want", &want); err != nil {
			return nil, err
		}
		equal, err := starlark.Equal(have, want)
		if err == nil && !equal {
			err = notEqual(have, want, c.Tests().Hide)
		}
		return starlark.None, err
	},
}

// valueLines is a value with an element on each line.
func valueLines(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.String:
		if strings.Contains(string(v), "\n") {
			return string(v)
		}
	case *starlark.Dict:
		var b strings.Builder
		b.WriteString("{\n")
		for _, item := range v.Items() {
			fmt.Fprintf(&b, "    %s: %s,\n", item[0], indented(valueLines(item[1])))
		}
		return b.String() + "}"
	case *starlark.List:
		var b strings.Builder
		b.WriteString("[\n")
		for i := range v.Len() {
			fmt.Fprintf(&b, "    %s,\n", indented(valueLines(v.Index(i))))
		}
		return b.String() + "]"
	}
	return v.String()
}

func indented(text string) string { return strings.ReplaceAll(text, "\n", "\n    ") }

var checkContainsBuiltin = &runtime.Builtin{
	Name: "check.contains",
	Args: []runtime.Arg{
		param("list_or_text", "any", "", "a list, a dict, or a text"),
		param("item", "any", "", "an element, a key, or a part of the text"),
	},
	Summary: "fail the test unless a list has an element, or a text a part",
	Example: `check.contains("port: 8080\n", "8080")`,
	Test: func(c *runtime.Call) (starlark.Value, error) {
		var in, item starlark.Value
		if err := c.Unpack("list_or_text", &in, "item", &item); err != nil {
			return nil, err
		}
		ok, err := starlark.Binary(syntax.IN, item, in)
		switch {
		case err != nil:
			return nil, fmt.Errorf("check.contains: got %s and %s, want a list or a text, and what may be in it",
				in.Type(), item.Type())
		case ok == starlark.False:
			return nil, fmt.Errorf("check.contains: got\n%s\nwhich does not have %s", valueLines(in), item)
		}
		return starlark.None, nil
	},
}

var checkFailsBuiltin = &runtime.Builtin{
	Name: "check.fails",
	Args: []runtime.Arg{
		param("fn", "function", "", "a function without arguments, such as lambda: ..."),
		param("text", "string", "", "what its error must hold"),
	},
	Summary: "fail the test unless a function fails, with a text in its error or in its hint",
	Example: `check.fails(lambda: machine(os = "plan9 4"), "want one of")`,
	Test: func(c *runtime.Call) (starlark.Value, error) {
		var v starlark.Value
		var text string
		if err := c.Unpack("fn", &v, "text", &text); err != nil {
			return nil, err
		}
		fn, ok := v.(starlark.Callable)
		if !ok {
			return nil, runtime.Hint(fmt.Errorf("check.fails: got %s, want a function", v.Type()),
				"write check.fails(lambda: f(), \"text\"), not check.fails(f(), \"text\")")
		}
		_, err := c.CallFunction(fn)
		if err == nil {
			return nil, fmt.Errorf("check.fails: %s did not fail, want an error with %q", fn.Name(), text)
		}
		if all := err.Error() + "\n" + runtime.HintOf(err); !strings.Contains(all, text) {
			return nil, fmt.Errorf("check.fails: got the error %q, want one with %q", strings.TrimSpace(all), text)
		}
		return starlark.None, nil
	},
}

var checkSameBuiltin = &runtime.Builtin{
	Name:    "check.same",
	Args:    []runtime.Arg{param("run", "run", "", "what machine().run returned")},
	Summary: "fail the test unless a run was done and changed nothing",
	Example: `m = machine()
m.run("quickstart.star", vars = {"dir": "/srv/q"})
check.same(m.run("quickstart.star", vars = {"dir": "/srv/q"}))`,
	Test: func(c *runtime.Call) (starlark.Value, error) {
		var v starlark.Value
		if err := c.Unpack("run", &v); err != nil {
			return nil, err
		}
		r, ok := v.(*playedRun)
		if !ok {
			return nil, fmt.Errorf("check.same: got %s, want what machine().run returned", v.Type())
		}
		if r.err != nil {
			err := fmt.Errorf("check.same: the run failed: %s", r.hide(r.err.Error()))
			return nil, runtime.Hint(err, r.hide(hintsOf(r.err)))
		}
		return starlark.None, r.unchanged()
	},
}

// unchanged is an error that names what a run changed; nil if that is nothing.
func (p *playedRun) unchanged() error {
	var changed []string
	for _, e := range p.events {
		if e.Kind == trace.Op && len(e.Changes) > 0 {
			c := e.Changes[0]
			changed = append(changed, fmt.Sprintf("%s: step %s: %s %s: %s", e.Pos, e.Step, e.Op, trace.Brief(e.Target),
				shortValue(fmt.Sprintf("%s: %q, was %q", c.What, c.To, c.From))))
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return errors.New("check.same: the run changed:\n" + strings.Join(changed, "\n"))
}
