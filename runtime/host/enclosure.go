package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// An enclosure is what a confined command may change, by names of this machine
// without symbolic links. Everything else is mounted read-only for it.
type enclosure struct {
	ReadOnly bool     `json:",omitempty"` // it only asks
	Offline  bool     `json:",omitempty"` // no network, not even loopback
	Trees    []string `json:",omitempty"` // directories with all below them; none is /
	Rooms    []room   `json:",omitempty"`
	Closed   []string `json:",omitempty"` // sockets of services
}

// A room is a directory where new names may be made. Of what is there only Free may be changed.
type room struct {
	Dir  string
	Free []string // names in Dir
}

// mostEntries is how many entries a room may have: each gets a mount.
const mostEntries = 4096

// writable are the names at and below which something may be changed.
func (e *enclosure) writable() []string {
	all := slices.Clone(e.Trees)
	for _, r := range e.Rooms {
		all = append(all, r.Dir)
	}
	slices.Sort(all) // what lies below another comes after it
	return slices.Compact(all)
}

// detach makes mounts of what is writable that have no place yet, while all mounts
// are as they were.
func (e *enclosure) detach() (open map[string]int, err error) {
	open = map[string]int{}
	for _, name := range e.writable() {
		if name == "/" {
			continue // it stays where it is
		}
		fd, err := detached(name, unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID)
		if err != nil {
			return open, fmt.Errorf("%s: %w", name, err)
		}
		open[name] = fd
	}
	return open, nil
}

// closeAll closes mounts, which stay where they have been put.
func closeAll(open map[string]int) {
	for _, fd := range open {
		unix.Close(fd)
	}
}

// detached returns a mount of what is called name, with the mounts below it. All get a flag.
func detached(name string, flag uint64) (int, error) {
	place, err := placeOf(name)
	if err != nil {
		return -1, err
	}
	defer unix.Close(place)
	const whole = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_RECURSIVE | unix.AT_EMPTY_PATH
	fd, err := unix.OpenTree(place, "", whole)
	if err != nil {
		return -1, fmt.Errorf("a mount of its own: %w", err)
	}
	attr := unix.MountAttr{Attr_set: flag}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("flags of its mount: %w", err)
	}
	return fd, nil
}

// placeOf opens what a name stands for, on the way to which nobody has put a symbolic link since.
func placeOf(name string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	return unix.Openat2(unix.AT_FDCWD, name, &how)
}

// put gives a detached mount the place of name.
func put(mount int, name string) error {
	place, err := placeOf(name)
	if err != nil {
		return err
	}
	defer unix.Close(place)
	return unix.MoveMount(mount, "", place, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// attach puts what is writable in its place, and closes what is in the rooms and the sockets.
func (e *enclosure) attach(open map[string]int) error {
	for _, name := range e.writable() {
		err := remountOr(open, name)
		i := slices.IndexFunc(e.Rooms, func(r room) bool { return r.Dir == name })
		if err == nil && i >= 0 && !slices.Contains(e.Trees, name) {
			err = e.Rooms[i].furnish()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, s := range e.Closed {
		// A service that has ended took its socket along.
		if err := unix.Mount("/dev/null", s, "", unix.MS_BIND, ""); err != nil && !unreachable(err) {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// remountOr attaches the mount of name, or lets the root be written.
func remountOr(open map[string]int, name string) error {
	fd, ok := open[name]
	if !ok {
		return remount(name, 0, 0, unix.MS_RDONLY)
	}
	return put(fd, name)
}

// furnish mounts each entry of a room read-only over itself, so that it can be
// neither changed nor removed nor renamed.
func (r room) furnish() error {
	entries, err := os.ReadDir(r.Dir)
	if err != nil {
		return bare(err)
	}
	if len(entries) > mostEntries {
		return fmt.Errorf("got %d entries, want at most %d", len(entries), mostEntries)
	}
	for _, entry := range entries {
		if slices.Contains(r.Free, entry.Name()) {
			continue
		}
		if err := freeze(path.Join(r.Dir, entry.Name())); err != nil && !unreachable(err) {
			return fmt.Errorf("%s: %w", entry.Name(), err)
		}
	}
	return nil
}

func freeze(name string) error {
	fd, err := detached(name, unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return put(fd, name)
}

// unreachable reports whether there is nothing at a name for this process: the command finds nothing, either.
func unreachable(err error) bool {
	return slices.ContainsFunc([]syscall.Errno{syscall.ENOENT, syscall.ENOTDIR, syscall.EACCES},
		func(e syscall.Errno) bool { return errors.Is(err, e) })
}

// The sockets, or directories of such, that look accounts up or take logs, and those that look up hosts.
const (
	harmless = "/var/lib/sss/pipes/nss /run/systemd/userdb /dev/log " +
		"/run/systemd/journal/dev-log /run/systemd/journal/socket /run/systemd/journal/stdout"
	hostNames = "/run/nscd /run/systemd/resolve"
)

// closed are the sockets of services that e does not let the command change.
func (e *enclosure) closed() ([]string, error) {
	text, err := os.ReadFile("/proc/thread-self/net/unix")
	if err != nil {
		return nil, bare(err)
	}
	allowed := append(slices.Clone(e.Trees), strings.Fields(harmless)...)
	if !e.Offline { // a question for a name can carry something out
		allowed = append(allowed, strings.Fields(hostNames)...)
	}
	for _, r := range e.Rooms {
		for _, n := range r.Free {
			allowed = append(allowed, path.Join(r.Dir, n))
		}
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimRight(line, "\n"), " /", 2)
		if len(f) < 2 {
			continue
		}
		name := "/" + f[1]
		if real, err := realSocket(name); err == nil &&
			!slices.ContainsFunc(allowed, func(dir string) bool { return Below(real, dir) || Below(name, dir) }) {
			names = append(names, real)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// realSocket returns where a socket lies that may be known by another name.
func realSocket(name string) (string, error) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return "", err
	}
	fi, err := os.Lstat(real)
	if err == nil && fi.Mode().Type() != fs.ModeSocket {
		err = syscall.ENOTSOCK
	}
	return real, err
}
