package trace

import "fmt"

// Follow is a Sink that refuses the first effect that an approved trace does
// not have next. Effects of an op that rested on a guess may be left out, never
// added. In a Tee it goes first.
//
// It also refuses the end of a run that is Done before the approved trace is;
// an end with another outcome is told to the sinks after it.
type Follow struct {
	approved []approved
	// at are the places in approved where the run may be: where effects that may
	// be left out look alike there is more than one.
	at []int
}

type approved struct {
	effect    Event
	key       string
	mayBeLeft bool
}

// NewFollow returns a Follow of the effects among events.
func NewFollow(events []Event) *Follow {
	f := &Follow{at: []int{0}}
	for _, u := range units(events) {
		for _, e := range u.effects {
			f.approved = append(f.approved, approved{e, key(e), u.assumed()})
		}
		if u.head.Kind == Effect {
			f.approved = append(f.approved, approved{u.head, key(u.head), false})
		}
	}
	return f
}

// Emit refuses what is not approved with an error that wraps ErrDeviates.
func (f *Follow) Emit(e Event) error {
	switch {
	case e.Kind == Effect:
		return f.effect(e)
	case e.Kind == End && e.Outcome == Done && !f.done():
		return fmt.Errorf("%w: got the end, want %s", ErrDeviates, atSeq(*f.mustHave()))
	}
	return nil
}

func (f *Follow) effect(e Event) error {
	have, seen := key(e), map[int]bool{}
	var next []int
	for _, at := range f.at {
		for i := at; i < len(f.approved); i++ {
			if f.approved[i].key == have && !seen[i] {
				seen[i] = true
				next = append(next, i+1)
			}
			if !f.approved[i].mayBeLeft {
				break
			}
		}
	}
	if len(next) == 0 {
		return fmt.Errorf("%w: got %s, want %s", ErrDeviates, describe(e), f.want())
	}
	f.at = next
	return nil
}

func (f *Follow) done() bool { return f.mustHave() == nil }

// mustHave returns the next effect that may not be left out, as seen from the
// place that is farthest on.
func (f *Follow) mustHave() *Event {
	for i := f.farthest(); i < len(f.approved); i++ {
		if !f.approved[i].mayBeLeft {
			return &f.approved[i].effect
		}
	}
	return nil
}

func (f *Follow) farthest() (at int) {
	for _, i := range f.at {
		at = max(at, i)
	}
	return at
}

// want says what may come next.
func (f *Follow) want() string {
	if i := f.farthest(); i < len(f.approved) {
		return atSeq(f.approved[i].effect)
	}
	return "the end"
}

func atSeq(e Event) string { return fmt.Sprintf("%s (its event %d)", describe(e), e.Seq) }
