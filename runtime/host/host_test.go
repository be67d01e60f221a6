package host_test

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"
	"testing"

	"runbook/runtime/host"
	"runbook/runtime/host/hosttest"
)

func TestLocal(t *testing.T) {
	hosttest.Suite(t, func(t *testing.T) host.Host { return host.NewLocal(hosttest.Machine(t)) })
}

func TestOverlay(t *testing.T) {
	hosttest.Suite(t, func(t *testing.T) host.Host {
		base := host.NewLocal(hosttest.Machine(t))
		return host.NewOverlay(base, base.Self())
	})
}

// TestOverlayOnOverlay shows that an overlay asks nothing of its base that is
// not in Reader.
func TestOverlayOnOverlay(t *testing.T) {
	hosttest.Suite(t, func(t *testing.T) host.Host { return host.NewOverlay(over(t), host.Owner{}) })
}

// over returns root's overlay of a fresh machine.
func over(t *testing.T) *host.Overlay {
	return host.NewOverlay(host.NewLocal(hosttest.Machine(t)), host.Owner{})
}

// TestManyLinks shows that all hosts follow as many links as the kernel does.
func TestManyLinks(t *testing.T) {
	dir := hosttest.Machine(t)
	below := host.NewLocal(dir)
	ok(t, put(below, "/0"))
	for i := 1; i <= 41; i++ {
		ok(t, below.Symlink(fmt.Sprint(i-1), fmt.Sprintf("/%d", i), host.Owner{}))
	}
	for name, c := range map[string]struct {
		h   host.Reader
		dir string
	}{"kernel": {host.NewLocal("/"), dir}, "below a root": {below, "/"}, "overlay": {host.NewOverlay(below, host.Owner{}), "/"}} {
		if _, err := host.ReadFile(c.h, path.Join(c.dir, "40")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := host.ReadFile(c.h, path.Join(c.dir, "41")); !errors.Is(err, syscall.ELOOP) {
			t.Errorf("%s: got %v after 41 links", name, err)
		}
	}
}

// TestHardLinks shows that a tree is given away without the files that have names outside of it.
func TestHardLinks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root gives files away")
	}
	var left [2]string
	for i := range left {
		dir := hosttest.Machine(t)
		ok(t, os.MkdirAll(dir+"/d/e", 0o755), os.WriteFile(dir+"/out", []byte("o"), 0o644), os.WriteFile(dir+"/d/f", nil, 0o644),
			os.Link(dir+"/out", dir+"/d/e/in"), os.Link(dir+"/d/f", dir+"/d/e/f2"))
		var h host.Host = host.NewLocal(dir)
		if i == 1 {
			h = host.NewOverlay(h, host.Owner{})
		}
		ann := host.Owner{User: "ann", Group: "staff"}
		if n, spared, err := host.Differ(h, "/d", ann); n != 4 || spared != 1 || err != nil {
			t.Errorf("got %d, %d, %v, want 4 to give and 1 to spare", n, spared, err)
		}
		ok(t, h.Chown("/d", ann, 4))
		left[i] = hosttest.Tree(h, "/")
		if n, spared, err := host.Differ(h, "/d", ann); n != 0 || spared != 1 || err != nil {
			t.Errorf("afterwards: got %d, %d, %v, want 0 to give and 1 to spare", n, spared, err)
		}
	}
	if left[0] != left[1] || strings.Count(left[0], "{root root}") != 2 {
		t.Errorf("got\n%s\nand predicted\n%s", left[0], left[1])
	}
}
