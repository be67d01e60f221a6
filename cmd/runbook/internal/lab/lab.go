// Package lab runs commands for real in throw-away machines: jails, each with a root file system of its own (an
// overlay in memory over a base root that all share) and mount, pid, net, uts and ipc namespaces of its own.
// It is for tests and needs Linux and root.
//
// Two things to know: a test binary that uses jails starts itself again as the first process of each, so its TestMain
// calls MaybeInit first; and nothing that a jail does reaches the machine: its files are memory, its network is
// a loopback device (and what Wire adds), and when the test process dies, by kill -9 too, the jail is gone.
// The tests below cmd/runbook call it; it calls lab/cache.
package lab

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Options of a jail. The zero value is a jail over Base with 4 GB of memory for its changes.
type Options struct {
	Lower    string // base root or, joined by colons and topmost first, several layers; "" is Base(t)
	SizeMB   int    // how much may be written before the jail's disk is full; 0 is 4096
	Hostname string // "" is "jail", which Base's /etc/hosts knows
}

// A Jail is a running throw-away machine. Start, Do, ReadFile, WriteFile, DialContext and Listen, which return
// errors, may be called by several goroutines at once; the others fail the test, and are for the test's own goroutine.
type Jail struct {
	t       testing.TB
	init    *exec.Cmd
	leash   io.Closer
	pidfd   int
	binds   []string
	begun   time.Time // no file of the jail's own was changed before that
	digests sync.Map  // by fileID
}

// namespaces that a jail has for itself.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC

// New starts a jail that ends with the test. It fails the test if it cannot, and skips it where jails cannot be (see
// Skip).
func New(t testing.TB, o Options) *Jail {
	t.Helper()
	if os.Geteuid() != 0 {
		Skip(t, "jails need root")
	}
	if o.Lower == "" {
		o.Lower = Base(t)
	}
	if o.SizeMB == 0 {
		o.SizeMB = 4096
	}
	if o.Hostname == "" {
		o.Hostname = "jail"
	}
	j, err := start(t.TempDir(), o)
	if err != nil {
		t.Fatalf("start jail over %s: %v", o.Lower, err)
	}
	j.t = t
	t.Cleanup(j.Kill)
	return j
}

// Skip leaves a test out, loudly: the reason stands in the output of go test -v and in its count of skipped tests.
// Where the environment says CI=true nothing may be left out, and the test fails instead.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("cannot run in CI: %s", reason)
	}
	t.Skipf("NOT TESTED HERE: %s", reason)
}

// PID is the jail's first process as the machine outside numbers it.
func (j *Jail) PID() int { return j.init.Process.Pid }

// RootPath is where the jail's absolute path name is seen from outside. An absolute symbolic link on the way leads
// out of the jail: where there may be one, use ReadFile, WriteFile or Do.
func (j *Jail) RootPath(name string) string {
	return "/proc/" + strconv.Itoa(j.PID()) + "/root" + name
}

// Kill ends the jail and everything in it at once, as often as you like. Its files are gone.
func (j *Jail) Kill() {
	if j.leash == nil {
		return
	}
	j.leash.Close()
	j.leash = nil
	j.init.Process.Kill() // the kernel kills the rest of a pid namespace with its first process
	j.init.Wait()
	unix.Close(j.pidfd)
}

// start runs this program again as a jail's first process and waits until that has made the jail.
func start(dir string, o Options) (*Jail, error) {
	begun := time.Now().Add(-time.Second) // more than the clocks of file systems are slow by
	var complaint bytes.Buffer
	c := exec.Command("/proc/self/exe")
	c.Env = []string{initEnv + "=" + strings.Join([]string{dir, o.Lower, strconv.Itoa(o.SizeMB), o.Hostname}, "\n")}
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	c.Stderr = &complaint
	leash, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	if ready, _ := io.ReadAll(out); string(ready) != readyWord {
		c.Process.Kill()
		c.Wait()
		return nil, fmt.Errorf("first process: %s%s (does TestMain call lab.MaybeInit first?)", complaint.String(), ready)
	}
	fd, err := unix.PidfdOpen(c.Process.Pid, 0)
	if err != nil {
		c.Process.Kill()
		c.Wait()
		return nil, err
	}
	return &Jail{init: c, leash: leash, pidfd: fd, begun: begun}, nil
}
