package builtins

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/host/tree"
)

var copyBuiltin = &runtime.Builtin{
	Name: "copy",
	Args: append([]runtime.Arg{
		param("src", runtime.PathOrHere, "", "a file, or a directory, which is copied with all below it"),
		param("dest", "path", "", "the copy's own name; its directory must exist"),
		param("mode", "int", "that of src", "permission bits of the copy of a file; of here() they are 0o644 if none are given"),
	}, ownerParams()...),
	Summary: "make a file or directory hold what another one holds",
	Detail: []string{
		"It is done if the copy has the same bytes and mode; times do not matter. A symbolic link given as src is followed, links below a directory are copied as links.",
		"A text of at most 1 MiB that lies beside the runbook is shown as write() shows it.",
		"Of a directory, only what differs is written, as one effect; what else lies in dest stays, and so do the modes of directories that are there.",
	},
	Example: `copy("/etc/passwd", "/srv/passwd.bak", mode=0o600)`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		op := copyOp{mode: noMode, owner: ownership{user: c.User()}}
		var dest runtime.Path
		if err := c.Unpack("src", &op.src, "dest", &dest, "mode", &op.mode, "owner", runtime.Account(&op.owner.User),
			"group", runtime.Account(&op.owner.Group)); err != nil {
			return nil, "", err
		}
		op.dest = string(dest)
		src := op.src.path
		if op.src.here == nil && (src == op.dest || strings.HasPrefix(op.dest, strings.TrimSuffix(src, "/")+"/")) {
			return nil, "", fmt.Errorf("cannot copy %s to %s", src, dest)
		}
		return op, op.dest, nil
	},
}

const noMode = fs.ModeIrregular // mode= was not given

// copyOp is a file or directory that must hold what another one holds.
type copyOp struct {
	src   source
	dest  string
	mode  fs.FileMode
	owner ownership
}

func (op copyOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	owner, err := op.owner.resolve(ctx, h)
	if err != nil {
		return nil, err
	}
	if f := op.src.here; f != nil {
		return op.checkFile(ctx, h, host.Meta{Mode: 0o644, Size: f.Size, Owner: owner})
	}
	real, m, err := follow(h, op.src.path)
	switch {
	case isMissing(err):
		return nil, runtime.Hint(fmt.Errorf("%s is not there", op.src.path),
			"see where the media are mounted, or download() it first")
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, op.src.path+" is a file")
		return op.checkFile(ctx, h, host.Meta{Mode: 0o644, Size: -1, Owner: owner})
	case err != nil:
		return nil, err
	case m.Mode.IsDir() && op.mode != noMode:
		return nil, runtime.Hint(errors.New("argument \"mode\": got one for a directory"),
			"leave it out: files keep their modes")
	case m.Mode.IsDir():
		return copyTree{op.src.path, real, op.dest, owner}.check(ctx, h, m)
	case !m.Mode.IsRegular():
		return nil, fmt.Errorf("%s is %s, want a file or directory", op.src.path, kindOf(m.Mode))
	}
	m.Owner = owner
	return op.checkFile(ctx, h, m)
}

// checkFile compares the copy with a file described by src, whose owner is that of
// the copy.
func (op copyOp) checkFile(ctx context.Context, h host.Reader, src host.Meta) ([]runtime.Action, error) {
	m, there, err := look(ctx, h, op.dest)
	if err != nil {
		return nil, err
	}
	if there && m.Mode.IsDir() {
		name := path.Join(op.dest, path.Base(op.src.name()))
		return nil, runtime.Hint(errors.New("is a directory, want the name of the copy"), `name the copy itself: "`+name+`"`)
	}
	if err := needPlace(h, op.dest, m, there); err != nil {
		return nil, err
	}
	meta := host.Meta{Mode: src.Mode.Perm(), Owner: src.Owner, Size: src.Size}
	if op.mode != noMode {
		meta.Mode = op.mode
	}
	if text, ok := op.src.text(); ok { // shown as that, for who reviews it
		actions, err := writeOp{path: op.dest, content: text, mode: meta.Mode, owner: op.owner}.Check(ctx, h)
		for i, a := range actions {
			if a.Do != nil {
				actions[i].Do = reading(a.Do, runtime.Read{Here: op.src.here})
			}
		}
		return actions, err
	}
	content, err := contentOf(h, op.src)
	if err != nil {
		return nil, err
	}
	write := reading(writeFile(op.dest, content, meta), runtime.Read{Path: op.src.path, Here: op.src.here})
	copied := change("content", "", "copy of "+op.src.String())
	if !there {
		return runtime.Actions(write, append([]host.Change{copied}, newMeta(meta)...)...), nil
	}
	changes := metaChanges(m, meta)
	same, err := sameContent(ctx, h, op.src, op.dest, src.Size, m.Size)
	if err != nil || same {
		return runtime.Actions(setMeta(op.dest, meta), changes...), err
	}
	copied.From = fmt.Sprintf("%d other bytes", m.Size)
	return runtime.Actions(write, append([]host.Change{copied}, changes...)...), nil
}

// A copyTree is a directory that must hold what another one holds.
type copyTree struct {
	shown, src, dest string // shown is src as the script names it
	owner            host.Owner
}

// check lists what lies below src, a directory described by m, and has no equal
// below dest.
func (t copyTree) check(ctx context.Context, h host.Reader, m host.Meta) ([]runtime.Action, error) {
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
	read := runtime.Read{Path: t.shown, Files: []string{}}
	for _, e := range missing {
		if e.Mode.IsRegular() {
			read.Files = append(read.Files, path.Join(t.src, e.Name))
		}
	}
	write := func(ctx context.Context, h host.Host) error {
		if !there {
			if err := h.Mkdir(t.dest, host.Meta{Mode: m.Mode.Perm(), Owner: t.owner}); err != nil {
				return err
			}
		}
		if len(missing) == 0 {
			return nil
		}
		fill := func(ctx context.Context, root *host.Root) error { return copyEntries(ctx, h, root, missing) }
		return runtime.Reading(h, read).WriteTree(ctx, t.dest, missing.All(), fill)
	}
	files, bytes, _ := missing.All().Totals()
	return runtime.Actions(write, change("tree", "", fmt.Sprintf("%d files, %d bytes of %s", files, bytes, t.shown))), nil
}

// entry returns the copy of one file, and whether what dest has in its place differs.
func (t copyTree) entry(ctx context.Context, h host.Reader, name string,
	m host.Meta) (e host.Entry, differs bool, err error) {
	rel := strings.TrimPrefix(name, strings.TrimSuffix(t.src, "/")+"/")
	e = host.Entry{Name: rel, Meta: host.Meta{Mode: m.Mode.Type() | m.Mode.Perm(), Owner: t.owner, Size: m.Size}}
	switch {
	case m.Mode.IsRegular():
		if m.Size < 0 {
			runtime.Assume(ctx, "the size of "+name)
		}
		e.Content, err = contentOf(h, source{path: name})
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
		return e, false, runtime.Hint(fmt.Errorf("%s is %s, want %s", dest, kindOf(d.Mode), kindOf(m.Mode)),
			"move or remove what is in the way")
	}
	e.Owner = t.owner.Or(d.Owner)
	switch {
	case m.Mode.IsDir():
		e.Mode = d.Mode.Type() | d.Mode.Perm()
		return e, e.Owner != d.Owner, nil
	case e.Owner != d.Owner:
		return e, true, nil
	case e.Target != "":
		target, err := h.Readlink(dest)
		return e, target != e.Target, err
	case m.Mode.Perm() != d.Mode.Perm():
		return e, true, nil
	}
	same, err := sameContent(ctx, h, source{path: name}, dest, m.Size, d.Size)
	return e, !same, err
}

// copyEntries makes entries below root.
func copyEntries(ctx context.Context, h host.Reader, root *host.Root, entries host.Manifest) error {
	w, err := tree.New(root, tree.Options{Partial: partialCopy})
	if err != nil {
		return err
	}
	defer w.Close()
	c := copier{h: h, root: root, tree: w, dirs: map[string]bool{}}
	for _, e := range entries {
		if err = c.add(ctx, e); err != nil {
			break
		}
	}
	if err == nil {
		err = c.commit()
	}
	if err == nil {
		err = w.Commit(slices.Collect(maps.Keys(c.dirs))...)
	}
	for _, name := range c.batch {
		w.Discard(name)
	}
	return err
}

// partialCopy returns the name of a copy that is not complete, beside its place. It
// is a digest, because that of the file may be as long as names can be.
func partialCopy(name string) string {
	sum := sha256.Sum256([]byte(path.Base(name)))
	return path.Join(path.Dir(name), fmt.Sprintf(".runbook-%x", sum[:12]))
}

const copyBatch = 1000 // files that are made durable at once

// A copier copies files below root.
type copier struct {
	h     host.Reader
	root  *host.Root
	tree  *tree.Writer
	batch []string        // files that have no name yet
	dirs  map[string]bool // that get new names
}

// add makes one entry. A file gets its name when the batch is committed.
func (c *copier) add(ctx context.Context, e host.Entry) error {
	uid, gid, err := e.Owner.IDs(ctx, c.h)
	if err != nil {
		return err
	}
	c.dirs[path.Dir(e.Name)] = true
	a := tree.Attr{Mode: e.Mode.Perm(), UID: uid, GID: gid}
	switch {
	case e.Mode.IsDir():
		made, err := c.tree.Mkdir(e.Name, a)
		if err == nil && !made {
			err = c.root.Lchown(e.Name, uid, gid)
		}
		return err
	case e.Mode&fs.ModeSymlink != 0:
		return c.tree.Symlink(e.Target, e.Name, a)
	}
	r, err := e.Content.Reader()
	if err != nil {
		return tree.Wrap(e.Name, err)
	}
	defer r.Close()
	f, err := c.tree.Create(e.Name)
	if err != nil {
		return err
	}
	c.batch = append(c.batch, e.Name)
	_, err = io.Copy(f, untilDone{ctx, r})
	if err := c.tree.Finish(f, a, err); err != nil {
		return tree.Wrap(e.Name, err)
	}
	if len(c.batch) < copyBatch {
		return nil
	}
	return c.commit()
}

// commit makes the files of the batch durable, then gives them their names.
func (c *copier) commit() error {
	if err := c.tree.Commit(); err != nil {
		return err
	}
	for len(c.batch) > 0 {
		if err := c.tree.Rename(c.batch[0]); err != nil {
			return err
		}
		c.batch = c.batch[1:]
	}
	return nil
}
