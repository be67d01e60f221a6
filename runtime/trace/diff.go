package trace

import "slices"

// Diff compares two traces by their step, op, effect and result events, and
// returns the first difference. Left out are numbers, hashes, times, what was
// observed or assumed, and what an event lists as volatile. Where an op of the
// dry run rested on a guess, the run may find that nothing is to be changed,
// leave out effects, or change from something else; if not exactly one of the
// traces is of a dry run, either may be taken for it.
func Diff(a, b []Event) Difference {
	ua, ub := units(a), units(b)
	dryA, dryB := isDryRun(a), isDryRun(b)
	if dryA == dryB {
		dryA, dryB = true, true
	}
	assumed := 0
	for i := range min(len(ua), len(ub)) {
		strict := firstGap(ua[i], ub[i])
		if strict == nil {
			continue
		}
		if g := easedGap(strict, ua[i], ub[i], dryA, dryB); g != nil {
			return g.difference(ua[i], ub[i])
		}
		assumed++
	}
	if len(ua) != len(ub) {
		return uneven(ua, ub)
	}
	return Difference{Equal: true, Assumed: assumed}
}

func isDryRun(events []Event) bool {
	return slices.ContainsFunc(events, func(e Event) bool { return e.Kind == Run && e.Run != nil && e.Run.Mode == DryRun })
}

// A gap is the first place where two units differ; one side may have nothing there.
type gap struct{ a, b *Event }

func firstGap(a, b unit) *gap {
	ea, eb := a.events(), b.events()
	for i := range max(len(ea), len(eb)) {
		switch {
		case i >= len(ea):
			return &gap{nil, &eb[i]}
		case i >= len(eb):
			return &gap{&ea[i], nil}
		case key(ea[i]) != key(eb[i]):
			return &gap{&ea[i], &eb[i]}
		}
	}
	return nil
}

// easedGap returns what of a difference remains if a side that is of a dry run
// rested on a guess.
func easedGap(strict *gap, a, b unit, dryA, dryB bool) *gap {
	left := strict
	if dryA && a.assumed() {
		left = firstGap(eased(a, b))
	}
	if left != nil && dryB && b.assumed() {
		if left = firstGap(eased(b, a)); left != nil {
			left.a, left.b = left.b, left.a
		}
	}
	return left
}

// uneven tells which trace goes on where the other has ended.
func uneven(a, b []unit) Difference {
	if n := len(b); n < len(a) {
		return (&gap{&a[n].head, nil}).difference(a[n], unit{})
	}
	n := len(a)
	return (&gap{nil, &b[n].head}).difference(unit{}, b[n])
}
