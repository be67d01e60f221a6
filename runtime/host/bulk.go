package host

import (
	"errors"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// What fills of a tree need to be fast and durable, of the kernel itself.

// SyncAll makes all that was written to the file system of dir survive a power cut, the names in its
// directories too, with one commit for many files. It is to be relied on only where CanSyncAll says so.
func SyncAll(dir *os.File) error { return os.NewSyscallError("syncfs", unix.Syncfs(int(dir.Fd()))) }

// CanSyncAll reports whether SyncAll will do for dir. It is false where the kernel would not report lost writes
// (before Linux 5.8, and on file systems that are not known to), so that each file must be synced by itself.
func CanSyncAll(dir *os.File) bool { return reportsLoss() && commitsAtOnce(dir) }

// reportsLoss reports whether syncfs(2) returns the errors of writing back, as it does since Linux 5.8.
var reportsLoss = sync.OnceValue(func() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	var major, minor int
	for i, n := 0, &major; u.Release[i] != 0; i++ {
		switch c := u.Release[i]; {
		case c >= '0' && c <= '9':
			*n = *n*10 + int(c-'0')
		case c == '.' && n == &major:
			n = &minor
		default:
			return major > 5 || major == 5 && minor >= 8
		}
	}
	return major > 5 || major == 5 && minor >= 8
})

// commitsAtOnce knows the file systems that write everything back themselves (statfs(2) has their numbers).
func commitsAtOnce(dir *os.File) bool {
	var s unix.Statfs_t
	if unix.Fstatfs(int(dir.Fd()), &s) != nil {
		return false
	}
	switch uint32(s.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC,
		unix.OVERLAYFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC:
		return true
	}
	return false
}

// WriteBack has the kernel begin to write what f holds from off on, n bytes, without waiting.
func WriteBack(f *os.File, off, n int64) {
	unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE) // only advice
}

// Reflink makes dst, which is empty, share what src holds. ok is false where the file system cannot do that.
func Reflink(dst, src *os.File) (ok bool) {
	return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) == nil
}

// Link gives the open file src another name in dir, which must lie on the same file system. It wraps
// fs.ErrExist if the name is taken.
func Link(src, dir *os.File, name string) error {
	err := unix.Linkat(int(src.Fd()), "", int(dir.Fd()), name, unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EPERM) { // without CAP_DAC_READ_SEARCH
		from := "/proc/self/fd/" + strconv.Itoa(int(src.Fd()))
		err = unix.Linkat(unix.AT_FDCWD, from, int(dir.Fd()), name, unix.AT_SYMLINK_FOLLOW)
	}
	if err != nil {
		return &os.LinkError{Op: "link", Old: src.Name(), New: name, Err: err}
	}
	return nil
}

// Lock takes f, a lock file, for this process until it is closed. ok is false if another has it.
func Lock(f *os.File) (ok bool, err error) {
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		return false, nil
	default:
		return false, os.NewSyscallError("flock", err)
	}
}

// Unlock gives back what Lock took. Closing f is not enough while another goroutine starts a program, whose process
// has f too for a moment.
func Unlock(f *os.File) { unix.Flock(int(f.Fd()), unix.LOCK_UN) }

// SetTime sets the time at which f was last written, to the nanosecond.
func SetTime(f *os.File, t time.Time) error {
	ts := unix.NsecToTimespec(t.UnixNano())
	err := unix.UtimesNanoAt(int(f.Fd()), "", []unix.Timespec{ts, ts}, unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) { // before Linux 5.8
		name := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
		err = unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{ts, ts}, 0)
	}
	return os.NewSyscallError("utimensat", err)
}

// CopyRange copies n bytes of src, from off on, to the end of dst, within the kernel
// where it can. It may be called for the same src by several goroutines. The error
// is io.ErrUnexpectedEOF if src ends before.
func CopyRange(dst, src *os.File, off, n int64) error {
	for n > 0 {
		done, err := unix.CopyFileRange(int(src.Fd()), &off, int(dst.Fd()), nil, int(min(n, 1<<30)), 0)
		if done > 0 {
			n -= int64(done)
			continue
		}
		if err == nil {
			return io.ErrUnexpectedEOF
		}
		if err == unix.EINTR {
			continue
		}
		copied, err := io.Copy(dst, io.NewSectionReader(src, off, n)) // between file systems, or of none that can
		if err == nil && copied < n {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}
