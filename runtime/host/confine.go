package host

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What a script has a dry run ask is somebody's program, and whoever reviews the
// script has not approved it yet. It gets namespaces of its own, where every file
// system is read-only, device files are closed, there is no network, and nothing
// gives it rights; from Linux 6.12 on, other processes get no signals from it, either.
// What it may still do is talk to services through sockets that have a name.
// A command that is held to its Bounds gets the same, but for what these let it change,
// the network, and services: of those it reaches only what looks up names and takes logs.
const confinement = unix.CLONE_NEWNS | unix.CLONE_NEWIPC

// An unconfined error says why a command was not started: the kernel would not confine it.
type unconfined struct{ reason error }

func (u unconfined) Error() string { return "not confined: " + u.reason.Error() }

// ask runs p, confined if that is wanted and can be.
func (l *Local) ask(ctx context.Context, p Process) (Result, error) {
	if !p.Confined {
		return l.run(ctx, p, false, nil)
	}
	if l.loose == "" {
		res, err := l.run(ctx, p, false, &enclosure{ReadOnly: true, Offline: true})
		var no unconfined
		if !errors.As(err, &no) {
			return res, err
		}
		l.loose = no.Error()
	}
	p.Confined = false
	res, err := l.run(ctx, p, false, nil)
	res.Loose = l.loose
	return res, err
}

// startConfined starts a command that can change only what e lets it.
func (l *Local) startConfined(template *exec.Cmd, e *enclosure) (*exec.Cmd, error) {
	switch {
	case os.Geteuid() == 0:
		return startApart(template, e)
	case l.Helper == "":
		return template, unconfined{errors.New("only root can")}
	}
	return l.startHelper(template, e)
}

// startApart starts a command from a thread that is confined, so that the command
// is, too. The thread ends with its goroutine, which never unlocks it.
func startApart(template *exec.Cmd, e *enclosure) (cmd *exec.Cmd, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() { // what /proc/self shows is that of the first thread; this one is held meanwhile
			cmd, err = startApart(template, e)
			runtime.UnlockOSThread()
			return
		}
		if err = unix.Unshare(e.namespaces()); err == nil {
			err = e.confine()
		}
		if err == nil {
			err = keepRights(e.rights()...) // root's children have what is left of its rights
		}
		if err != nil {
			cmd, err = template, unconfined{err}
			return
		}
		cmd, err = start(template)
	}()
	<-done
	return cmd, err
}

// helperName is what the helper is called, and how it is known.
const helperName = "runbook-confined"

// startHelper starts a command by way of our own program: an account other than root
// gets namespaces only together with one of users, and that only in a new process.
func (l *Local) startHelper(template *exec.Cmd, e *enclosure) (*exec.Cmd, error) {
	told, err := json.Marshal(e)
	if err != nil {
		return template, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return template, err
	}
	defer r.Close()
	cmd := *template
	cmd.Path, cmd.Args = l.Helper, append([]string{helperName, string(told), template.Path}, template.Args...)
	cmd.ExtraFiles = []*os.File{w}
	attr := *template.SysProcAttr
	attr.Cloneflags = uintptr(e.namespaces() | unix.CLONE_NEWUSER)
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
	attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	cmd.SysProcAttr = &attr
	err = cmd.Start()
	w.Close()
	if err != nil {
		return template, unconfined{bare(err)}
	}
	said, err := io.ReadAll(r) // nothing, when the helper has become the command
	if err == nil && len(said) > 0 {
		cmd.Wait()
		return template, unconfined{errors.New(string(said))}
	}
	return &cmd, err
}

// MaybeConfine is called first by a program that is a Helper. Where it was started
// as one, it confines itself and becomes the command; it does not return then.
func MaybeConfine() {
	if os.Args[0] != helperName || len(os.Args) < 4 {
		return
	}
	const report = 3 // of startHelper's pipe
	syscall.CloseOnExec(report)
	runtime.LockOSThread() // what follows is about one thread, which becomes the command
	var e enclosure
	err := json.Unmarshal([]byte(os.Args[1]), &e)
	if err == nil {
		err = e.confine()
	}
	if err == nil {
		err = keepRights()
	}
	if err == nil {
		err = syscall.Exec(os.Args[2], os.Args[3:], os.Environ())
	}
	syscall.Write(report, []byte(err.Error()))
	os.Exit(127)
}

// namespaces are those that a command gets for itself.
func (e *enclosure) namespaces() int {
	if e.Offline {
		return confinement | unix.CLONE_NEWNET
	}
	return confinement
}

// rights are those of root's that are left to a command. SETUID and SETGID also let Go become the account.
// DAC_READ_SEARCH opens files past the mounts that close them, so it is only for what cannot change any.
func (e *enclosure) rights() []int {
	if e.ReadOnly {
		return []int{unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, unix.CAP_SETUID, unix.CAP_SETGID}
	}
	return []int{unix.CAP_DAC_OVERRIDE, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_CHOWN, unix.CAP_FOWNER, unix.CAP_FSETID,
		unix.CAP_SETFCAP, unix.CAP_KILL, unix.CAP_NET_BIND_SERVICE, unix.CAP_AUDIT_WRITE}
}

// confine makes this thread one that can change only what e lets it. Its namespaces are its own already.
func (e *enclosure) confine() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	usable := usableDevices()
	open, err := e.detach()
	defer closeAll(open)
	if err != nil {
		return err
	}
	const closed = unix.MS_RDONLY | unix.MS_NODEV | unix.MS_NOSUID
	if err := remount("/", unix.AT_RECURSIVE, closed, 0); err != nil {
		return fmt.Errorf("read-only mounts: %w", err)
	}
	for _, d := range usable {
		if err := remount(d, 0, 0, unix.MS_NODEV); err != nil {
			return fmt.Errorf("%s: %w", d, err)
		}
	}
	if err := e.attach(open); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	restrict(e.writable())
	return nil
}

// usableDevices makes mounts of the device files that change nothing.
func usableDevices() (names []string) {
	for n := range strings.FieldsSeq(devices) {
		if n = "/dev/" + n; unix.Mount(n, n, "", unix.MS_BIND, "") == nil {
			names = append(names, n)
		}
	}
	return names
}

// remount sets and clears flags of the mount at name and, if recursive, of all below.
// Kernels before 5.12 know no call for that: each mount is mounted anew there.
func remount(name string, recursive uint, set, clear uintptr) error {
	attr := unix.MountAttr{Attr_set: attributes(set), Attr_clr: attributes(clear)}
	err := unix.MountSetattr(unix.AT_FDCWD, name, recursive, &attr)
	if !errors.Is(err, unix.ENOSYS) {
		return err
	}
	mounts, err := mountFlags()
	for at, flags := range mounts {
		if err == nil && (at == name || recursive != 0) {
			err = unix.Mount("", at, "", unix.MS_BIND|unix.MS_REMOUNT|(flags|set)&^clear, "")
		}
	}
	return err
}

// attributes returns flags of mount(2) as those of mount_setattr(2).
func attributes(flags uintptr) (attr uint64) {
	for flag, a := range map[uintptr]uint64{unix.MS_RDONLY: unix.MOUNT_ATTR_RDONLY, unix.MS_NODEV: unix.MOUNT_ATTR_NODEV,
		unix.MS_NOSUID: unix.MOUNT_ATTR_NOSUID} {
		if flags&flag != 0 {
			attr |= a
		}
	}
	return attr
}

// mountFlags returns the flags of every mount; see proc_pid_mountinfo(5).
func mountFlags() (map[string]uintptr, error) {
	f, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	known := map[string]uintptr{"ro": unix.MS_RDONLY, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC,
		"noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	all := map[string]uintptr{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 {
			continue
		}
		flags := uintptr(0)
		for option := range strings.SplitSeq(fields[5], ",") {
			flags |= known[option]
		}
		all[unescape.Replace(fields[4])] = flags
	}
	return all, nil
}

// keepRights gives up all capabilities but some, for this thread and what it starts.
func keepRights(keep ...int) error {
	var data [2]unix.CapUserData
	for _, c := range keep {
		data[c/32].Effective |= 1 << (c % 32)
	}
	for i := range data {
		data[i].Permitted = data[i].Effective
	}
	for c := 0; unix.Prctl(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0) == nil; c++ { // an error: there are no more
		if slices.Contains(keep, c) {
			continue
		}
		// An account other than root may not, and need not: it gets none back.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("giving up rights: %w", err)
		}
	}
	// Kernels before 4.3 have no ambient set to clear.
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		return fmt.Errorf("giving up rights: %w", err)
	}
	return nil
}
