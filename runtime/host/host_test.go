package host_test

import (
	"errors"
	"fmt"
	"path"
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
