package builtins

import (
	"context"
	"errors"
	"fmt"

	"runbook/runtime"
	"runbook/runtime/host"
)

var chownBuiltin = &runtime.Builtin{
	Name: "chown",
	Args: []runtime.Arg{
		param("path", "path", "", "a file or directory"),
		param("owner", "string", "", "account that will own it"),
		param("group", "string", "the owner's", "group of it; by default the owner's login group"),
		param("recursive", "bool", "True", "with all below it, if it is a directory"),
		adoptParam,
	},
	Summary: "give a file, or a directory and all below it, to an account",
	Detail: []string{
		"Only what belongs to somebody else is changed. Symbolic links are changed themselves, not followed.",
		"A tree is one effect, which tells how many files differ. Files in it that have names outside of it, hard links, are left alone.",
	},
	Example: `mkdir("/srv/site")
chown("/srv/site", "root")`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		op := chownOp{recursive: true}
		var p runtime.Path
		err := c.Unpack("path", &p, "owner", runtime.Account(&op.owner.User), "group", runtime.Account(&op.owner.Group),
			"recursive", &op.recursive,
			"adopt", &op.adopt)
		if err == nil && op.owner.User == "" {
			err = errors.New("argument \"owner\": got no name, want an account")
		}
		op.path = string(p)
		return op, op.path, err
	},
}

// chownOp is a file or tree that must belong to an owner.
type chownOp struct {
	path      string
	owner     host.Owner
	recursive bool
	adopt     bool
}

func (op chownOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	owner, err := op.withGroup(ctx, h)
	if err != nil {
		return nil, err
	}
	m, err := h.Lstat(op.path)
	switch {
	case isMissing(err):
		return nil, runtime.Hint(errors.New("is not there"), "make it first")
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, op.path+" belongs to others")
		m.Mode = 0
	case err != nil:
		return nil, err
	}
	if err := mayTake(ctx, h, op.path, m, owner, op.adopt); err != nil {
		return nil, err
	}
	switch {
	case m.Mode.IsDir() && !op.recursive:
		return runtime.Actions(setMeta(op.path, host.Meta{Mode: m.Mode, Owner: owner}), ownerChanges(m.Owner, owner)...), nil
	case err == nil && !m.Mode.IsDir():
		return runtime.Actions(op.give(owner, 1), ownerChanges(m.Owner, owner)...), nil
	}
	files, spared, err := host.Differ(h, op.path, owner)
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, "files below "+op.path+" belong to others")
		files, err = max(files, 1), nil
	}
	if err != nil || files == 0 {
		return nil, err
	}
	given := fmt.Sprintf("%s:%s", owner.User, owner.Group)
	if spared > 0 {
		given += fmt.Sprintf(", but %d files that have names elsewhere, too", spared)
	}
	return runtime.Actions(op.give(owner, files), change("owner", fmt.Sprintf("%d files of others", files), given)), nil
}

// give returns the deed that gives so many files to owner.
func (op chownOp) give(owner host.Owner, files int) runtime.Deed {
	return func(_ context.Context, h host.Host) error { return h.Chown(op.path, owner, files) }
}

// withGroup returns the owner, with the login group of the account if no group is given.
func (op chownOp) withGroup(ctx context.Context, h host.Reader) (host.Owner, error) {
	o, err := op.owner.Resolve(ctx, h)
	if err != nil || o.Group != "" {
		return o, err
	}
	if o, err = ownerFor(ctx, h, o.User); err != nil {
		return o, err
	}
	return o.Resolve(ctx, h)
}
