package trace_test

import (
	"testing"
	"time"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// Traces of one plan have one digest, whatever the host and the time are; those of two plans have two.
func TestDigest(t *testing.T) {
	plan := func(hostname, mode string, at time.Time) []trace.Event {
		return []trace.Event{
			{Kind: trace.Run, Time: at, Run: &trace.RunInfo{Mode: trace.DryRun, Host: trace.Machine{Hostname: hostname}}},
			{Kind: trace.Step, Time: at, Step: "s", State: trace.Begin},
			{Kind: trace.Op, Time: at, Step: "s", Op: "mkdir", Target: "/srv/x", Changes: []host.Change{{What: "mode", To: mode}}},
			{Kind: trace.Result, Time: at, Step: "s", Op: "mkdir", Target: "/srv/x", Outcome: trace.Changed},
			{Kind: trace.End, Time: at, Outcome: trace.Done},
		}
	}
	a, b := plan("web1", "0755", time.Unix(1, 0)), plan("web2", "0755", time.Unix(2, 0))
	if trace.Digest(a) != trace.Digest(b) || !trace.Diff(a, b).Equal {
		t.Error("one plan for two hosts has two digests")
	}
	if c := plan("web1", "0700", time.Unix(1, 0)); trace.Digest(a) == trace.Digest(c) || trace.Diff(a, c).Equal {
		t.Error("two plans have one digest")
	}
}
