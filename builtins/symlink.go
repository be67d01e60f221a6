package builtins

import (
	"context"
	"errors"
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
		op := symlinkOp{owner: ownership{user: c.User()}}
		var p runtime.Path
		err := c.Unpack("path", &p, "target", &op.target,
			"owner", runtime.Account(&op.owner.User), "group", runtime.Account(&op.owner.Group))
		op.path = string(p)
		if err == nil && op.target == "" {
			err = errors.New("argument \"target\": got no name, want a file")
		}
		return op, op.path, err
	},
}

// symlinkOp is a symbolic link that must be there.
type symlinkOp struct {
	path, target string
	owner        ownership
}

func (op symlinkOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	owner, err := op.owner.resolve(ctx, h)
	if err != nil {
		return nil, err
	}
	link := func(_ context.Context, h host.Host) error { return h.Symlink(op.target, op.path, owner) }
	m, there, err := look(ctx, h, op.path)
	switch {
	case err != nil:
		return nil, err
	case !there:
		changes := append([]host.Change{change("target", "", op.target)}, ownerChanges(host.Owner{}, owner)...)
		return runtime.Actions(link, changes...), needDir(h, op.path)
	case m.Mode&fs.ModeSymlink == 0:
		return nil, inTheWay(m, "a symbolic link")
	}
	old, err := h.Readlink(op.path)
	if err != nil {
		return nil, err
	}
	changes := ownerChanges(m.Owner, owner)
	if old == op.target {
		chown := func(_ context.Context, h host.Host) error { return h.Chown(op.path, owner, 1) }
		return runtime.Actions(chown, changes...), nil
	}
	replace := func(ctx context.Context, h host.Host) error {
		if err := h.Remove(op.path, 1); err != nil {
			return err
		}
		return link(ctx, h)
	}
	return runtime.Actions(replace, append([]host.Change{change("target", old, op.target)}, changes...)...), nil
}
