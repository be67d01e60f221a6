package builtins

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"runbook/runtime"
	"runbook/runtime/host"
)

var mkdirBuiltin = &runtime.Builtin{
	Name: "mkdir",
	Args: append([]runtime.Arg{
		param("path", "path", "", "the directory"),
		param("mode", "int", "0o755", "permission bits of the directory itself"),
	}, ownerParams()...),
	Summary: "make a directory and those above it, or repair its mode and owner",
	Detail: []string{
		"Directories above it that are missing get mode 0o755 and belong to whoever runs; those that are there stay as they are.",
		"A symbolic link to a directory is taken for that directory.",
	},
	Example: `mkdir("/srv/site/packages", mode=0o770)`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		op := &mkdirOp{meta: host.Meta{Mode: 0o755}}
		var p runtime.Path
		err := c.Unpack("path", &p, "mode", &op.meta.Mode, "owner", &op.meta.User, "group", &op.meta.Group)
		op.path, op.meta.Owner = string(p), op.meta.Or(c.Owner())
		return op, op.path, err
	},
}

// mkdirOp is a directory.
type mkdirOp struct {
	path string
	meta host.Meta

	real    string   // of the last Check: path after its links
	missing []string // of the last Check: what to make, parents first
}

func (op *mkdirOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	return legacy(ctx, h, op)
}

func (op *mkdirOp) check0(ctx context.Context, h host.Reader) ([]host.Change, error) {
	var err error
	if op.meta.Owner, err = resolveOwner(ctx, h, op.meta.Owner); err != nil {
		return nil, err
	}
	op.missing = nil
	var m host.Meta
	switch op.real, m, err = follow(h, op.path); {
	case err == nil && m.Mode.IsDir():
		return metaChanges(m, op.meta), nil
	case err == nil:
		return nil, runtime.Hint(fmt.Errorf("is %s, want a directory", kindOf(m.Mode)), "move or remove what is in the way")
	case gone(err) && op.real != op.path:
		return nil, runtime.Hint(fmt.Errorf("is a symbolic link to %s, which is missing", op.real), `remove("`+op.path+`") first, or make what it points to`)
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, op.path+" is not there")
		op.missing = []string{op.path}
	case !gone(err):
		return nil, err
	default:
		if op.missing, err = missingDirs(h, op.path); err != nil {
			return nil, err
		}
	}
	return op.made(), nil
}

// missingDirs returns name and what is missing above it, uppermost first.
func missingDirs(h host.Reader, name string) ([]string, error) {
	dirs := []string{name}
	for p := path.Dir(name); p != "/"; p = path.Dir(p) {
		_, m, err := follow(h, p)
		switch {
		case gone(err):
			dirs = append(dirs, p)
			continue
		case err != nil && !errors.Is(err, host.ErrUnknown):
			return nil, err
		case err == nil && !m.Mode.IsDir():
			return nil, fmt.Errorf("%s is %s, want a directory", p, kindOf(m.Mode))
		}
		break
	}
	slices.Reverse(dirs)
	return dirs, nil
}

// made tells of the directories to make.
func (op *mkdirOp) made() (todo []host.Change) {
	for _, d := range op.missing[:len(op.missing)-1] {
		todo = append(todo, want(d, "", "directory 0755"))
	}
	return append(append(todo, want("directory", "", "made")), newMeta(op.meta)...)
}

func (op *mkdirOp) apply0(_ context.Context, h host.Host, _ []host.Change) error {
	if len(op.missing) == 0 {
		return h.SetMeta(op.real, op.meta)
	}
	for _, d := range op.missing {
		m := host.Meta{Mode: 0o755}
		if d == op.path {
			m = op.meta
		}
		if err := h.Mkdir(d, m); err != nil {
			return err
		}
	}
	return nil
}
