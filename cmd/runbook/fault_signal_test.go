package main

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"runbook/runtime/trace"
)

// A signal ends a run in order: what is under way is ended, or seen through if it is a package manager; the trace
// says so; and the next run goes on from there. A terminal that goes away ends nothing.
func TestSignals(t *testing.T) {
	t.Parallel()
	dir := expandedMedia(t)
	s := newSite(t, dir)
	s.run(0, slices.Concat([]string{"run", "install.star"}, alone, []string{"--trace", "/root/whole.jsonl"})...)
	want, whole := s.normal(), events(t, s, "/root/whole.jsonl")
	s.Kill()
	for _, c := range []struct {
		name, step, program string // the first effect of the step that runs the program
		sig                 syscall.Signal
		after               time.Duration
	}{
		{"Ctrl-C while yum installs", "mongodb", "yum", syscall.SIGINT, 150 * time.Millisecond},
		{"SIGTERM while yum starts", "mongodb", "yum", syscall.SIGTERM, time.Millisecond},
		{"Ctrl-C while conda's installer unpacks", "miniconda", "bash", syscall.SIGINT, 10 * time.Millisecond},
		{"SIGTERM while conda installs", "packages", "conda", syscall.SIGTERM, 20 * time.Millisecond},
		{"Ctrl-C while supervisord starts", "supervisor", "supervisord", syscall.SIGINT, 500 * time.Millisecond},
		{"Ctrl-C while packages are mirrored", "mirror_anaconda", "", syscall.SIGINT, 5 * time.Millisecond},
		{"hangup while yum installs", "mongodb", "yum", syscall.SIGHUP, 50 * time.Millisecond},
		{"hangup while packages are mirrored", "mirror_anaconda", "", syscall.SIGHUP, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, dir)
			defer s.Kill()
			g := s.gate("/root/signalled.jsonl", append([]string{"run", "install.star"}, alone...)...)
			g.hold(1 + slices.IndexFunc(whole, func(e trace.Event) bool {
				return e.Step == c.step && (e.Call == "tree" || e.Call == "exec" && strings.HasSuffix(e.Argv[0], c.program))
			}))
			g.step()
			g.release()
			time.Sleep(c.after)
			signalled(t, s, g, c.sig)
			if c.program == "yum" {
				s.Must("! pgrep -x yum && ! pgrep -x dnf && rpm -q mongodb-org mongodb-org-server mongodb-org-shell mongodb-org-mongos mongodb-org-tools")
			}
			converges(t, s, want, false)
		})
	}
}

// signalled sends sig and looks at how the run ends.
func signalled(t *testing.T, s site, g *gated, sig syscall.Signal) {
	t.Helper()
	code, wantCode, want := g.end(sig), 130, trace.Interrupted
	if sig == syscall.SIGHUP {
		wantCode, want = 0, trace.Done
	}
	if code != wantCode {
		t.Errorf("got exit %d, want %d\n%s", code, wantCode, g.said())
	}
	told := events(t, s, "/root/signalled.jsonl")
	if last := told[len(told)-1]; last.Kind != trace.End || last.Outcome != want {
		t.Errorf("the trace ends with %s %s, want end %s", last.Kind, last.Outcome, want)
	}
	s.run(0, "audit", "verify", "/root/signalled.jsonl")
	if said := g.said(); want == trace.Interrupted && strings.Count(said, "interrupted by "+unix.SignalName(sig)) != 1 || strings.Contains(said, "context canceled") {
		t.Errorf("the person is told:\n%s", said)
	}
}
