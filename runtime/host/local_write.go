package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// WriteFile writes beside name, makes sure of the disk, then renames. Where m
// names no owner, root keeps that of the file it replaces. A time in m is set,
// a size above 0 must be met.
func (l *Local) WriteFile(name string, c Content, m Meta) error {
	s, err := l.spot("write", name)
	if err != nil {
		return err
	}
	defer s.close()
	st, err := s.stat()
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return s.error(syscall.EEXIST)
	}
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return s.error(err)
	}
	owner, err := l.ids(m.Owner)
	if err != nil {
		return s.error(err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && os.Geteuid() == 0 {
		owner = owner.or(int(st.Uid), int(st.Gid))
	}
	r, err := c.Reader()
	if err != nil {
		return err
	}
	defer r.Close()
	defer l.forget()
	n, err := s.replace(r, owner, m)
	if err != nil {
		return err
	}
	m.Size = max(n, m.Size)
	m.Mode &^= fs.ModeType
	return s.assert(m, owner)
}

// replace puts what r holds at s.
func (s *spot) replace(r io.Reader, owner ids, m Meta) (n int64, err error) {
	tmp := s.partial()
	if err := tmp.clear(); err != nil {
		return 0, s.error(err)
	}
	fd, err := unix.Openat(s.fd, tmp.base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return 0, s.space(err, m.Size)
	}
	f := os.NewFile(uintptr(fd), s.name)
	defer func() {
		if err != nil {
			f.Close()
			unix.Unlinkat(s.fd, tmp.base, 0)
		}
	}()
	if n, err = io.Copy(f, r); err != nil {
		return n, s.space(err, max(m.Size, n))
	}
	if err = tmp.set(owner, m.Mode); err != nil {
		return n, s.error(err)
	}
	if !m.ModTime.IsZero() {
		ts := unix.NsecToTimespec(m.ModTime.UnixNano())
		err = unix.UtimesNanoAt(s.fd, tmp.base, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = unix.Renameat(s.fd, tmp.base, s.fd, s.base)
	}
	if err != nil {
		return n, s.space(err, m.Size)
	}
	return n, s.error(s.sync())
}

// partial is s under the name that it has until it is whole. It is the same in
// every run, so that the next one clears away what a killed one left.
func (s *spot) partial() *spot {
	tmp, sum := *s, sha256.Sum256([]byte(s.base))
	tmp.base = ".runbook-" + hex.EncodeToString(sum[:12])
	return &tmp
}

// clear removes what a killed run left at s, be it an empty directory.
func (s *spot) clear() error {
	st, err := s.stat()
	if err == nil {
		err = s.unlink(st.Mode&unix.S_IFMT == unix.S_IFDIR)
	}
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return err
}

// ids resolves the names of o.
func (l *Local) ids(o Owner) (n ids, err error) {
	n.uid, n.gid, err = o.IDs(context.Background(), l)
	return n, err
}

// or fills what o leaves open.
func (o ids) or(uid, gid int) ids {
	if o.uid < 0 {
		o.uid = uid
	}
	if o.gid < 0 {
		o.gid = gid
	}
	return o
}

// Mkdir is Host's.
func (l *Local) Mkdir(name string, m Meta) error {
	m.Mode = m.Mode&^fs.ModeType | fs.ModeDir
	return l.create("mkdir", name, m, "", func(s *spot) error {
		return unix.Mkdirat(s.fd, s.base, 0o700)
	})
}

// Symlink is Host's.
func (l *Local) Symlink(target, name string, o Owner) error {
	return l.create("symlink", name, Meta{Mode: fs.ModeSymlink, Owner: o}, target, func(s *spot) error {
		return unix.Symlinkat(target, s.fd, s.base)
	})
}

// create makes what must not exist; if it cannot be made whole, nothing is left.
func (l *Local) create(op, name string, m Meta, target string, do func(*spot) error) error {
	s, err := l.spot(op, name)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.vacant(); err != nil {
		return s.error(err)
	}
	owner, err := l.ids(m.Owner)
	if err != nil {
		return s.error(err)
	}
	defer l.forget()
	if err := s.make(owner, m, do); err != nil {
		return s.space(err, -1)
	}
	if err := s.sync(); err != nil {
		return s.error(err)
	}
	if err := s.assert(m, owner); err != nil {
		return err
	}
	return s.assertTarget(target)
}

// make has do make something, which gets its name when its owner and mode are right.
func (s *spot) make(owner ids, m Meta, do func(*spot) error) error {
	tmp := s.partial()
	err := tmp.clear()
	if err == nil {
		err = do(tmp)
	}
	if err != nil {
		return err
	}
	if m.Mode.IsDir() {
		err = tmp.set(owner, m.Mode)
	} else {
		err = tmp.give(owner)
	}
	if err == nil {
		err = rename(tmp, s)
	}
	if err != nil {
		tmp.unlink(m.Mode.IsDir())
	}
	return err
}

func (s *spot) unlink(dir bool) error {
	if dir {
		return unix.Unlinkat(s.fd, s.base, unix.AT_REMOVEDIR)
	}
	return unix.Unlinkat(s.fd, s.base, 0)
}

// SetMeta refuses symbolic links, which have no mode.
func (l *Local) SetMeta(name string, m Meta) error {
	s, err := l.spot("chmod", name)
	if err != nil {
		return err
	}
	defer s.close()
	st, err := s.stat()
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		err = errLink
	}
	if err != nil {
		return s.error(err)
	}
	owner, err := l.ids(m.Owner)
	if err != nil {
		return s.error(err)
	}
	defer l.forget()
	if err := s.set(owner, m.Mode); err != nil {
		return s.error(err)
	}
	have, err := s.stat()
	if err != nil {
		return s.error(err)
	}
	return s.compare(have, Meta{Mode: m.Mode, Size: -1}, st.Mode&unix.S_IFMT, owner)
}
