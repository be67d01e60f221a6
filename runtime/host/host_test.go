package host_test

import (
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
