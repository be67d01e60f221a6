package lab

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Cmd is a command for a jail.
type Cmd struct {
	Argv     []string // Argv[0] is looked up in the jail's PATH
	UID, GID uint32   // 0 is root
	Groups   []uint32 // supplementary groups
	Env      []string // "NAME=VALUE", over PATH, HOME=/root and LANG
	Dir      string   // "" is /
	Stdin    string
	Timeout  time.Duration // after it, kill -9; 0 is two minutes
}

// A Result is how a command ended. Code is -1 after a signal; Out and Err are what it and its children had written by
// then.
type Result struct {
	Out, Err string
	Code     int
}

// Run runs a command as uid and gid and waits for it, though not for daemons that it leaves. A command that
// cannot be started fails the test; any exit code does not.
func (j *Jail) Run(uid, gid uint32, argv ...string) Result {
	j.t.Helper()
	return j.Exec(Cmd{Argv: argv, UID: uid, GID: gid})
}

// Exec is Run for a command with more to say about it.
func (j *Jail) Exec(c Cmd) Result {
	j.t.Helper()
	p, err := j.Start(c)
	if err != nil {
		j.t.Fatalf("jail: %v: %v", c.Argv, err)
	}
	return p.Wait()
}

// Must runs a shell script as root and returns its output. An exit code other than 0 fails the test.
func (j *Jail) Must(script string) string {
	j.t.Helper()
	r := j.Run(0, 0, "bash", "-c", script)
	if r.Code != 0 {
		j.t.Fatalf("jail: %s: got exit code %d, want 0\n%s%s", script, r.Code, r.Out, r.Err)
	}
	return r.Out
}

// Start starts a command as the leader of a new session.
func (j *Jail) Start(c Cmd) (*Proc, error) {
	out, err := memoryFile()
	if err != nil {
		return nil, err
	}
	errs, err := memoryFile()
	if err != nil {
		return nil, err
	}
	p := &Proc{out: out, errs: errs, ended: make(chan struct{})}
	err = j.Do(func() (err error) {
		p.cmd, err = c.command()
		if err != nil {
			return err
		}
		p.cmd.Stdout, p.cmd.Stderr = out, errs
		return p.cmd.Start()
	})
	if err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Minute
	}
	timer := time.AfterFunc(c.Timeout, p.Kill)
	go func() { // at once, whoever waits: a jail's first process cannot end before its last child is collected
		p.cmd.Wait()
		timer.Stop()
		close(p.ended)
	}()
	return p, nil
}

// Do runs f on a thread that lives in the jail: files, network, and processes that it starts are the jail's.
// Goroutines that f starts are not in the jail. Do returns f's error.
func (j *Jail) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			done <- fmt.Errorf("unshare: %w", err)
			return
		}
		if err := unix.Setns(j.pidfd, namespaces); err != nil {
			done <- fmt.Errorf("setns: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// ReadFile is os.ReadFile in the jail.
func (j *Jail) ReadFile(name string) (data []byte, err error) {
	err = j.Do(func() error { data, err = os.ReadFile(name); return err })
	return data, err
}

// WriteFile is os.WriteFile in the jail, and sets mode exactly.
func (j *Jail) WriteFile(name string, data []byte, mode fs.FileMode) error {
	return j.Do(func() error {
		if err := os.WriteFile(name, data, mode); err != nil {
			return err
		}
		return os.Chmod(name, mode)
	})
}

// Reboot is a loss of power: every process is killed at once, /run is empty afterwards, and the boot has another id.
// Files stay, and so do binds; nothing is started again, since a jail has no init system.
func (j *Jail) Reboot() {
	j.t.Helper()
	j.Run(0, 0, "kill", "-9", "-1") // all but the first process, and kill itself
	if err := j.Do(func() error { return errors.Join(emptyRun("/run"), newBoot("/run/boot_id")) }); err != nil {
		j.t.Fatalf("jail: reboot: %v", err)
	}
	// No machine starts within a second: rpm names its temporary files after the second that it began in.
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
}

// newBoot lays another id over the kernel's; scratch is a name for a moment.
func newBoot(scratch string) error {
	id := make([]byte, 16)
	rand.Read(id) // never fails
	text := fmt.Appendf(nil, "%x-%x-%x-%x-%x\n", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	if err := os.WriteFile(scratch, text, 0o444); err != nil {
		return err
	}
	err := unix.Mount(scratch, "/proc/sys/kernel/random/boot_id", "", unix.MS_BIND, "")
	return errors.Join(err, os.Remove(scratch))
}

// A Proc is a command that runs in a jail.
type Proc struct {
	cmd       *exec.Cmd
	out, errs *os.File
	ended     chan struct{}
}

// PID is the process as the machine outside numbers it.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the process alone.
func (p *Proc) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Kill is kill -9 of the process and its process group. A daemon that made a new session goes on.
func (p *Proc) Kill() { syscall.Kill(-p.PID(), syscall.SIGKILL) }

// Output is what the process wrote to its standard output so far.
func (p *Proc) Output() string { return contents(p.out) }

// Wait waits for the process, once.
func (p *Proc) Wait() Result {
	<-p.ended
	defer p.out.Close()
	defer p.errs.Close()
	return Result{Out: contents(p.out), Err: contents(p.errs), Code: p.cmd.ProcessState.ExitCode()}
}

// command is c for os/exec. It is called in the jail, where the program is looked up.
func (c Cmd) command() (*exec.Cmd, error) {
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		"LANG=C.UTF-8"}, c.Env...)
	cmd.Dir = c.Dir
	if c.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true,
		Credential: &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups}}
	if c.Stdin == "" {
		return cmd, nil
	}
	in, err := memoryFile()
	if err != nil {
		return nil, err
	}
	if _, err := in.WriteAt([]byte(c.Stdin), 0); err != nil {
		return nil, err
	}
	cmd.Stdin = in // closed by the garbage collector; its memory lives as long as the child's copy
	return cmd, nil
}

// memoryFile takes a child's output instead of a pipe, which a daemon would keep open and so keep Wait waiting.
func memoryFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("lab", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), "memory"), nil
}

func contents(f *os.File) string {
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func emptyRun(run string) error {
	entries, err := os.ReadDir(run)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(run + "/" + e.Name()); err != nil {
			return err
		}
	}
	return mkdirs(run, 0o1777, "lock")
}
