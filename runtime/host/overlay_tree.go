package host

import (
	"context"
	"io/fs"
	"path"
	"strings"
)

// Move is Host's. What the base shows below src goes along without being read.
func (o *Overlay) Move(src, dst string) error {
	sdir, sbase, err := o.parent(steps{o: o}, src)
	if err != nil {
		return guest("move", src, err)
	}
	ddir, dbase, err := o.parent(o.making(), dst)
	if err != nil {
		return guest("move", dst, err)
	}
	p, err := steps{o: o}.child(sdir, sbase)
	if err != nil {
		return guest("move", src, err)
	}
	switch old, err := o.present(ddir, dbase); {
	case err != nil:
		return guest("move", dst, err)
	case old != nil && !old.unknown:
		return guest("move", dst, errExist)
	case sbase == ".":
		return guest("move", src, errBusy)
	case below(ddir.path(), p.path()):
		return guest("move", src, errInvalid)
	}
	if err := o.mayMove(sdir, p, ddir); err != nil {
		return guest("move", src, err)
	}
	o.suppose(p)
	o.suppose(ddir)
	p.pin()
	n := p.node
	o.put(sdir, sbase, nil)
	o.put(ddir, dbase, n)
	return nil
}

func (o *Overlay) mayMove(from, p, to *place) error {
	if err := o.mayDrop(from, p.node); err != nil {
		return err
	}
	if err := o.mayAdd(to); err != nil {
		return err
	}
	// A directory that changes its parent has its ".." rewritten.
	if p.meta.Mode.IsDir() && !p.unknown && from.path() != to.path() && !o.may(p.meta, write) {
		return errAccess
	}
	return nil
}

// below reports whether name is dir or lies below it.
func below(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

// Remove is Host's.
func (o *Overlay) Remove(name string, _ int) error {
	dir, base, err := o.parent(steps{o: o}, name)
	var p *place
	if err == nil {
		p, err = steps{o: o}.child(dir, base)
	}
	switch {
	case absent(err):
		return nil
	case err != nil:
		return guest("remove", name, err)
	case base == ".":
		return guest("remove", name, errBusy)
	}
	if err := o.mayDropAll(name, p); err != nil {
		return err
	}
	o.suppose(p)
	o.put(dir, base, nil)
	return nil
}

// WriteTree believes m and does not call fill.
func (o *Overlay) WriteTree(ctx context.Context, dir string, m Entries, _ func(context.Context, *Root) error) error {
	if err := m.check(o, dir); err != nil {
		return err
	}
	for e := range m {
		if ctx.Err() != nil {
			return guest("tree", dir, ctx.Err())
		}
		name := path.Join(dir, e.Name)
		if e.Foresee != nil {
			e.Content = e.Foresee()
		}
		if e.Mode.IsRegular() && e.Size == 0 && e.Content.Open == nil {
			e.Content.Open = Bytes(nil).Reader
		}
		if err := o.believe(steps{o: o}, name, e, Owner{}); err != nil {
			return guest("tree", name, err)
		}
	}
	return nil
}

// believe makes e what is called name. A directory that is there stays as it is.
func (o *Overlay) believe(w steps, name string, e Entry, maker Owner) error {
	dir, base, err := o.parent(w, name)
	if err != nil {
		return err
	}
	old, err := o.present(dir, base)
	if err != nil {
		return err
	}
	if made, err := o.stays(name, e, old, maker); made || err != nil {
		return err
	}
	own, err := o.owner(e.Owner)
	if err != nil {
		return err
	}
	n := &node{meta: e.Meta, content: e.Content, target: e.Target}
	n.settle(name)
	if maker != (Owner{}) {
		if n.meta.Mode.Perm() == 0 { // a command's umask is not for us to know
			n.meta.Mode |= usual(n.meta.Mode)
		}
		n.touched = n.touched || old != nil && old.unknown && e.Mode.IsDir()
		n.meta.Owner = own.Or(maker)
		dir.exist(maker)
		o.put(dir, base, n)
		return nil
	}
	if err := o.fit(dir, n, own); err != nil {
		return err
	}
	if old != nil {
		if err := o.mayDrop(dir, old.node); err != nil {
			return err
		}
	}
	o.suppose(dir)
	o.put(dir, base, n)
	return nil
}

// usual are the permissions of what most programs make.
func usual(m fs.FileMode) fs.FileMode {
	if m.IsDir() {
		return 0o755
	}
	return 0o644
}

// exist turns directories that may be there into such that are, because a
// command makes something in them; what else they hold stays unknown.
func (p *place) exist(maker Owner) {
	for ; p != nil; p = p.up {
		if p.unknown {
			p.unknown, p.touched, p.changed = false, true, true
			p.meta = Meta{Mode: fs.ModeDir | 0o755, Owner: maker}
		}
	}
}

// stays reports whether e is there already: a directory stays as it is and,
// for commands, so does a link that leads to one.
func (o *Overlay) stays(name string, e Entry, old *place, maker Owner) (bool, error) {
	switch {
	case old == nil || old.unknown:
		return false, nil
	case old.meta.Mode.IsDir() && !e.Mode.IsDir() && e.Mode&fs.ModeIrregular == 0:
		return false, errDir
	case old.meta.Mode&fs.ModeSymlink != 0 && e.Mode.IsDir() && maker != (Owner{}):
		p, err := o.find(name, true)
		return err == nil && (p.unknown || p.meta.Mode.IsDir()), nil
	}
	return old.meta.Mode.IsDir(), nil
}

// settle completes what was declared of a file called name: without content
// that is unknown, and so is a size that was not told.
func (n *node) settle(name string) {
	if n.meta.Mode&fs.ModeIrregular != 0 { // of any type: it looks like a file, but may have others below
		n.meta.Mode &^= fs.ModeIrregular
		n.touched = true
	}
	switch {
	case n.meta.Mode&fs.ModeSymlink != 0:
		n.meta.Mode |= fs.ModePerm
		n.meta.Size = int64(len(n.target))
	case !n.meta.Mode.IsRegular() || n.content.Open != nil:
	case n.content.Text != nil:
		n.meta.Size = int64(len(n.content.Text))
	default:
		n.content = Unknown(name)
		if n.meta.Size == 0 {
			n.meta.Size = -1
		}
	}
}
