package trace

import (
	"fmt"
	"strings"
)

// A summary is what is said last.
type summary struct {
	runbook string
	counts  Counts
	left    int    // steps left out
	assumed int    // ops that rest on a guess
	asked   int    // questions of the runbook that a dry run put
	failed  string // error of the last op that failed
}

func (s *summary) count(e Event) {
	s.counts.Add(e)
	if len(e.Assumed) > 0 && e.Kind == Result {
		s.assumed++
	}
	if e.Outcome == Failed {
		s.failed = e.Error
	}
}

// words returns the counts that are not zero.
func (s summary) words(outcome Outcome, dry bool) string {
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
		{s.counts.Skipped, "%d skipped"}, {s.left, steps}, {s.assumed, "%d assumed"}, {s.asked, "%d asked"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf(p.format, p.n))
		}
	}
	switch {
	case len(parts) == 0 && outcome != Done:
		return "nothing was done"
	case len(parts) == 0:
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}
