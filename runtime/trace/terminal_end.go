package trace

import (
	"fmt"
	"strings"
)

// A summary is what is said last.
type summary struct {
	title   string // of the runbook
	counts  Counts
	left    int    // steps left out
	assumed int    // ops that rest on a guess
	failed  string // error of the last op that failed
}

func (s *summary) count(e Event) {
	s.counts.add(e)
	if len(e.Assumed) > 0 {
		s.assumed++
	}
	if e.Outcome == Failed {
		s.failed = e.Error
	}
}

// words are the counts, of what there is any.
func (s summary) words(dry bool) string {
	changed := "%d changed"
	if dry {
		changed = "%d would change"
	}
	steps := "%d steps left out"
	if s.left == 1 {
		steps = "%d step left out"
	}
	var parts []string
	for _, p := range []struct {
		n      int
		format string
	}{
		{s.counts.Failed, "%d failed"}, {s.counts.Changed, changed}, {s.counts.Same, "%d already so"},
		{s.counts.Skipped, "%d skipped"}, {s.left, steps}, {s.assumed, "%d assumed"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf(p.format, p.n))
		}
	}
	if len(parts) == 0 {
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}

// end shows the error, unless somebody tells it, and the summary.
func (t *Terminal) end(e Event) {
	t.op, t.heading = Event{}, ""
	if !t.opts.Quiet {
		t.line("", "")
	}
	if e.Error != "" && !t.opts.Told && (t.sum.failed == "" || !strings.Contains(e.Error, t.sum.failed)) {
		t.block("", e.Error)
		t.hint("  ", e.Hint)
	}
	verdict := map[Outcome]string{Done: "done", Failed: "failed", Interrupted: "interrupted"}[e.Outcome]
	if t.dry {
		verdict = "dry run " + verdict
	}
	if d := e.Time.Sub(t.start); !t.start.IsZero() && d > 0 {
		verdict += " in " + spent(d)
	}
	t.line("", t.paint.of(e.Outcome).Sprint(t.sum.title+" "+verdict)+": "+t.sum.words(t.dry))
}
