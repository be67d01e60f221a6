package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Bind shows a file or directory of the machine outside in the jail, at an absolute path that it makes if need be,
// read-only. It fails the test if it cannot.
func (j *Jail) Bind(source, at string) {
	j.t.Helper()
	if err := j.bind(source, at); err != nil {
		j.t.Fatalf("bind %s at %s: %v", source, at, err)
	}
	j.binds = append(j.binds, filepath.Clean(at))
}

// DialContext connects from inside the jail, to an address in numbers; it fits http.Transport.
func (j *Jail) DialContext(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = j.Do(func() error { conn, err = new(net.Dialer).DialContext(ctx, network, address); return err })
	return conn, err
}

// Listen listens inside the jail, at an address in numbers. Whoever serves may be outside.
func (j *Jail) Listen(network, address string) (l net.Listener, err error) {
	err = j.Do(func() error { l, err = net.Listen(network, address); return err })
	return l, err
}

// Wire joins two jails by a cable: each gets an eth0 with an address in CIDR notation, such as 10.77.0.1/24.
func Wire(t testing.TB, a, b *Jail, addressA, addressB string) {
	t.Helper()
	err := errors.Join(
		a.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(b.PID())),
		a.ip("addr", "add", addressA, "dev", "eth0"), a.ip("link", "set", "eth0", "up"),
		b.ip("addr", "add", addressB, "dev", "eth0"), b.ip("link", "set", "eth0", "up"))
	if err != nil {
		t.Fatalf("wire jails: %v", err)
	}
}

// bind takes a detached copy of the mount where source is still visible, and attaches it where the jail is.
func (j *Jail) bind(source, at string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_tree: %w", err)
	}
	defer unix.Close(fd)
	readOnly := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, readOnly); err != nil {
		return fmt.Errorf("mount_setattr: %w", err)
	}
	return j.Do(func() error {
		if err := mountPoint(at, info); err != nil {
			return err
		}
		if err := unix.MoveMount(fd, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("move_mount: %w", err)
		}
		return nil
	})
}

func mountPoint(at string, like fs.FileInfo) error {
	if like.IsDir() {
		return os.MkdirAll(at, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(at, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// ip runs the machine's own ip in the jail's network: only outside do both jails have process numbers.
func (j *Jail) ip(args ...string) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked, as in Do
		if err := unix.Setns(j.pidfd, unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("setns: %w", err)
			return
		}
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			done <- fmt.Errorf("ip %v: %w: %s", args, err, out)
			return
		}
		done <- nil
	}()
	return <-done
}
