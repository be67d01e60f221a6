package runtime

import (
	"context"

	"runbook/runtime/host"
)

// An Op is one thing a runbook wants to be true of a host.
type Op interface {
	// Check returns what must change for the op to hold; nothing if it holds.
	// It may be called again before another try.
	Check(ctx context.Context, h host.Reader) ([]host.Change, error)
	// Apply makes the changes that the last Check returned for the same host.
	Apply(ctx context.Context, h host.Host, todo []host.Change) error
}
