package runtime

import (
	"context"

	"runbook/runtime/host"
)

// An Op is one thing that a runbook wants to be true of a host. It is an
// immutable value: what Check finds is in the actions that it returns.
type Op interface {
	// Check compares the host with what is wanted and returns the actions that
	// make it so, in the order in which they must be done; none if all holds.
	// It only reads, and is called again before another try.
	Check(ctx context.Context, h host.Reader) ([]Action, error)
}

// An Action is a change, for people, and the deed that makes it, for the host.
type Action struct {
	host.Change
	// Do makes the change on the host that Check read. It is nil where the deed
	// of an action before this one makes both.
	Do Deed
}

// A Deed makes changes. It calls methods of h and nothing else that changes a machine.
type Deed func(ctx context.Context, h host.Host) error

// Actions returns the actions of changes that one deed makes together.
func Actions(do Deed, changes ...host.Change) []Action {
	if len(changes) == 0 {
		return nil
	}
	actions := make([]Action, len(changes))
	for i, c := range changes {
		actions[i].Change = c
	}
	actions[0].Do = do
	return actions
}
