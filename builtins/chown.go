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
	},
	Summary: "give a file, or a directory and all below it, to an account",
	Detail: []string{
		"Only what belongs to somebody else is changed. Symbolic links are changed themselves, not followed.",
		"A tree is one effect, which tells how many files differ.",
	},
	Example: `mkdir("/srv/site")
chown("/srv/site", "root")`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		op := &chownOp{recursive: true}
		var p runtime.Path
		err := c.Unpack("path", &p, "owner", &op.owner.User, "group", &op.owner.Group, "recursive", &op.recursive)
		if err == nil && op.owner.User == "" {
			err = errors.New("argument \"owner\": got no name, want an account")
		}
		op.path = string(p)
		return op, op.path, err
	},
}

// chownOp is an owner of a file or tree.
type chownOp struct {
	path      string
	owner     host.Owner
	recursive bool

	meta  host.Meta  // of the last Check: what path is
	to    host.Owner // of the last Check: owner with its group
	files int        // of the last Check: how many differ
}

func (op *chownOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	return legacy(ctx, h, op)
}

func (op *chownOp) check0(ctx context.Context, h host.Reader) (_ []host.Change, err error) {
	if op.to, err = op.withGroup(ctx, h); err != nil {
		return nil, err
	}
	switch op.meta, err = h.Lstat(op.path); {
	case gone(err):
		return nil, runtime.Hint(errors.New("is not there"), "make it first")
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, op.path+" belongs to others")
		op.meta.Mode = 0
	case err != nil:
		return nil, err
	case !op.recursive || !op.meta.Mode.IsDir():
		op.files = 1
		return ownerChanges(op.meta.Owner, op.to), nil
	}
	op.files, err = host.Differ(h, op.path, op.to)
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, "files below "+op.path+" belong to others")
		op.files, err = max(op.files, 1), nil
	}
	if err != nil || op.files == 0 {
		return nil, err
	}
	return []host.Change{want("owner", fmt.Sprintf("%d files of others", op.files), op.to.User+":"+op.to.Group)}, nil
}

// withGroup completes the owner. Of a user that only a dry run knows, the login
// group is not known by name; useradd gives it one of the user's name.
func (op *chownOp) withGroup(ctx context.Context, h host.Reader) (host.Owner, error) {
	o, err := resolveOwner(ctx, h, op.owner)
	if err != nil || o.Group != "" {
		return o, err
	}
	o.Group, err = h.Fact(ctx, fact(host.Primary, o.User))
	if err == nil && (o.Group == "" || o.Group == host.Present) {
		o.Group = o.User
	}
	if err != nil {
		return o, err
	}
	return resolveOwner(ctx, h, o)
}

func (op *chownOp) apply0(_ context.Context, h host.Host, _ []host.Change) error {
	if op.recursive || !op.meta.Mode.IsDir() {
		return h.Chown(op.path, op.to, op.files)
	}
	return h.SetMeta(op.path, host.Meta{Mode: op.meta.Mode, Owner: op.to})
}
