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
	hosttest.Suite(t, func(t *testing.T) host.Host { return over(t) })
}

// TestOverlayOnOverlay shows that an overlay asks nothing of its base that is
// not in Reader.
func TestOverlayOnOverlay(t *testing.T) {
	hosttest.Suite(t, func(t *testing.T) host.Host { return host.NewOverlay(over(t), host.Owner{}) })
}

// over returns an overlay of a fresh machine, as whoever runs the test.
func over(t *testing.T) *host.Overlay {
	base := host.NewLocal(hosttest.Machine(t))
	return host.NewOverlay(base, base.Self())
}
