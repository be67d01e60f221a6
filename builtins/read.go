package builtins

import (
	"errors"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/host"
)

var readBuiltin = &runtime.Builtin{
	Name: "read",
	Args: []runtime.Arg{
		param("path", runtime.PathOrHere, "", "a text file of at most 16 MiB, in UTF-8"),
		assumeParam("string"),
	},
	Secrets: []string{"assume"},
	Private: true,
	Summary: "return what a file holds",
	Example: `read("/etc/passwd")`,
	Read: func(c *runtime.Call, h host.Reader) (starlark.Value, error) {
		var p source
		var assume starlark.Value
		if err := c.Unpack("path", &p, "assume", &assume); err != nil {
			return nil, err
		}
		if p.here != nil {
			text, err := textOf(p.here)
			return answer(c, p.String(), starlark.String(text), err, assume)
		}
		data, err := readUpTo(h, p.path, textLimit)
		switch {
		case err != nil:
		case len(data) > textLimit:
			err = runtime.Hint(errors.New("got more than 16 MiB, want a text"),
				"query() a program that looks into it, or use sha256()")
		case !utf8.Valid(data):
			err = runtime.Hint(errors.New("got bytes that are no UTF-8, want a text"), "use copy() or sha256() for such a file")
		}
		return answer(c, p.path, starlark.String(data), err, assume)
	},
}
