package serve

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A file is open for reading. It is no *os.File: that would cost some more calls of the system for each request, which
// is most of what a small file costs.
type file struct {
	fd int
	st syscall.Stat_t
	at int64
}

const reading = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// openFile opens a regular file or a directory below root, whose own descriptor is top. The kernel walks the path and
// does not leave root; where it cannot (before Linux 5.6, or in a narrow sandbox), root does.
func openFile(root *os.Root, top *os.File, name string) (*file, error) {
	how := unix.OpenHow{Flags: reading, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(int(top.Fd()), name, &how)
	linked := err != nil
	if err == unix.ELOOP {
		how.Resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS
		fd, err = unix.Openat2(int(top.Fd()), name, &how)
	}
	switch err {
	case nil:
	case unix.ENOSYS, unix.EPERM, unix.EAGAIN, unix.EINTR:
		if fd, err = walk(root, name); err != nil {
			return nil, err
		}
	default:
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f := &file{fd: fd}
	if linked && leadsToHidden(top, fd) {
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if err := syscall.Fstat(fd, &f.st); err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	if !f.IsDir() && f.st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return f, nil
}

// leadsToHidden reports whether what links led to is hidden below top.
func leadsToHidden(top *os.File, fd int) bool {
	base, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", top.Fd()))
	real, err2 := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil || err2 != nil {
		return false // nobody can say
	}
	below, err := filepath.Rel(base, real)
	return err == nil && slices.ContainsFunc(strings.Split(below, "/"), func(part string) bool {
		return part != "." && hidden(part)
	})
}

// walk opens a file as package os does.
func walk(root *os.Root, name string) (fd int, err error) {
	f, _, err := open(root, name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

// Close is io.Closer's.
func (f *file) Close() error { return unix.Close(f.fd) }

// Read is io.Reader's.
func (f *file) Read(p []byte) (int, error) {
	n, err := f.pread(p, f.at)
	f.at += int64(n)
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

func (f *file) pread(p []byte, at int64) (int, error) {
	for {
		n, err := unix.Pread(f.fd, p, at)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

var errSeek = errors.New("seek: before the beginning")

// Seek is io.Seeker's. The end is where it was when the file was opened.
func (f *file) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.st.Size
	}
	if offset < 0 {
		return 0, errSeek
	}
	f.at = offset
	return offset, nil
}

// What follows makes of it the fs.FileInfo that was true when it was opened. Its name is not known.

// Name is fs.FileInfo's.
func (f *file) Name() string { return "" }

// Size is fs.FileInfo's.
func (f *file) Size() int64 { return f.st.Size }

// Mode is fs.FileInfo's, of which the kind and the permissions are told.
func (f *file) Mode() fs.FileMode {
	mode := fs.FileMode(f.st.Mode & 0o777)
	if f.IsDir() {
		mode |= fs.ModeDir
	}
	return mode
}

// ModTime is fs.FileInfo's.
func (f *file) ModTime() time.Time { return time.Unix(f.st.Mtim.Unix()) }

// IsDir is fs.FileInfo's.
func (f *file) IsDir() bool { return f.st.Mode&syscall.S_IFMT == syscall.S_IFDIR }

// Sys is fs.FileInfo's.
func (f *file) Sys() any { return &f.st }
