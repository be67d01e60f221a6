package builtins

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"runbook/runtime"
	"runbook/runtime/host"
)

var moveBuiltin = &runtime.Builtin{
	Name: "move",
	Args: []runtime.Arg{
		param("src", "path", "", "the file or directory as it is called now"),
		param("dest", "path", "", "its new name, in full; on the same file system"),
	},
	Summary: "rename a file or directory",
	Detail: []string{
		"It is done if src is gone and dest is there. If both are there it is an error: nothing is replaced, and nothing is moved into a directory of that name.",
	},
	Example: `write("/srv/new.conf", "x = 1\n")
move("/srv/new.conf", "/srv/site.conf")`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		var src, dest runtime.Path
		if err := c.Unpack("src", &src, "dest", &dest); err != nil {
			return nil, "", err
		}
		if src == dest || strings.HasPrefix(string(dest), string(src)+"/") {
			return nil, "", fmt.Errorf("cannot move %s to %s", src, dest)
		}
		return moveOp{string(src), string(dest)}, string(src), nil
	},
}

// moveOp is a file that must have a new name.
type moveOp struct{ src, dest string }

func (op moveOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	src, err := host.Exists(h, op.src)
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, op.src+" is there")
		src, err = true, nil
	}
	if err != nil {
		return nil, err
	}
	_, dest, err := look(ctx, h, op.dest)
	switch {
	case err != nil:
		return nil, err
	case src && dest:
		return nil, runtime.Hint(fmt.Errorf("%s is there, too", op.dest),
			"see which of them is wanted and remove() the other")
	case dest:
		return nil, nil
	case !src:
		return nil, runtime.Hint(fmt.Errorf("is not there, and neither is %s", op.dest),
			"see whether an earlier step should have made it")
	}
	if err := host.Spare(h, op.src, true); err != nil {
		return nil, err
	}
	move := func(_ context.Context, h host.Host) error {
		err := h.Move(op.src, op.dest)
		if errors.Is(err, syscall.EXDEV) {
			err = runtime.Hint(err, "these are two file systems: copy() it, then remove() the old one")
		}
		return err
	}
	read, err := op.read(h)
	if err != nil {
		return nil, err
	}
	return runtime.Actions(reading(move, read...), change("name", op.src, op.dest)), needDir(h, op.dest)
}

// read returns the files that get new names.
func (op moveOp) read(h host.Reader) ([]runtime.Read, error) {
	m, err := h.Lstat(op.src)
	if errors.Is(err, host.ErrUnknown) || err == nil && m.Mode.Type() != 0 && !m.Mode.IsDir() {
		return nil, nil
	}
	if err != nil || !m.Mode.IsDir() {
		return []runtime.Read{{Path: op.src, Loose: true}}, err
	}
	files := []string{}
	err = host.Walk(h, op.src, func(name string, m host.Meta) error {
		if m.Mode.IsRegular() {
			files = append(files, name)
		}
		return nil
	})
	if errors.Is(err, host.ErrUnknown) {
		err = nil // only a real run could list the others
	}
	return []runtime.Read{{Path: op.src, Files: files}}, err
}
