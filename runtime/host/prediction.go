package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"
	"time"
)

// modeMask is what SetMeta and its like set of a mode.
const modeMask = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// WriteFile is Host's.
func (o *Overlay) WriteFile(name string, c Content, m Meta) error {
	if c.Open == nil {
		m.Size = int64(len(c.Text))
	}
	m.Mode &= modeMask
	return guest("write", name, o.writeFile(name, &node{meta: m, content: c}))
}

func (o *Overlay) writeFile(name string, n *node) error {
	dir, base, old, err := o.target(name)
	if err != nil {
		return err
	}
	if old != nil && !old.unknown && old.meta.Mode.IsDir() {
		return errExist
	}
	own, err := o.owner(n.meta.Owner)
	if err != nil {
		return err
	}
	if o.isRoot() && old != nil && !old.unknown && old.meta.Mode.IsRegular() {
		own = own.Or(old.meta.Owner)
	}
	return o.replace(dir, base, old, n, own)
}

// Mkdir is Host's.
func (o *Overlay) Mkdir(name string, m Meta) error {
	m.Mode = m.Mode&modeMask | fs.ModeDir
	return guest("mkdir", name, o.add(name, &node{meta: m}))
}

// Symlink is Host's.
func (o *Overlay) Symlink(target, name string, own Owner) error {
	if err := checkTarget(target); err != nil {
		return guest("symlink", name, err)
	}
	m := Meta{Mode: fs.ModeSymlink | fs.ModePerm, Owner: own, Size: int64(len(target))}
	return guest("symlink", name, o.add(name, &node{meta: m, target: target}))
}

// add puts n where nothing is.
func (o *Overlay) add(name string, n *node) error {
	dir, base, old, err := o.target(name)
	if err != nil {
		return err
	}
	if old != nil && !old.unknown {
		return errExist
	}
	own, err := o.owner(n.meta.Owner)
	if err != nil {
		return err
	}
	if err := o.fit(dir, n, own); err != nil {
		return err
	}
	o.suppose(dir)
	o.put(dir, base, n)
	return nil
}

// replace puts n where old is, nil if nothing is there, as far as self may.
func (o *Overlay) replace(dir *place, base string, old *place, n *node, own Owner) error {
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

// fit gives n the owner that it would get in dir, or refuses it.
func (o *Overlay) fit(dir *place, n *node, own Owner) error {
	if err := o.writable(dir); err != nil {
		return err
	}
	if err := o.mayAdd(dir); err != nil {
		return err
	}
	n.meta.Owner = o.newOwner(dir)
	if err := o.mayGive(n.meta, own); err != nil {
		return err
	}
	n.meta.Owner = own.Or(n.meta.Owner)
	return o.mayMode(n.meta, n.meta.Mode)
}

// newOwner is who gets what is made in dir: self, but a setgid directory hands
// on its group; see inode(7).
func (o *Overlay) newOwner(dir *place) Owner {
	own := o.self
	if dir.meta.Mode&fs.ModeSetgid != 0 && !dir.unknown {
		own.Group = dir.meta.Group
	}
	return own
}

// target returns where name is or would be made; old is nil if it is not there.
func (o *Overlay) target(name string) (dir *place, base string, old *place, err error) {
	if dir, base, err = o.parent(o.making(), name); err != nil {
		return dir, base, nil, err
	}
	old, err = o.present(dir, base)
	return dir, base, old, err
}

// making walks to where something is made: a missing directory is an error
// only if no earlier command can have made it.
func (o *Overlay) making() steps {
	w := steps{o: o}
	if o.mayMake {
		w.missing = func() *node { return &node{unknown: true} }
	}
	return w
}

// present returns what is called base in dir, nil if nothing is.
func (o *Overlay) present(dir *place, base string) (*place, error) {
	p, err := steps{o: o}.child(dir, base)
	if errors.Is(err, errNotExist) {
		return nil, nil
	}
	return p, err
}

func (o *Overlay) parent(w steps, name string) (dir *place, base string, err error) {
	dir, base, err = walk(w, name, false)
	if err == nil && !dir.mayHold() {
		err = errNotDir
	}
	return dir, base, err
}

// owner returns own by the names that Lstat reports, and refuses who is not known.
func (o *Overlay) owner(own Owner) (Owner, error) {
	if v, ok := o.owners[own]; ok {
		return v, nil
	}
	v, err := own.Resolve(context.Background(), o)
	if err == nil {
		o.owners[own] = v
	}
	return v, err
}

// put makes n, or nothing if it is nil, what is called base in dir.
func (o *Overlay) put(dir *place, base string, n *node) {
	dir.pin()
	dir.put(base, n)
	dir.at = time.Now()
	if n != nil {
		n.changed, n.at = true, dir.at
	}
	o.change()
	if strings.HasPrefix(dir.path()+"/", "/etc/") {
		clear(o.owners)
	}
	if len(o.held) > 0 {
		o.release(path.Join(dir.path(), base), false)
	}
}

// change forgets what was probed before.
func (o *Overlay) change() {
	o.changed = true
	clear(o.asked)
}

// suppose lists as assumed that what is at p is unknown.
func (o *Overlay) suppose(p *place) {
	for q := p; q != nil; q = q.up {
		if q.unknown || q.touched {
			o.assume(fmt.Sprintf("%s is as an earlier command would leave it", p.path()))
			return
		}
	}
}

// SetMeta is Host's.
func (o *Overlay) SetMeta(name string, m Meta) error {
	return guest("chmod", name, o.setMeta(name, m))
}

func (o *Overlay) setMeta(name string, m Meta) error {
	p, err := o.find(name, false)
	if err != nil {
		return err
	}
	if !p.unknown && p.meta.Mode&fs.ModeSymlink != 0 {
		return errLink
	}
	if err := o.writable(p); err != nil {
		return err
	}
	own, err := o.owner(m.Owner)
	if err != nil {
		return err
	}
	if err := o.mayGive(p.meta, own); err != nil && !p.unknown {
		return err
	}
	if err := o.mayChmod(p.node); err != nil {
		return err
	}
	meta := p.meta.given(own)
	meta.Mode = meta.Mode&^modeMask | m.Mode&modeMask
	if err := o.mayMode(meta, meta.Mode); err != nil {
		return err
	}
	o.suppose(p)
	p.pin()
	p.meta, p.changed, p.at = meta, true, time.Now()
	o.change()
	return nil
}

// Chown is Host's. It is as dear as what the overlay holds below name, not
// what the base does, unless permissions must be looked at.
func (o *Overlay) Chown(name string, own Owner, _ int) error {
	p, err := o.find(name, false)
	if err != nil {
		return guest("chown", name, err)
	}
	if own, err = o.owner(own); err != nil {
		return guest("chown", name, err)
	}
	links, err := treeLinks(o, name, func(string, Seen) {})
	if err != nil && !errors.Is(err, ErrUnknown) {
		return err
	}
	if err := o.mayGiveAll(name, p, own); err != nil {
		return err
	}
	o.suppose(p)
	spared, err := o.spared(links)
	if err != nil {
		return guest("chown", name, err)
	}
	p.pin()
	p.changed = true
	p.give(own)
	for name, m := range spared {
		kept, err := o.find(name, false)
		if err != nil {
			return guest("chown", name, err)
		}
		kept.pin()
		kept.meta, kept.below = m, Owner{}
	}
	o.change()
	return nil
}

// spared are the files in a tree that keep their owner, because they have names outside of it.
func (o *Overlay) spared(links linkage) (map[string]Meta, error) {
	all := map[string]Meta{}
	for name, out := range links.outside {
		if !out {
			continue
		}
		p, err := o.find(name, false)
		if err != nil {
			return nil, err
		}
		all[name] = p.meta
		if o.changed {
			o.assume(name + " still has names elsewhere")
		}
	}
	return all, nil
}

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
	case Below(ddir.path(), p.path()):
		return guest("move", src, errInvalid)
	case o.mountOf(sdir).dir != o.mountOf(ddir).dir:
		return guest("move", src, syscall.EXDEV)
	}
	if err := o.writable(ddir); err != nil {
		return guest("move", src, err)
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

// Below reports whether name is dir or lies below it; both are absolute and clean.
func Below(name, dir string) bool {
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
	if err := o.writable(dir); err != nil {
		return guest("remove", name, err)
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
