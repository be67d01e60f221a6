package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Chown gives only what differs: giving a file to its owner would still clear
// its setuid bit. It holds every directory open on its way down, so that no
// link planted there leads it elsewhere.
func (l *Local) Chown(name string, o Owner, files int) error {
	s, err := l.spot("chown", name)
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := s.stat(); err != nil {
		return s.error(err)
	}
	owner, err := l.ids(o)
	if err != nil {
		return s.error(err)
	}
	links, err := treeLinks(l, name, func(string, Seen) {})
	if err != nil {
		return err
	}
	defer l.forget()
	if err := s.give(owner); err != nil {
		return s.error(err)
	}
	if err := s.each(func(kid *spot) error { return kid.giveAll(owner, links) }); err != nil {
		return err
	}
	l.forget()
	switch n, _, err := Differ(l, name, o); {
	case err != nil:
		return err
	case n > 0:
		return s.error(fmt.Errorf("did not take effect: %d of %d files still belong to others", n, max(n, files)))
	}
	return nil
}

// giveAll gives what is at s, then what is below it, in the order of names; but for files with names outside the tree.
func (s *spot) giveAll(o ids, links linkage) error {
	if err := s.giveUnless(o, func(st *unix.Stat_t) bool {
		several := st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink > 1
		return several && !links.inside[inode{uint64(st.Dev), st.Ino}]
	}); err != nil {
		return s.error(err)
	}
	return s.each(func(kid *spot) error { return kid.giveAll(o, links) })
}

// each calls f for what lies in the directory at s, if it is one.
func (s *spot) each(f func(*spot) error) error {
	st, err := s.stat()
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return s.error(err)
	}
	dir, names, err := s.below()
	if err != nil {
		return s.error(err)
	}
	defer dir.Close()
	slices.Sort(names)
	for _, n := range names {
		kid := &spot{int(dir.Fd()), filepath.Join(s.dir, s.base), n, s.op, filepath.Join(s.name, n)}
		if err := f(kid); err != nil {
			return err
		}
	}
	return nil
}

// Remove is Host's.
func (l *Local) Remove(name string, _ int) error {
	s, err := l.spot("remove", name)
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.close()
	if s.base == "." {
		return s.error(syscall.EBUSY)
	}
	defer l.forget()
	if err := s.removeAll(); err != nil {
		return err
	}
	if err := s.sync(); err != nil {
		return s.error(err)
	}
	if s.vacant() != nil {
		return s.error(errors.New("did not take effect: it is still there"))
	}
	return nil
}

// removeAll tries the directory itself first: an empty one need not be readable.
func (s *spot) removeAll() error {
	st, err := s.stat()
	if absent(err) {
		return nil
	}
	if err != nil {
		return s.error(err)
	}
	dir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	err = s.unlink(dir)
	if !dir || !errors.Is(err, syscall.ENOTEMPTY) {
		return s.error(err)
	}
	if err := s.each((*spot).removeAll); err != nil {
		return err
	}
	return s.error(s.unlink(true))
}

func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// Move is Host's. It cannot leave a file system.
func (l *Local) Move(src, dst string) error {
	s, err := l.spot("move", src)
	if err != nil {
		return err
	}
	defer s.close()
	d, err := l.spot("move", dst)
	if err != nil {
		return err
	}
	defer d.close()
	was, err := s.stat()
	if err != nil {
		return s.error(err)
	}
	if err := d.vacant(); err != nil {
		return d.error(err)
	}
	if s.base == "." {
		return s.error(syscall.EBUSY)
	}
	defer l.forget()
	if err := rename(s, d); err != nil {
		return s.error(err)
	}
	if err := errors.Join(d.sync(), s.sync()); err != nil {
		return d.error(err)
	}
	if is, err := d.stat(); err != nil || is.Ino != was.Ino || s.vacant() != nil {
		return d.error(errors.New("did not take effect: it is not what was moved"))
	}
	return nil
}

// rename never replaces, where the kernel can promise that.
func rename(s, d *spot) error {
	err := unix.Renameat2(s.fd, s.base, d.fd, d.base, unix.RENAME_NOREPLACE)
	if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EINVAL) {
		// Kernels before 3.15 and some file systems know no flags. What else
		// is EINVAL stays so.
		err = unix.Renameat(s.fd, s.base, d.fd, d.base)
	}
	return err
}

// WriteTree calls fill with dir as a root that it cannot leave, then looks
// whether m is there.
func (l *Local) WriteTree(ctx context.Context, dir string, m Entries, fill func(context.Context, *Root) error) error {
	if err := m.check(l, dir); err != nil {
		return err
	}
	root, err := l.openTree(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	defer l.forget()
	if err := fill(ctx, root); err != nil {
		return err
	}
	l.forget()
	return l.assertTree(root, dir, m)
}

// openTree opens a directory as a root that nothing leads out of.
func (l *Local) openTree(dir string) (*Root, error) {
	s, err := l.spot("tree", dir)
	if err != nil {
		return nil, err
	}
	defer s.close()
	root, err := os.OpenRoot(filepath.Join(l.dir, s.dir, s.base))
	if err != nil {
		return nil, s.error(err)
	}
	held, err := s.stat()
	fi, err2 := root.Stat(".")
	if err = cmp.Or(err, err2); err == nil {
		if st, ok := fi.Sys().(*syscall.Stat_t); !ok || st.Ino != held.Ino || st.Dev != held.Dev {
			err = errors.New("became another directory while it was opened")
		}
	}
	if err != nil {
		root.Close()
		return nil, s.error(err)
	}
	return root, nil
}

func statOwner(fi fs.FileInfo) (uid, gid uint32) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Uid, st.Gid
	}
	return 0, 0
}
