package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"runbook/runtime"
)

// builtinsJSON writes all that the builtins say of themselves, for other programs.
func builtinsJSON(w io.Writer, all []*runtime.Builtin) error {
	type object = map[string]any
	list := []object{}
	for _, b := range all {
		args := []object{}
		for i, a := range b.Params() {
			args = append(args, object{"name": a.Name, "type": a.Type, "required": a.Default == "", "default": defaultOf(a),
				"help": a.Help, "choices": orEmpty(a.Choices), "positional": i < b.MayBePositional(), "secret": slices.Contains(b.Secrets, a.Name)})
		}
		list = append(list, object{"name": b.Name, "kind": b.Kind(), "property": b.Property, "site": b.ForSite(),
			"any_names": b.TakesAnyName(), "summary": sentence(b.Summary), "detail": orEmpty(b.Detail), "args": args,
			"secrets": orEmpty(b.Secrets), "returns": cmp.Or(b.Returns(), "any"), "example": b.Example})
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(list); err != nil {
		return err
	}
	_, err := text.WriteTo(w)
	return err
}

// defaultOf is nil for an argument that must be given.
func defaultOf(a runtime.Arg) any {
	if a.Default == "" {
		return nil
	}
	return a.Default
}

const stubsHead = `"""What a runbook can call, for editors that read Python. Generated: runbook builtins --stubs

A runbook is Starlark, which is written like Python: without classes, exceptions, imports and while.
"""

from typing import Any, Callable, Literal, NoReturn

class secret_text(str):
    """A placeholder for a secret: it can be joined with text, and not be compared, measured or cut."""

class here_file:
    """A file beside the runbook: copy, write, extract, template and read take it."""

class answer:
    """What a command said that only read."""
    code: int
    stdout: str
    stderr: str

class result:
    """What a builtin did; it is no condition by itself: write result.changed."""
    changed: bool
    code: int
    stdout: str
    stderr: str

class _vars:
    """In runbook.star: the runbook's vars and secrets, in functions."""
    def __getattr__(self, name: str) -> Any: ...

vars: _vars

def load(module: str, *names: str, **renamed: str) -> None:
    """Take names from another file: load("lib/x.star", "f"), or new = "f"."""

def fail(*args: Any, sep: str = " ") -> NoReturn:
    """Stop with a message."""
`

// writeStubs writes what can be called as Python's .pyi files have it.
func writeStubs(w io.Writer, all []*runtime.Builtin) error {
	var b strings.Builder
	b.WriteString(stubsHead)
	var spaces []string
	for _, x := range all {
		if space, _, dotted := strings.Cut(x.Name, "."); dotted && !slices.Contains(spaces, space) {
			spaces = append(spaces, space)
		}
	}
	for _, x := range all {
		if !strings.Contains(x.Name, ".") && !slices.Contains(spaces, x.Name) {
			b.WriteByte('\n')
			writeStub(&b, x, "", x.Name)
		}
	}
	for _, space := range spaces {
		fmt.Fprintf(&b, "\nclass _%s:\n", space)
		for _, x := range all {
			first, member, dotted := strings.Cut(x.Name, ".")
			switch {
			case first == space && !dotted:
				writeStub(&b, x, "    ", "__call__")
			case first == space:
				writeStub(&b, x, "    ", member)
			}
		}
		fmt.Fprintf(&b, "\n%s: _%[1]s\n", space)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeStub writes one function, method or property under a name.
func writeStub(b *strings.Builder, x *runtime.Builtin, indent, name string) {
	doc := stubDoc(x, indent)
	if x.Property {
		fmt.Fprintf(b, "%s%s: %s\n%[1]s%[4]s\n", indent, name, pythonReturn(x), doc)
		return
	}
	var params []string
	if indent != "" {
		params = append(params, "self")
	}
	for i, a := range x.Params() {
		if i == x.MayBePositional() {
			params = append(params, "*")
		}
		params = append(params, stubParam(a))
	}
	if x.TakesAnyName() {
		params = append(params, "**values: Any")
	}
	fmt.Fprintf(b, "%sdef %s(%s) -> %s:\n%[1]s    %[5]s\n", indent, name, strings.Join(params, ", "), pythonReturn(x), doc)
}

// stubDoc is the docstring of b, whose lines but the first are indented one level more than indent.
func stubDoc(x *runtime.Builtin, indent string) string {
	below := "\n" + indent + "    "
	summary := sentence(x.Summary)
	lines := append([]string{strings.ToUpper(summary[:1]) + summary[1:] + "."}, details(x)...)
	if len(x.Params()) > 0 {
		lines = append(lines, "", "Args:")
	}
	for _, a := range x.Params() {
		lines = append(lines, "    "+a.Name+": "+a.Help)
	}
	if len(lines) == 1 {
		below = ""
	}
	text := strings.NewReplacer(`\`, `\\`, `"""`, `\"\"\"`).Replace(strings.Join(lines, below))
	return `"""` + strings.ReplaceAll(text, below+"\n", "\n\n") + below + `"""`
}

func stubParam(a runtime.Arg) string {
	typ := pythonType(a)
	switch {
	case a.Default == "":
		return a.Name + ": " + typ
	case a.Default == "None" || a.Default == "none":
		return a.Name + ": " + typ + " | None = None"
	case plainDefault.MatchString(a.Default):
		return a.Name + ": " + typ + " = " + a.Default
	}
	return a.Name + ": " + typ + " = ..." // words, not a value
}

var plainDefault = regexp.MustCompile(`^("[^"\\]*"|[0-9]+|0o[0-7]+|True|False|\[\]|\{\})$`)

var pythonTypes = map[string]string{
	"string": "str", "path": "str", "pattern": "str", "program": "str", "regexp": "str", "string or dict": "str | dict[str, Any]",
	"size or dict": "int | str | dict[str, Any]", "run": "Any",
	"bool": "bool", "int": "int", "dict": "dict[str, Any]", "any": "Any", "duration": "int | float | str",
	"function": "Callable[..., Any]", "bool or function": "bool | Callable[[], bool]",
	"int or string": "int | str", "list of string": "list[str] | str", "list of path": "list[str] | str",
	"list of int": "list[int] | int", "NoneType": "None", "list": "list[Any]", "result": "result", "answer": "answer",
	"secret": "secret_text", "here": "here_file", runtime.PathOrHere: "str | here_file", runtime.TextOrHere: "str | here_file",
	runtime.Values: "dict[str, Any]", runtime.DataOrHere: "str | bytes | here_file",
}

func pythonType(a runtime.Arg) string {
	typ := cmp.Or(pythonTypes[a.Type], "Any")
	if len(a.Choices) == 0 {
		return typ
	}
	var words []string
	for _, c := range a.Choices {
		words = append(words, strconv.Quote(c))
	}
	one := "Literal[" + strings.Join(words, ", ") + "]"
	if strings.HasPrefix(a.Type, "list") {
		return "list[" + one + "] | " + one
	}
	return one
}

func pythonReturn(x *runtime.Builtin) string {
	return cmp.Or(pythonTypes[x.Returns()], "Any")
}
