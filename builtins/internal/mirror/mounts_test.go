package mirror

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// ownMounts has a test run in a process with mounts of its own, and reports whether this is that process. What it
// mounts ends with it.
func ownMounts(t *testing.T) bool {
	t.Helper()
	const variable = "RUNBOOK_MIRROR_ALONE"
	needRoot(t)
	if os.Getenv(variable) == t.Name() {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	c.Env = append(os.Environ(), variable+"="+t.Name())
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := c.CombinedOutput()
	if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("%s", out)
	}
	if t.Logf("%s", out); err != nil {
		t.Error(err)
	}
	return false
}

// memory mounts a file system in memory, of some bytes and files, at a directory of the rig; 0 means many.
func (r *rig) memory(dir, options string) {
	r.Helper()
	err := errors.Join(os.MkdirAll(r.path(dir), 0o755), unix.Mount("room", r.path(dir), "tmpfs", 0, options))
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { unix.Unmount(r.path(dir), unix.MNT_DETACH) })
}

func (r *rig) remount(dir, options string) {
	r.Helper()
	if err := unix.Mount("room", r.path(dir), "tmpfs", unix.MS_REMOUNT, options); err != nil {
		r.Fatal(err)
	}
}
