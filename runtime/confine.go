package runtime

import (
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// hold has the host hold c to what its effect declares, if the run confines commands,
// and says in detail to what, or why it is not held.
func (d *door) hold(c *host.Cmd, detail map[string]any) {
	if d.run.Info.Confine == "" {
		return
	}
	bounds, free := c.Bounds()
	if free != "" {
		detail[trace.Confined] = trace.NotEnforced + free
		return
	}
	bounds.Offline = d.run.Info.Confine == trace.ConfineOffline
	c.Within = &bounds
	detail[trace.Confined] = map[string]any{
		"by": host.Confinement(), "writes": bounds.Trees, "makes": bounds.Names, "network": !bounds.Offline,
	}
}

// loose notes that the kernel did not hold a command.
func (d *door) loose(res host.Result) {
	if res.Loose != "" {
		Observe(d.run.ctx, trace.Confined, trace.NotEnforced+res.Loose)
	}
}
