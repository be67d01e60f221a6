package host

import (
	"errors"
	"io/fs"
	"path"
	"syscall"
)

const (
	errNotExist = syscall.ENOENT
	errExist    = syscall.EEXIST
	errDir      = syscall.EISDIR
	errNotDir   = syscall.ENOTDIR
	errInvalid  = syscall.EINVAL
	errBusy     = syscall.EBUSY
	errAccess   = syscall.EACCES
	errPerm     = syscall.EPERM
)

// steps walks an overlay. missing stands in for a directory that is not there;
// if it is nil, that is an error.
type steps struct {
	o       *Overlay
	missing func() *node
}

func (w steps) root() *place {
	if w.o.top == nil {
		m, err := w.o.base.Lstat("/")
		if err != nil { // a base that is a few files may leave it out
			m = Meta{Mode: fs.ModeDir | 0o755, Owner: Owner{root, root}}
		}
		w.o.top = &node{meta: m, base: "/"}
	}
	return &place{node: w.o.top}
}

func (w steps) child(dir *place, name string) (*place, error) {
	if name == "." {
		return dir, nil
	}
	if !dir.mayHold() {
		return nil, errNotDir
	}
	if dir.meta.Mode.IsDir() && !w.o.may(dir.meta, search) {
		return nil, errAccess
	}
	if name == ".." {
		if dir.up == nil {
			return dir, nil
		}
		return dir.up, nil
	}
	n, err := w.o.kid(dir.node, name)
	if w.missing != nil && errors.Is(err, errNotExist) {
		n, err = w.missing(), nil
	}
	if err != nil {
		return nil, err
	}
	return &place{n, name, dir}, nil
}

// mayHold reports whether others may lie below n: in a directory, and where
// nobody knows that it is none.
func (n *node) mayHold() bool { return n.unknown || n.touched || n.meta.Mode.IsDir() }

// kid returns the node called name in a directory.
func (o *Overlay) kid(dir *node, name string) (*node, error) {
	switch k, ok := dir.kids[name]; {
	case ok && k == nil:
		return nil, errNotExist
	case ok:
		return k, nil
	case dir.unknown || dir.touched:
		return &node{unknown: true, touched: true}, nil
	case dir.base == "":
		return nil, errNotExist
	}
	base := path.Join(dir.base, name)
	m, err := o.base.Lstat(base)
	if err != nil {
		return nil, o.allowed(bare(err))
	}
	return &node{meta: m.given(dir.below), base: base, below: dir.below}, nil
}

func (w steps) link(at *place) (string, bool, error) {
	switch {
	case at.unknown || at.meta.Mode&fs.ModeSymlink == 0:
		return "", false, nil
	case at.base == "":
		return at.target, true, nil
	}
	target, err := w.o.base.Readlink(at.base)
	return target, true, err
}
