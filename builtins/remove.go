package builtins

import (
	"context"
	"errors"
	"strconv"

	"runbook/runtime"
	"runbook/runtime/host"
)

var removeBuiltin = &runtime.Builtin{
	Name:    "remove",
	Args:    []runtime.Arg{param("path", "path", "", "a file, a symbolic link, or a directory")},
	Summary: "delete a file, or a directory with all below it",
	Detail: []string{
		"A symbolic link is deleted itself. A pattern is refused. The directories that a system is made of are refused.",
		"A tree is one effect, which tells how many files go.",
	},
	Example: `write("/srv/old", "")
remove("/srv/old")`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		var p runtime.Path
		if err := c.Unpack("path", &p); err != nil {
			return nil, "", err
		}
		return removeOp{string(p)}, string(p), nil
	},
}

// removeOp is a name that must not be there.
type removeOp struct{ path string }

func (op removeOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	if err := host.Spare(h, op.path, true); err != nil {
		return nil, err
	}
	if ok, err := host.Exists(h, op.path); err == nil && !ok {
		return nil, runtime.NoPattern(op.path)
	}
	files := 0
	err := host.Walk(h, op.path, func(string, host.Meta) error { files++; return ctx.Err() })
	switch {
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, "how much there is of "+op.path)
		files = max(files, 1)
	case err != nil:
		return nil, err
	}
	remove := func(_ context.Context, h host.Host) error { return h.Remove(op.path, files) }
	return runtime.Actions(remove, change("files", strconv.Itoa(files), "0")), nil
}
