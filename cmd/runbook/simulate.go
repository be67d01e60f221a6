package main

import (
	"context"

	"runbook/builtins"
	"runbook/runtime"
	"runbook/runtime/trace"
)

// simulate returns what a first run of a runbook would do on a machine: the events of its trace. Nothing of this
// machine is read.
func simulate(ctx context.Context, m builtins.Machine, book *runtime.Runbook) ([]trace.Event, error) {
	sim, err := m.Simulate()
	if err != nil {
		return nil, err
	}
	return sim.Run(ctx, book, runtime.Options{})
}
