package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// ByHand is a machine that a person changes. It asks for each change, then looks whether it is there, and asks again as
// long as it is not. What Own says is the program's own it changes itself.
type ByHand struct {
	*Local
	// Await returns when a person says that the change is made, or true if the program is to make it. missing is what
	// the look before found wanting, nil at first. Its error is that of the change.
	Await func(ctx context.Context, missing error) (own bool, err error)
	Own   func(name string) bool
}

var _ Host = (*ByHand)(nil)

// change has a person do what do would, until look finds nothing wanting.
func (h *ByHand) change(ctx context.Context, do, look func() error) error {
	var missing error
	for {
		own, err := h.Await(ctx, missing)
		switch {
		case err != nil:
			return err
		case own:
			return do()
		}
		h.forget()
		if missing = look(); missing == nil {
			return nil
		}
	}
}

// at has a person do what do would to the file called name, unless it is the program's own.
func (h *ByHand) at(name string, do, look func() error) error {
	if h.Own(name) {
		return do()
	}
	return h.change(context.Background(), do, look)
}

// WriteFile is Host's.
func (h *ByHand) WriteFile(name string, c Content, m Meta) error {
	return h.at(name, func() error { return h.Local.WriteFile(name, c, m) }, func() error {
		if err := h.looks(name, m.Mode&^fs.ModeType, m, ""); err != nil {
			return err
		}
		want, _, err := new(Digests).Sum(context.Background(), c)
		if err != nil {
			return err
		}
		return h.holds(name, want)
	})
}

// holds compares the digest of a file.
func (h *ByHand) holds(name, want string) error {
	have, err := SHA256(context.Background(), h, name)
	if err == nil && have != want {
		err = guest("look", name, missed("sha256", want, have))
	}
	return err
}

// looks compares type, mode, owner and target with those of name itself.
func (h *ByHand) looks(name string, mode fs.FileMode, m Meta, target string) error {
	s, err := h.spot("look", name)
	if err != nil {
		return err
	}
	defer s.close()
	owner, err := h.ids(m.Owner)
	if err != nil {
		return s.error(err)
	}
	m.Mode, m.Size = mode, -1
	if err := s.assert(m, owner); err != nil {
		return err
	}
	return s.assertTarget(target)
}

// Mkdir is Host's.
func (h *ByHand) Mkdir(name string, m Meta) error {
	return h.at(name, func() error { return h.Local.Mkdir(name, m) },
		func() error { return h.looks(name, m.Mode&^fs.ModeType|fs.ModeDir, m, "") })
}

// Symlink is Host's.
func (h *ByHand) Symlink(target, name string, o Owner) error {
	return h.at(name, func() error { return h.Local.Symlink(target, name, o) },
		func() error { return h.looks(name, fs.ModeSymlink, Meta{Owner: o}, target) })
}

// SetMeta is Host's.
func (h *ByHand) SetMeta(name string, m Meta) error {
	was, err := h.Lstat(name)
	if err != nil {
		return err
	}
	return h.at(name, func() error { return h.Local.SetMeta(name, m) },
		func() error { return h.looks(name, m.Mode&^fs.ModeType|was.Mode.Type(), m, "") })
}

// Chown is Host's.
func (h *ByHand) Chown(name string, o Owner, files int) error {
	return h.at(name, func() error { return h.Local.Chown(name, o, files) }, func() error {
		n, _, err := Differ(h.Local, name, o)
		if err == nil && n > 0 {
			err = fmt.Errorf("did not take effect: %d of %d files still belong to others", n, max(n, files))
			err = guest("chown", name, err)
		}
		return err
	})
}

// Move is Host's.
func (h *ByHand) Move(src, dst string) error {
	was, err := h.inode(src)
	if err != nil {
		return err
	}
	return h.at(dst, func() error { return h.Local.Move(src, dst) }, func() error {
		if err := h.absent(src); err != nil {
			return err
		}
		is, err := h.inode(dst)
		if err == nil && is != was {
			err = guest("move", dst, errors.New("did not take effect: it is not what was moved"))
		}
		return err
	})
}

func (h *ByHand) inode(name string) (n inode, err error) {
	s, err := h.spot("move", name)
	if err != nil {
		return n, err
	}
	defer s.close()
	st, err := s.stat()
	return inode{uint64(st.Dev), st.Ino}, s.error(err)
}

func (h *ByHand) absent(name string) error {
	switch _, err := h.Lstat(name); {
	case err == nil:
		return guest("remove", name, errors.New("did not take effect: it is still there"))
	case absent(err):
		return nil
	default:
		return err
	}
}

// Remove is Host's.
func (h *ByHand) Remove(name string, files int) error {
	return h.at(name, func() error { return h.Local.Remove(name, files) }, func() error { return h.absent(name) })
}

// WriteTree is Host's. It also reads the files whose digests are known.
func (h *ByHand) WriteTree(ctx context.Context, dir string, m Entries, fill func(context.Context, *Root) error) error {
	if h.Own(dir) {
		return h.Local.WriteTree(ctx, dir, m, fill)
	}
	return h.change(ctx, func() error { return h.Local.WriteTree(ctx, dir, m, fill) }, func() error {
		if err := h.tree(dir, m); err != nil {
			return err
		}
		for e := range m {
			if e.Sum == "" || !e.Mode.IsRegular() {
				continue
			}
			if err := h.holds(path.Join(dir, e.Name), e.Sum); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *ByHand) tree(dir string, m Entries) error {
	root, err := h.openTree(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return h.assertTree(root, dir, m)
}

// Exec is Host's. Of what a command prints nothing is known.
func (h *ByHand) Exec(ctx context.Context, c Cmd) (res Result, err error) {
	err = h.change(ctx, func() (err error) {
		res, err = h.Local.Exec(ctx, c)
		return err
	}, func() error { return h.assertCmd(ctx, c) })
	if len(c.OK) > 0 && err == nil && !c.Succeeded(res) {
		res.Code = c.OK[0]
	}
	return res, err
}
