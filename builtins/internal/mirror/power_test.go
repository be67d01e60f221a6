package mirror

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"runbook/runtime/host/sample"
)

// A disk is a file system on a disk whose power can be cut, at /dst of a history.
type disk struct {
	h      *history
	device string
}

// newDisk needs a kernel with loop devices and ext4, which not every machine for tests has.
func newDisk(t *testing.T, h *history) *disk {
	t.Helper()
	image := h.path("/image")
	h.put("/image", "")
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", image).CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED HERE: mkfs.ext4: %v %s", err, out)
	}
	out, err := exec.Command("losetup", "-f", "--show", image).Output()
	if err != nil {
		t.Skipf("NOT TESTED HERE: losetup: %v", err)
	}
	d := &disk{h, strings.TrimSpace(string(out))}
	t.Cleanup(func() {
		unix.Unmount(h.path("/dst"), unix.MNT_DETACH)
		exec.Command("losetup", "-d", d.device).Run()
	})
	if err := os.MkdirAll(h.path("/dst"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.mount()
	os.Remove(h.path("/dst/lost+found"))
	return d
}

// mount begins with what is on the disk. Nothing is written out of itself that nobody asked for.
func (d *disk) mount() {
	d.h.Helper()
	if err := unix.Mount(d.device, d.h.path("/dst"), "ext4", 0,
		"noauto_da_alloc,commit=300,errors=remount-ro"); err != nil {
		d.h.Skipf("NOT TESTED HERE: mount ext4: %v", err)
	}
}

// cut is what a power cut is: what was not made durable is lost. A kernel may have written the names of files, but not
// their bytes, or neither.
func (d *disk) cut(namesToo bool) {
	if namesToo { // which another's sync does
		if f, err := os.Create(d.h.path("/dst/other")); err == nil {
			f.Sync()
			f.Close()
		}
	}
	const shutdown, losingTheLog = 0x8004587d, 2
	top, err := os.Open(d.h.path("/dst"))
	if err != nil {
		d.h.Error(err)
		return
	}
	defer top.Close()
	if err := unix.IoctlSetPointerInt(int(top.Fd()), shutdown, losingTheLog); err != nil {
		d.h.Error("shutdown:", err)
	}
}

// restore comes back after a cut.
func (d *disk) restore() {
	d.h.Helper()
	for i := 0; ; i++ {
		err := unix.Unmount(d.h.path("/dst"), 0)
		if err == nil {
			break
		}
		if i == 100 {
			out, _ := exec.Command("sh", "-c", "ls -l /proc/$PPID/fd | grep "+d.h.root).Output()
			d.h.Fatalf("umount: %v; a mirror that ended has still open:\n%s", err, out)
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.mount()
	os.Remove(d.h.path("/dst/other"))
}

// After a power cut at any moment no file under a final name is wrong, all that an index lists is there, what was done
// is done, and the next run goes on.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it kills or races many runs")
	if !ownMounts(t) {
		return
	}
	cuts := 25
	if long() {
		cuts = 500
	}
	h := newHistory(t, chance(t), false)
	h.task.Rate = 0
	d := newDisk(t, h)
	h.next()
	h.finish()
	looks := &watcher{h: h, sums: map[string]string{}}
	done, last := 0, int64(60)
	for i := 0; i < cuts && !t.Failed(); i++ {
		h.next()
		ended, n := d.mirrorWithCut(1 + h.rand.Int64N(last))
		if last += 2; ended {
			done, last = done+1, max(n, 20)*5/4
		}
		d.restore()
		looks.sums = map[string]string{}
		if err := looks.look(); err != nil {
			t.Errorf("cut %d, after %d steps: %v", i, n, err)
		}
		if left := h.plan().Report.Fetch; ended && left > 0 {
			t.Errorf("cut %d: a run that was done lacks %d packages after it", i, left)
		}
		h.finish()
	}
	if t.Logf("%d cuts, %d of them after the end", cuts, done); done == 0 || done == cuts {
		t.Error("cuts came too late, or too early")
	}
}

// mirrorWithCut cuts the power before the n'th step of a mirror, or after its end. It returns whether that came, and
// how many steps there were.
func (d *disk) mirrorWithCut(at int64) (ended bool, steps int64) {
	d.h.Helper()
	namesToo := d.h.rand.IntN(2) == 0
	p := d.h.plan()
	var n atomic.Int64
	p.testOnlyFault = func(string) error {
		switch i := n.Add(1); {
		case i == at:
			d.cut(namesToo)
			return syscall.EIO
		case i > at:
			return syscall.EIO
		}
		return nil
	}
	err := p.Apply(d.h.Context(), d.h.local())
	if err == nil {
		d.cut(namesToo)
	} else if !errors.Is(err, syscall.EIO) {
		d.h.Errorf("cut at step %d: %v", at, err)
	}
	return err == nil, min(n.Load(), at)
}

// A file system that the kernel makes read-only in the middle of a run, as it does with one that has errors, is told
// of.
func TestDiskTurnsReadOnly(t *testing.T) {
	t.Parallel()
	if !ownMounts(t) {
		return
	}
	h := newHistory(t, chance(t), false)
	h.task.Rate = 0
	d := newDisk(t, h)
	h.next()
	h.finish()
	for at := int64(1); at < 60; at += 9 {
		h.next()
		p := h.plan()
		var n atomic.Int64
		p.testOnlyFault = func(string) error {
			if n.Add(1) != at {
				return nil
			}
			return os.WriteFile("/sys/fs/ext4/"+strings.TrimPrefix(d.device, "/dev/")+"/trigger_fs_error", []byte("test"), 0)
		}
		err := p.Apply(t.Context(), h.local())
		switch {
		case errors.Is(err, syscall.EROFS) && strings.Contains(advised(err), "/dst/acc is mounted read-only"):
		case err == nil && n.Load() < at:
		default:
			t.Errorf("step %d: got %s", at, advised(err))
		}
		d.restore()
		h.finish()
	}
}
