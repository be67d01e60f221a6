package builtins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"runbook/runtime"
	"runbook/runtime/host"
)

var mkdirBuiltin = &runtime.Builtin{
	Name: "mkdir",
	Args: append([]runtime.Arg{
		param("path", "path", "", "the directory"),
		param("mode", "int", "0o755", "permission bits of the directory itself"),
	}, append(ownerParams(), adoptParam)...),
	Summary: "make a directory and those above it, or repair its mode and owner",
	Detail: []string{
		"Directories above it that are missing get mode 0o755 and belong to whoever runs; those that are there stay as they are.",
		"A symbolic link to a directory is taken for that directory. What the system needs keeps its mode and owner, and so does what others hold files in, unless adopt says that it may be given away.",
	},
	Example: `mkdir("/srv/site/packages", mode=0o770)`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		op := mkdirOp{mode: 0o755, owner: ownership{user: c.User()}}
		var p runtime.Path
		err := c.Unpack("path", &p, "mode", &op.mode,
			"owner", runtime.Account(&op.owner.User), "group", runtime.Account(&op.owner.Group), "adopt", &op.adopt)
		op.path = string(p)
		return op, op.path, err
	},
}

// mkdirOp is a directory that must be there.
type mkdirOp struct {
	path  string
	mode  fs.FileMode
	owner ownership
	adopt bool
}

func (op mkdirOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	owner, err := op.owner.resolve(ctx, h)
	if err != nil {
		return nil, err
	}
	meta := host.Meta{Mode: op.mode, Owner: owner}
	name, m, err := follow(h, op.path)
	place, placeErr := h.Resolve(op.path, false)
	switch {
	case err == nil && m.Mode.IsDir():
		changes := metaChanges(m, meta)
		if name != place && len(changes) > 0 {
			changes = append([]host.Change{change("path", op.path, name)}, changes...)
		}
		return runtime.Actions(setMeta(name, meta), changes...), mayTake(ctx, h, name, m, owner, op.adopt)
	case err == nil:
		return nil, inTheWay(m, "a directory")
	case isMissing(err) && placeErr == nil && name != place:
		return nil, runtime.Hint(fmt.Errorf("is a symbolic link to %s, which is missing", name),
			`remove("`+op.path+`") first, or make what it points to`)
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, op.path+" is not there")
		return op.make(nil, meta), nil
	case !isMissing(err):
		return nil, err
	}
	above, err := missingDirs(h, path.Dir(op.path))
	return op.make(above, meta), err
}

// make returns the actions that make the directories above op.path that are
// missing, then op.path itself.
func (op mkdirOp) make(above []string, meta host.Meta) (actions []runtime.Action) {
	for _, dir := range above {
		actions = append(actions, runtime.Actions(makeDir(dir, host.Meta{Mode: 0o755}), change(dir, "", "directory 0755"))...)
	}
	changes := append([]host.Change{change("directory", "", "made")}, newMeta(meta)...)
	return append(actions, runtime.Actions(makeDir(op.path, meta), changes...)...)
}
