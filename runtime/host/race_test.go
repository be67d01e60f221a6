package host_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"runbook/runtime/host"
	"runbook/runtime/host/sample"
)

// TestRacedLinks swaps a directory and a link all the time while root walks
// past them.
func TestRacedLinks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root is led elsewhere")
	}
	dir := t.TempDir()
	canary, own := filepath.Join(dir, "canary"), filepath.Join(dir, "own")
	bait, link := filepath.Join(own, "d"), filepath.Join(own, "l")
	plant := func() {
		ok(t, os.MkdirAll(canary, 0o755), os.MkdirAll(bait, 0o755), os.WriteFile(canary+"/f", nil, 0o644), os.WriteFile(bait+"/f", nil, 0o644))
		os.Symlink(canary, link)
	}
	plant()
	stop, swaps := make(chan bool), make(chan int)
	go swap(bait, link, stop, swaps)
	l := host.NewLocal("/")
	rounds := sample.Count(t, 500, 1500)
	for range rounds {
		plant()
		for _, name := range []string{own, bait, link} { // whichever is the link: itself is given, not what it leads to
			l.Chown(name, host.Owner{User: "65534"}, 0)
		}
		l.SetMeta(bait, host.Meta{Mode: 0o700})
		l.Remove(bait, 0)
		l.Remove(own, 0)
		for _, name := range []string{canary, canary + "/f"} {
			fi, err := os.Lstat(name)
			if err != nil || fi.Sys().(*syscall.Stat_t).Uid != 0 || fi.IsDir() && fi.Mode().Perm() != 0o755 {
				t.Fatalf("led elsewhere: %v %v", fi, err)
			}
		}
	}
	close(stop)
	if n := <-swaps; n < rounds*2/3 {
		t.Errorf("only %d swaps: this has shown little", n)
	}
}

// swap exchanges two names until it is told to stop, then tells how often.
func swap(a, b string, stop chan bool, swaps chan int) {
	for n := 0; ; {
		select {
		case <-stop:
			swaps <- n
			return
		default:
		}
		if unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) == nil {
			n++
		}
	}
}
