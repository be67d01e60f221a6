package host

import (
	"errors"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

// children are the processes that a machine waits for. The zero value has none.
type children struct {
	mu      sync.Mutex
	running map[int]bool // whether a process group is critical
}

// add remembers a process that was started.
func (c *children) add(cmd *exec.Cmd, critical bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		c.running = map[int]bool{}
	}
	c.running[cmd.Process.Pid] = critical
}

// ended forgets a process that was waited for.
func (c *children) ended(cmd *exec.Cmd) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, cmd.Process.Pid)
}

// EndProcesses ends at once whatever Exec and Query wait for, with what those
// started. It may be called by any goroutine. What is critical is asked first, and
// gets a second.
func (l *Local) EndProcesses() {
	l.children.mu.Lock()
	defer l.children.mu.Unlock()
	var asked []int
	for pgid, critical := range l.children.running {
		if critical {
			asked = append(asked, pgid)
			syscall.Kill(-pgid, syscall.SIGTERM)
		} else {
			syscall.Kill(-pgid, syscall.SIGKILL)
		}
	}
	for deadline := time.Now().Add(time.Second); len(asked) > 0; time.Sleep(20 * time.Millisecond) {
		late := time.Now().After(deadline)
		asked = slices.DeleteFunc(asked, func(pgid int) bool {
			return late && syscall.Kill(-pgid, syscall.SIGKILL) == nil || errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH)
		})
	}
}
