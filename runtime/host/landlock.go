package host

import (
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Landlock: what a thread and all that it starts may do to files, and to other processes.

// landlockVersion returns the version of the kernel's Landlock; 0 if it has none.
func landlockVersion() int {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// The rights to files, as far as they change something. Those to a file can be had for one alone.
const (
	fileRights = unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	dirRights  = unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM
)

// rights returns the rights that a version of Landlock knows.
func rights(version int) (file, all uint64) {
	file, all = fileRights, fileRights|dirRights
	if version >= 2 {
		all |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		file |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
		all |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	return file, all
}

// restrict keeps signals, and connections to abstract sockets, from processes that
// were not started by this thread, where the kernel can (Landlock, Linux 6.12); and, from Linux 5.13 on, writes from
// what is neither below a writable name nor a mount: other processes' files below /proc, and pipes that have a name.
// Other processes' memory and environment are closed with that. Where something is writable, Linux before 5.19 is
// not asked for it: it would let nothing move between directories.
func restrict(writable []string) {
	version := landlockVersion()
	if version == 0 || version == 1 && len(writable) > 0 {
		return
	}
	file, all := rights(version)
	attr := struct{ files, net, scoped uint64 }{all, 0, 0}
	size := unsafe.Sizeof(attr.files) // what Linux 5.13 knows
	if version >= 6 {
		attr.scoped = unix.LANDLOCK_SCOPE_SIGNAL | unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
		size = unsafe.Sizeof(attr)
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return
	}
	defer unix.Close(int(fd))
	for n := range strings.FieldsSeq(devices) {
		allow(int(fd), "/dev/"+n, file, file)
	}
	for _, name := range writable {
		allow(int(fd), name, file, all)
	}
	unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0)
}

// devices are the device files that change nothing.
const devices = "null zero full random urandom"

// allow lets a ruleset pass what is done to a file, or at and below a directory.
func allow(ruleset int, name string, file, all uint64) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		all = file
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: all, Parent_fd: int32(fd)}
	unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
}
