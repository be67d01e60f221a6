package host

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A spot is a name in a directory that is held open. What is done through it
// cannot be led elsewhere by a link that somebody plants meanwhile.
// The directory is open as O_PATH, which asks no more of it than its path does.
type spot struct {
	fd       int
	dir      string // without links, below the host's root
	base     string // "." for the root itself
	op, name string // for errors
}

// spot is where name itself lies, be it a link or not there.
func (l *Local) spot(op, name string) (*spot, error) { return l.at(op, name, false) }

// at resolves the links in name's directories and, if follow, a final one. It opens the directories that it found one
// by one and refuses any that has become a link in between.
func (l *Local) at(op, name string, follow bool) (*spot, error) {
	if s := l.straight(op, name, follow); s != nil {
		return s, nil
	}
	dir, base, err := walk(links{l}, name, follow)
	if err != nil {
		return nil, guest(op, name, err)
	}
	fd, err := unix.Open(l.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for _, p := range parts(dir) {
		if err != nil {
			break
		}
		up := fd
		fd, err = unix.Openat(up, p, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		unix.Close(up)
	}
	if err != nil {
		return nil, guest(op, name, err)
	}
	return &spot{fd, dir, base, op, name}, nil
}

// straight is at for a name without links, in one system call; nil if that finds one, anything else that at must
// explain, or a kernel before 5.6.
func (l *Local) straight(op, name string, follow bool) *spot {
	dir, base := path.Split(name)
	if base == "" || base == ".." || strings.Contains(dir, "/../") {
		return nil
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, filepath.Join(l.dir, dir), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return nil
	}
	s := &spot{fd, path.Clean(dir), base, op, name}
	if st, err := s.stat(); follow && (err != nil || st.Mode&unix.S_IFMT == unix.S_IFLNK) {
		s.close()
		return nil
	}
	return s
}

func (s *spot) close() { unix.Close(s.fd) }

func (s *spot) error(err error) error { return guest(s.op, s.name, err) }

func (s *spot) stat() (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(s.fd, s.base, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err
}

// open opens what is at s to read it. A link is refused: at has followed those that may be.
func (s *spot) open(flags int) (*os.File, error) {
	fd, err := unix.Openat(s.fd, s.base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), s.name), nil
}

func (s *spot) readlink() (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(s.fd, s.base, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// vacant is an error if there is something at s.
func (s *spot) vacant() error {
	switch _, err := s.stat(); {
	case err == nil:
		return syscall.EEXIST
	case errors.Is(err, syscall.ENOENT):
		return nil
	default:
		return err
	}
}

// sync makes what was named or unnamed in the directory survive a power cut.
func (s *spot) sync() error { return s.fsync(".", unix.O_DIRECTORY) }

// persist makes what a command left at s survive a power cut: its name and, of a regular file, its bytes.
func (s *spot) persist() error {
	st, err := s.stat()
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		err = s.fsync(s.base, unix.O_NOFOLLOW|unix.O_NONBLOCK)
	}
	return cmp.Or(err, s.sync())
}

func (s *spot) fsync(name string, flags int) error {
	fd, err := unix.Openat(s.fd, name, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
	if errors.Is(err, syscall.EACCES) {
		return nil // one may add to a directory without being allowed to read it
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err = unix.Fsync(fd); errors.Is(err, syscall.EINVAL) {
		return nil // file systems without such a thing
	}
	return err
}

// ids are a user and a group by number; -1 leaves what is there.
type ids struct{ uid, gid int }

// give sets the owner where it differs. Links are given, not followed.
func (s *spot) give(o ids) error { return s.giveUnless(o, func(*unix.Stat_t) bool { return false }) }

// giveUnless is give for a file that is none of those to be spared. What was looked at is what is given.
func (s *spot) giveUnless(o ids, spared func(*unix.Stat_t) bool) error {
	fd, err := unix.Openat(s.fd, s.base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || !o.differ(st) || spared(&st) {
		return err
	}
	return unix.Fchownat(fd, "", o.uid, o.gid, unix.AT_EMPTY_PATH)
}

func (o ids) differ(st unix.Stat_t) bool {
	return o.uid >= 0 && o.uid != int(st.Uid) || o.gid >= 0 && o.gid != int(st.Gid)
}

// set gives the owner before the mode, for chown clears setuid.
func (s *spot) set(o ids, m fs.FileMode) error {
	if err := s.give(o); err != nil {
		return err
	}
	return s.chmod(m)
}

// chmod changes what is at s itself. A link has no mode: fchmodat(2) would
// follow it, and kernels before 6.6 have no flag against that.
func (s *spot) chmod(m fs.FileMode) error {
	fd, err := unix.Openat(s.fd, s.base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return errLink
	}
	err = unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), modeBits(m))
	if errors.Is(err, syscall.ENOENT) { // no /proc here
		err = unix.Fchmodat(s.fd, s.base, modeBits(m), unix.AT_SYMLINK_NOFOLLOW)
	}
	return err
}

var errLink = errors.New("is a symbolic link, which has no mode of its own")

// modeBits returns a mode as the system has it, without the type.
func modeBits(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	for flag, bit := range map[fs.FileMode]uint32{
		fs.ModeSetuid: unix.S_ISUID, fs.ModeSetgid: unix.S_ISGID, fs.ModeSticky: unix.S_ISVTX,
	} {
		if m&flag != 0 {
			bits |= bit
		}
	}
	return bits
}

// typeBits returns the type of a mode as the system has it.
func typeBits(m fs.FileMode) uint32 {
	switch m.Type() {
	case 0:
		return unix.S_IFREG
	case fs.ModeDir:
		return unix.S_IFDIR
	case fs.ModeSymlink:
		return unix.S_IFLNK
	default:
		return 0 // nothing that a host makes
	}
}

// space adds to an error of a full or closed file system what a person needs
// to cure it. need is in bytes, negative where it is not known.
func (s *spot) space(err error, need int64) error {
	var fsys unix.Statfs_t
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
	case errors.Is(err, syscall.EROFS):
		return hinted{s.error(err), "the file system of " + filepath.Dir(s.name) + " is mounted read-only"}
	default:
		return s.error(err)
	}
	if unix.Fstatfs(s.fd, &fsys) != nil {
		return s.error(err)
	}
	var known []string
	if need >= 0 {
		known = append(known, fmt.Sprintf("%d bytes needed", need))
	}
	known = append(known, fmt.Sprintf("%d bytes and %d files free", fsys.Bavail*uint64(fsys.Bsize), fsys.Ffree))
	return hinted{fmt.Errorf("%w (%s)", s.error(err), strings.Join(known, ", ")),
		"make room on the file system of " + filepath.Dir(s.name)}
}

// below opens the directory at s to read it; files in it are reached through
// the descriptor that comes with their names.
func (s *spot) below() (*os.File, []string, error) {
	f, err := s.open(unix.O_DIRECTORY)
	if err != nil {
		return nil, nil, err
	}
	names, err := f.Readdirnames(-1)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, names, nil
}
