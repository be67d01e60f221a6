package runtime

import (
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// fidelity says how well it is known what c does.
func fidelity(c host.Cmd) trace.Fidelity {
	switch {
	case len(c.Assumes) > 0 || c.MayMake:
		return trace.Guessed
	case c.Brings || len(c.Touches)+len(c.TouchesFacts) > 0:
		return trace.Bounded
	}
	return trace.Exact
}
