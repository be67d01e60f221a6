package runtime

import "runbook/runtime/host"

// OnHost is OnMachine for a host that is not the machine.
func OnHost(h host.Host, o Options) *Run { return newRun(h, o) }

// Assuming is the person of a dry run.
type Assuming = assuming
