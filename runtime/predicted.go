package runtime

import "runbook/runtime/host"

// Predicted returns a dry run: it takes the same path on a copy-on-write view of
// machine, asks no person, assumes what it cannot know, and does not wait.
func Predicted(machine *host.Local, o Options) *Run { return Planned(machine, o) }

// Planned returns a dry run as Predicted does, of a machine that may be elsewhere: a snapshot stands for it.
func Planned(machine host.Base, o Options) *Run {
	if !machine.Usable() {
		return &Run{}
	}
	self := machine.Self()
	overlay := host.NewOverlay(withDir(machine, o.State, self), self)
	r := newRun(overlay, o)
	r.predicted, r.sleep, r.Person = true, noWaiting, assuming{}
	machine.Tell(r.probed)
	overlay.Assume, overlay.Mute = r.assume, o.Mute
	return r
}
