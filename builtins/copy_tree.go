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

// A copyTree is a directory that holds what another one holds.
type copyTree struct {
	shown, src, dest string // shown is src as the script names it
	owner            host.Owner
}

// check lists what below src, of which m is known, lacks an equal below dest.
func (t copyTree) check(ctx context.Context, h host.Reader, m host.Meta) (todo []runtime.Action, err error) {
	d, there, err := look(ctx, h, t.dest)
	switch {
	case err != nil:
		return nil, err
	case there && !d.Mode.IsDir():
		return nil, inTheWay(d, "a directory")
	case !there:
		if err := needDir(h, t.dest); err != nil {
			return nil, err
		}
	}
	var missing host.Manifest
	err = host.Walk(h, t.src, func(name string, m host.Meta) error {
		if name == t.src {
			return nil
		}
		e, differs, err := t.entry(ctx, h, name, m)
		if differs {
			missing = append(missing, e)
		}
		return errors.Join(err, ctx.Err())
	})
	if err != nil || there && len(missing) == 0 {
		return nil, err
	}
	made := func(ctx context.Context, h host.Host) error {
		if !there {
			if err := h.Mkdir(t.dest, host.Meta{Mode: m.Mode.Perm(), Owner: t.owner}); err != nil {
				return err
			}
		}
		if len(missing) == 0 {
			return nil
		}
		return h.WriteTree(ctx, t.dest, missing.All(), func(ctx context.Context, root *host.Root) error {
			return copyEntries(ctx, h, root, missing)
		})
	}
	files, bytes, _ := missing.All().Totals()
	return runtime.Actions(made, want("tree", "", fmt.Sprintf("%d files, %d bytes of %s", files, bytes, t.shown))), nil
}

// entry describes the copy of one file, and whether it has still to be made.
func (t copyTree) entry(ctx context.Context, h host.Reader, name string, m host.Meta) (e host.Entry, differs bool, err error) {
	rel := strings.TrimPrefix(name, strings.TrimSuffix(t.src, "/")+"/")
	e = host.Entry{Name: rel, Meta: host.Meta{Mode: m.Mode.Type() | m.Mode.Perm(), Owner: t.owner, Size: m.Size}}
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
	dest := path.Join(t.dest, rel)
	d, there, err := look(ctx, h, dest)
	switch {
	case err != nil || !there:
		return e, err == nil, err
	case d.Mode.Type() != m.Mode.Type():
		return e, false, runtime.Hint(fmt.Errorf("%s is %s, want %s", dest, kindOf(d.Mode), kindOf(m.Mode)), "move or remove what is in the way")
	}
	e.Owner = t.owner.Or(d.Owner)
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

func copyEntries(ctx context.Context, h host.Reader, root *host.Root, entries host.Manifest) error {
	for _, e := range entries {
		if err := copyEntry(ctx, h, root, e); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	return nil
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
