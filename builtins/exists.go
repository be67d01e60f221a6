package builtins

import (
	"errors"
	"fmt"

	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/host"
)

var existsBuiltin = &runtime.Builtin{
	Name: "exists",
	Args: []runtime.Arg{
		param("path", "path", "", "a file, a directory or a symbolic link"),
		assumeParam("bool"),
	},
	Summary: "tell whether there is a file",
	Detail:  []string{"A symbolic link counts even if what it points to is missing."},
	Example: `exists("/etc/passwd")`,
	Read: func(c *runtime.Call, h host.Reader) (starlark.Value, error) {
		var p runtime.Path
		var assume starlark.Value
		if err := c.Unpack("path", &p, "assume", &assume); err != nil {
			return nil, err
		}
		ok, err := host.Exists(h, string(p))
		return answer(c, string(p), starlark.Bool(ok), err, assume)
	},
}

// assumeParam is assume= of the builtins that read.
func assumeParam(typ string) runtime.Arg {
	return param("assume", typ, "none", "what a dry run answers where only a real run could know")
}

// answer returns what a builtin that reads answers: v, or assume= where only a real
// run could know v. An assume of another type than v is always an error, so that it
// is found on any machine.
func answer(c *runtime.Call, name string, v starlark.Value, err error, assume starlark.Value) (starlark.Value, error) {
	op := c.Builtin.Name
	if assume != nil && v != nil && assume.Type() != v.Type() {
		return nil, fmt.Errorf("%s: argument \"assume\": got %s, want %s", op, assume.Type(), v.Type())
	}
	switch {
	case err == nil:
		return v, nil
	case !errors.Is(err, host.ErrUnknown):
		return nil, fmt.Errorf("%s %s: %w", op, name, err)
	case assume == nil:
		return nil, runtime.Hint(fmt.Errorf("%s %s: %w", op, name, err),
			"say what to assume: assume=..., or look before the step that changes it")
	}
	runtime.Assume(c.Context(), fmt.Sprintf("%s(%q) is %s", op, name, assume))
	return assume, nil
}
