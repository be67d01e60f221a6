package builtins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

// checkTree lists what below src lacks an equal below dest.
func (op *copyOp) checkTree(ctx context.Context, h host.Reader, src string, m host.Meta) ([]host.Change, error) {
	d, there, err := look(ctx, h, op.dest)
	switch {
	case err != nil:
		return nil, err
	case there && !d.Mode.IsDir():
		return nil, runtime.Hint(fmt.Errorf("is %s, want a directory", kindOf(d.Mode)), "move or remove what is in the way")
	case !there:
		if err := needDir(h, op.dest); err != nil {
			return nil, err
		}
	}
	op.tree, op.makeDest = host.Manifest{}, !there
	op.meta = host.Meta{Mode: m.Mode.Perm(), Owner: op.owner}
	err = host.Walk(h, src, func(name string, m host.Meta) error {
		if name == src {
			return nil
		}
		e, differs, err := op.entry(ctx, h, name, strings.TrimPrefix(name, strings.TrimSuffix(src, "/")+"/"), m)
		if differs {
			op.tree = append(op.tree, e)
		}
		return errors.Join(err, ctx.Err())
	})
	if err != nil || there && len(op.tree) == 0 {
		return nil, err
	}
	files, bytes, _ := op.tree.All().Totals()
	return []host.Change{want("tree", "", fmt.Sprintf("%d files, %d bytes of %s", files, bytes, op.src))}, nil
}

// entry describes the copy of one file, and whether it has still to be made.
func (op *copyOp) entry(ctx context.Context, h host.Reader, name, rel string, m host.Meta) (e host.Entry, differs bool, err error) {
	e = host.Entry{Name: rel, Meta: host.Meta{Mode: m.Mode.Type() | m.Mode.Perm(), Owner: op.owner, Size: m.Size}}
	switch {
	case m.Mode.IsRegular():
		if m.Size < 0 {
			runtime.Assume(ctx, "the size of "+name)
		}
		e.Content, err = contentOf(h, name)
	case m.Mode&fs.ModeSymlink != 0:
		e.Target, err = h.Readlink(name)
	case !m.Mode.IsDir():
		err = fmt.Errorf("%s is %s, which cannot be copied", name, kindOf(m.Mode))
	}
	if err != nil {
		return e, false, err
	}
	dest := path.Join(op.dest, rel)
	d, there, err := look(ctx, h, dest)
	switch {
	case err != nil || !there:
		return e, err == nil, err
	case d.Mode.Type() != m.Mode.Type():
		return e, false, runtime.Hint(fmt.Errorf("%s is %s, want %s", dest, kindOf(d.Mode), kindOf(m.Mode)), "move or remove what is in the way")
	}
	e.Owner = op.owner.Or(d.Owner)
	switch {
	case e.Owner != d.Owner:
		return e, true, nil
	case m.Mode.IsDir():
		return e, false, nil
	case e.Target != "":
		target, err := h.Readlink(dest)
		return e, target != e.Target, err
	case m.Mode.Perm() != d.Mode.Perm():
		return e, true, nil
	}
	same, err := sameContent(ctx, h, name, dest, m.Size, d.Size)
	return e, !same, err
}

func (op *copyOp) applyTree(ctx context.Context, h host.Host) error {
	if op.makeDest {
		if err := h.Mkdir(op.dest, op.meta); err != nil {
			return err
		}
	}
	if len(op.tree) == 0 {
		return nil
	}
	return h.WriteTree(ctx, op.dest, op.tree.All(), func(ctx context.Context, root *host.Root) error {
		for _, e := range op.tree {
			if err := copyEntry(ctx, h, root, e); err != nil {
				return fmt.Errorf("%s: %w", e.Name, err)
			}
		}
		return nil
	})
}

// copyEntry makes one file below root, which gets its name when it is as it should be and replaces what is there.
func copyEntry(ctx context.Context, h host.Reader, root *host.Root, e host.Entry) error {
	tmp := path.Join(path.Dir(e.Name), ".runbook-"+path.Base(e.Name))
	if fi, err := root.Lstat(e.Name); err == nil && e.Mode.IsDir() && fi.IsDir() {
		return finish(ctx, h, root, e.Name, e)
	}
	if err := root.RemoveAll(tmp); err != nil {
		return err
	}
	err := fillFile(ctx, root, tmp, e)
	if err == nil {
		err = finish(ctx, h, root, tmp, e)
	}
	if err == nil {
		err = root.Rename(tmp, e.Name)
	}
	if err != nil {
		root.RemoveAll(tmp)
	}
	return err
}

// fillFile makes a directory, a link, or a file that is on disk.
func fillFile(ctx context.Context, root *host.Root, name string, e host.Entry) error {
	switch {
	case e.Mode.IsDir():
		return root.Mkdir(name, 0o700)
	case e.Mode&fs.ModeSymlink != 0:
		return root.Symlink(e.Target, name)
	}
	r, err := e.Content.Reader()
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, untilDone{ctx, r})
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// finish sets the owner, then the mode, which a change of owner may clear.
func finish(ctx context.Context, h host.Reader, root *host.Root, name string, e host.Entry) error {
	if err := giveTo(ctx, h, root, name, e.Owner); err != nil || e.Mode&fs.ModeSymlink != 0 {
		return err
	}
	return root.Chmod(name, e.Mode.Perm())
}
