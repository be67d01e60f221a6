package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
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
	dir, base, old, err := o.spot(name)
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

// Mkdir is Host's.
func (o *Overlay) Mkdir(name string, m Meta) error {
	m.Mode = m.Mode&modeMask | fs.ModeDir
	return guest("mkdir", name, o.add(name, &node{meta: m}))
}

// Symlink is Host's.
func (o *Overlay) Symlink(target, name string, own Owner) error {
	if target == "" {
		return guest("symlink", name, errNotExist)
	}
	m := Meta{Mode: fs.ModeSymlink | fs.ModePerm, Owner: own, Size: int64(len(target))}
	return guest("symlink", name, o.add(name, &node{meta: m, target: target}))
}

// add puts n where nothing is.
func (o *Overlay) add(name string, n *node) error {
	dir, base, old, err := o.spot(name)
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

// fit gives n the owner that it would get in dir, or refuses it.
func (o *Overlay) fit(dir *place, n *node, own Owner) error {
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

// spot returns where name is or would be made; old is nil if it is not there.
func (o *Overlay) spot(name string) (dir *place, base string, old *place, err error) {
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
	if n != nil {
		n.changed = true
	}
	o.change()
	if strings.HasPrefix(dir.path()+"/", "/etc/") {
		clear(o.owners)
	}
}

// change forgets what was probed before.
func (o *Overlay) change() {
	o.changed = true
	clear(o.asked)
}

// suppose notes that something at p rests on what nobody can know.
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
	p.meta, p.changed = meta, true
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
	if err := o.mayGiveAll(name, p, own); err != nil {
		return err
	}
	o.suppose(p)
	p.pin()
	p.give(own)
	o.change()
	return nil
}

func (n *node) give(own Owner) {
	n.meta, n.below, n.changed = n.meta.given(own), own.Or(n.below), true
	for _, kid := range n.kids {
		if kid != nil {
			kid.give(own)
		}
	}
}
