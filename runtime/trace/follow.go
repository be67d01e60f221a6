package trace

import (
	"fmt"
	"slices"
)

// A follow is the Sink of NewFollow.
type follow struct {
	approved []approved
	op       string // the builtin whose effects come
	// at are the places in approved where the run may be, in their order: more
	// than one where effects that may be left out look alike.
	at []int
}

// An approved effect is one that the run may have.
type approved struct {
	effect    Event
	identity  string
	mayBeLeft bool
}

// NewFollow returns a Sink that refuses the first effect that does not come next
// among events, an approved trace. Effects of an op that rested on a guess may be
// left out, never added. It also refuses the end of a run that is Done before
// the approved trace is; an end with another outcome goes on to the sinks after
// it. In a Tee it goes first.
func NewFollow(events []Event) Sink {
	f := &follow{at: []int{0}}
	for _, u := range units(events) {
		for _, e := range u.effects {
			f.approved = append(f.approved, approved{e, identity(e), u.assumed()})
		}
		if u.head.Kind == Effect {
			f.approved = append(f.approved, approved{u.head, identity(u.head), false})
		}
	}
	return f
}

// Emit refuses what is not approved with an error that wraps ErrDeviates.
func (f *follow) Emit(e Event) error {
	switch {
	case e.Kind == Op:
		f.op = e.Op
	case e.Kind == Effect:
		e.Op = f.op
		return f.effect(e)
	case e.Kind == End && e.Outcome == Done:
		if missing := f.mustHave(); missing != nil {
			return fmt.Errorf("%w: got the end, want %s", ErrDeviates, atSeq(*missing))
		}
	}
	return nil
}

func (f *follow) effect(e Event) error {
	have := identity(e)
	var next []int
	for _, i := range f.reachable() {
		if f.approved[i].identity == have {
			next = append(next, i+1)
		}
	}
	if len(next) == 0 {
		return f.refusal(e)
	}
	f.at = next
	return nil
}

// reachable returns the places of the effects that may come next, in their order.
func (f *follow) reachable() (places []int) {
	for _, at := range f.at {
		if len(places) > 0 && at <= places[len(places)-1] {
			continue // the places that can be reached from it are there already
		}
		for i := at; i < len(f.approved); i++ {
			places = append(places, i)
			if !f.approved[i].mayBeLeft {
				break
			}
		}
	}
	return places
}

// refusal says how e differs from an approved effect: the first one with the same
// target that may come next, else the next one.
func (f *follow) refusal(e Event) error {
	next := f.farthest()
	for _, i := range f.reachable() {
		if sameTarget(f.approved[i].effect, e) {
			next = i
			break
		}
	}
	if next == len(f.approved) {
		return fmt.Errorf("%w: got %s, want the end", ErrDeviates, describe(e))
	}
	want := f.approved[next].effect
	name, inWant, inHave := differing(compared(want), compared(e))
	return fmt.Errorf("%w: got %s, want %s: field %s: got %s, want %s",
		ErrDeviates, describe(e), atSeq(want), name, shownValue(inHave), shownValue(inWant))
}

func sameTarget(a, b Event) bool {
	return a.Call == b.Call && a.Path == b.Path && slices.Equal(a.Argv, b.Argv)
}

// mustHave returns the next effect that may not be left out, as seen from the
// place that is farthest on.
func (f *follow) mustHave() *Event {
	for i := f.farthest(); i < len(f.approved); i++ {
		if !f.approved[i].mayBeLeft {
			return &f.approved[i].effect
		}
	}
	return nil
}

func (f *follow) farthest() int { return f.at[len(f.at)-1] }

func atSeq(e Event) string { return fmt.Sprintf("%s (its event %d)", describe(e), e.Seq) }
