package builtins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"runbook/runtime"
	"runbook/runtime/host"
)

var symlinkBuiltin = &runtime.Builtin{
	Name: "symlink",
	Args: append([]runtime.Arg{
		param("path", "path", "", "the link"),
		param("target", "string", "", "what it points to; may be relative to the link's directory, and need not exist"),
	}, ownerParams()...),
	Summary: "make a symbolic link point where it should",
	Detail:  []string{"A link that points elsewhere is replaced. A file or directory in its place is an error."},
	Example: `symlink("/srv/latest", "releases/7")`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		op := &symlinkOp{}
		var p runtime.Path
		err := c.Unpack("path", &p, "target", &op.target, "owner", &op.owner.User, "group", &op.owner.Group)
		op.path, op.owner = string(p), op.owner.Or(c.Owner())
		if err == nil && op.target == "" {
			err = errors.New("argument \"target\": got no name, want a file")
		}
		return op, op.path, err
	},
}

// symlinkOp is a symbolic link.
type symlinkOp struct {
	path, target string
	owner        host.Owner

	old string // of the last Check: where a link that is there points
}

func (op *symlinkOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	return legacy(ctx, h, op)
}

func (op *symlinkOp) check0(ctx context.Context, h host.Reader) (todo []host.Change, err error) {
	op.old = ""
	if op.owner, err = resolveOwner(ctx, h, op.owner); err != nil {
		return nil, err
	}
	m, there, err := look(ctx, h, op.path)
	switch {
	case err != nil:
		return nil, err
	case !there:
		todo = []host.Change{want("target", "", op.target)}
		return append(todo, ownerChanges(host.Owner{}, op.owner)...), needDir(h, op.path)
	case m.Mode&fs.ModeSymlink == 0:
		return nil, runtime.Hint(fmt.Errorf("is %s, want a symbolic link", kindOf(m.Mode)), "move or remove what is in the way")
	}
	if op.old, err = h.Readlink(op.path); err != nil {
		return nil, err
	}
	if op.old != op.target {
		todo = append(todo, want("target", op.old, op.target))
	}
	return append(todo, ownerChanges(m.Owner, op.owner)...), nil
}

func (op *symlinkOp) apply0(_ context.Context, h host.Host, _ []host.Change) error {
	if op.old == op.target {
		return h.Chown(op.path, op.owner, 1)
	}
	if op.old != "" {
		if err := h.Remove(op.path, 1); err != nil {
			return err
		}
	}
	return h.Symlink(op.target, op.path, op.owner)
}
