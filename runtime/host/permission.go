package host

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// The kernel's rules for those who are not root: path_resolution(7),
// unlink(2), rename(2), chmod(2), chown(2).

const (
	search fs.FileMode = 1
	write  fs.FileMode = 2
	read   fs.FileMode = 4
)

func (o *Overlay) isRoot() bool { return o.self.User == root }

// may reports whether self may do with a file what bits say.
func (o *Overlay) may(m Meta, bits fs.FileMode) bool {
	return o.isRoot() || m.allows(o.self.User, o.member, bits)
}

// allows reports whether the mode of a file lets a user do what bits say.
func (m Meta) allows(user string, member func(group string) bool, bits fs.FileMode) bool {
	perm := m.Mode.Perm()
	switch {
	case m.User == user:
		perm >>= 6
	case member(m.Group):
		perm >>= 3
	}
	return perm&bits == bits
}

func (o *Overlay) member(group string) bool {
	if o.groups == nil {
		o.groups = append(groupsOf(o.base, o.self.User), o.self.Group)
	}
	return group != "" && slices.Contains(o.groups, group)
}

// groupsOf returns the groups of a user; whom r does not know is in none.
func groupsOf(r Reader, user string) []string {
	ctx := context.Background()
	names, _ := r.Fact(ctx, Fact{Groups, user})
	primary, _ := r.Fact(ctx, Fact{Primary, user})
	return append(strings.Split(names, ","), primary)
}

// MayRead returns an error if user, an account or "" for whoever runs, may not read what name leads to. Where root
// reads a file of an account to write it anew for that account, another name of a file of somebody else must not lie
// there. It goes by owners and modes; a file that is not there is no error.
func MayRead(r Reader, name, user string) error {
	if user == "" || user == root || user == "0" {
		return nil
	}
	real, err := r.Resolve(name, true)
	if absent(err) || errors.Is(err, ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	groups := groupsOf(r, user)
	member := func(group string) bool { return group != "" && slices.Contains(groups, group) }
	bits := read
	for ; ; real = path.Dir(real) {
		switch m, err := r.Lstat(real); {
		case absent(err), errors.Is(err, ErrUnknown):
			return nil
		case err != nil:
			return err
		case !m.allows(user, member, bits):
			return hinted{guest("open", name, errAccess),
				user + " may not read it: see who made it, and whether it should be there"}
		}
		if bits = search; real == "/" {
			return nil
		}
	}
}

// readable refuses to read what self may not read, or what is unknown.
func (o *Overlay) readable(n *node) error {
	switch {
	case n.unknown:
		return ErrUnknown
	case !o.may(n.meta, read):
		return errAccess
	}
	return nil
}

// allowed is about an answer of the base after the overlay has found that self
// may ask: if the base refuses, an earlier step would have opened what it
// closes, and what is behind cannot be known.
func (o *Overlay) allowed(err error) error {
	if errors.Is(err, fs.ErrPermission) && o.changed {
		return ErrUnknown
	}
	return err
}

// mayAdd refuses a new name in dir.
func (o *Overlay) mayAdd(dir *place) error {
	if !dir.meta.Mode.IsDir() || o.may(dir.meta, write|search) { // what may be a directory may let us, too
		return nil
	}
	return errAccess
}

// mayDrop refuses to take old out of dir. In a sticky directory only the owner
// of the file or of the directory may.
func (o *Overlay) mayDrop(dir *place, old *node) error {
	if err := o.mayAdd(dir); err != nil || dir.unknown || old.unknown {
		return err
	}
	sticky := dir.meta.Mode&fs.ModeSticky != 0
	if sticky && !o.isRoot() && old.meta.User != o.self.User && dir.meta.User != o.self.User {
		return errPerm
	}
	return nil
}

// mayMove refuses to move what is at p to another directory.
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

// mayGive refuses to give a file to somebody: only root may give to another
// user, and only an owner to a group of his.
func (o *Overlay) mayGive(m Meta, to Owner) error {
	to = to.Or(m.Owner)
	switch {
	case o.isRoot(), to == m.Owner:
		return nil
	case to.User != m.User, m.User != o.self.User, !o.member(to.Group):
		return errPerm
	}
	return nil
}

// mayChmod refuses to change the mode of what belongs to another.
func (o *Overlay) mayChmod(n *node) error {
	if o.isRoot() || n.unknown || n.meta.User == o.self.User {
		return nil
	}
	return errPerm
}

// mayMode refuses a setgid bit that the kernel would drop without a word.
func (o *Overlay) mayMode(m Meta, mode fs.FileMode) error {
	if mode&fs.ModeSetgid == 0 || o.isRoot() || o.member(m.Group) {
		return nil
	}
	want := modeBits(mode)
	return missed("mode", octal(want), octal(modeBits(mode&^fs.ModeSetgid)))
}

// mayDropAll refuses to remove what is at p, in the order in which Local does
// it. The name is the one that errors tell.
func (o *Overlay) mayDropAll(name string, p *place) error {
	if o.isRoot() || p.unknown {
		return nil
	}
	if err := o.mayDrop(p.up, p.node); err != nil {
		return guest("remove", name, err)
	}
	if !p.meta.Mode.IsDir() || p.touched {
		return nil
	}
	if !o.may(p.meta, read) {
		return guest("remove", name, ErrUnknown) // if it is empty, it can be removed unread
	}
	return o.kids("remove", name, p, o.mayDropAll)
}

// mayGiveAll refuses to give what is at p and below.
func (o *Overlay) mayGiveAll(name string, p *place, to Owner) error {
	if o.isRoot() || p.unknown {
		return nil
	}
	if err := o.mayGive(p.meta, to); err != nil {
		return guest("chown", name, err)
	}
	if !p.meta.Mode.IsDir() || p.touched {
		return nil
	}
	if err := o.readable(p.node); err != nil {
		return guest("chown", name, err)
	}
	return o.kids("chown", name, p, func(name string, kid *place) error { return o.mayGiveAll(name, kid, to) })
}

// kids calls f for what lies in the directory p, in order.
func (o *Overlay) kids(op, name string, p *place, f func(string, *place) error) error {
	names, err := o.list(p.node)
	if err != nil {
		return guest(op, name, err)
	}
	for _, s := range names {
		kid, err := steps{o: o}.child(p, s)
		if err != nil {
			return guest(op, path.Join(name, s), err)
		}
		if err := f(path.Join(name, s), kid); err != nil {
			return err
		}
	}
	return nil
}
