package trace

// A Pair is what two traces have in the same place: an op with all that belongs to it, a step or a question.
type Pair struct {
	A, B               *Event  // nil where a trace has nothing there
	OutcomeA, OutcomeB Outcome // of ops that ended
	Equal              bool
	Excused            bool       // not equal, and may differ so: the dry run had assumed it
	Difference         Difference // if not Equal
}

// Pairs compares two traces as [Diff] does, and goes on behind a difference: what one of them lacks stands alone.
func Pairs(a, b []Event) (all []Pair) {
	ua, ub := units(a), units(b)
	dryA, dryB := isDryRun(a), isDryRun(b)
	if dryA == dryB {
		dryA, dryB = true, true
	}
	later := map[string][]int{} // where b has what
	for i, u := range ub {
		later[u.place()] = append(later[u.place()], i)
	}
	next := 0
	for i := range ua {
		at := -1
		for list := later[ua[i].place()]; len(list) > 0; list = list[1:] {
			if list[0] >= next {
				at = list[0]
				break
			}
			later[ua[i].place()] = list[1:]
		}
		if at < 0 {
			all = append(all, alone(&ua[i], nil))
			continue
		}
		for ; next < at; next++ {
			all = append(all, alone(nil, &ub[next]))
		}
		all = append(all, paired(ua[i], ub[at], dryA, dryB))
		next = at + 1
	}
	for ; next < len(ub); next++ {
		all = append(all, alone(nil, &ub[next]))
	}
	return all
}

// place is by what units of two traces find each other.
func (u unit) place() string {
	e := u.head
	return string(e.Kind) + "\x00" + e.Step + "\x00" + e.State + "\x00" + e.Op + "\x00" + e.Target + "\x00" + describe(e)
}

func (u unit) outcome() Outcome {
	if u.result == nil {
		return ""
	}
	return u.result.Outcome
}

func alone(a, b *unit) Pair {
	if b == nil {
		return Pair{A: &a.head, OutcomeA: a.outcome(), Difference: (&gap{&a.head, nil}).difference(*a, unit{})}
	}
	return Pair{B: &b.head, OutcomeB: b.outcome(), Difference: (&gap{nil, &b.head}).difference(unit{}, *b)}
}

func paired(a, b unit, dryA, dryB bool) Pair {
	p := Pair{A: &a.head, B: &b.head, OutcomeA: a.outcome(), OutcomeB: b.outcome()}
	strict := firstGap(a, b)
	if strict == nil {
		p.Equal = true
		return p
	}
	if left := tolerantGap(*strict, a, b, dryA, dryB); left != nil {
		p.Difference = left.difference(a, b)
		return p
	}
	p.Excused, p.Difference = true, strict.difference(a, b)
	return p
}
