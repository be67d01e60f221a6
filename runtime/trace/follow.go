package trace

import "slices"

// Follow is the Sink of NewFollow.
type Follow struct {
	run      *RunInfo // of the approved trace, nil without one
	edited   bool     // other sources are accepted
	approved []approved
	op       string          // the builtin whose effects come
	asked    map[string]bool // questions that were approved
	// at are the places in approved where the run may be, in their order: more
	// than one where events that may be left out look alike.
	at []int
}

// An approved event is an effect or a question that the run may have.
type approved struct {
	event     Event
	identity  string
	mayBeLeft bool
}

// matches reports whether e is the approved event. Of one that may be left out, the
// dry run did not know all.
func (a approved) matches(e Event, id string) bool {
	return a.identity == id || a.mayBeLeft && a.identity == identity(withoutUnpredicted(a.event, e))
}

// NewFollow returns a Sink that follows events, an approved trace. It refuses a run
// of another runbook, with other vars or, unless edited says so, other sources, or on
// another host, or whose commands are confined less; then the first effect or question
// that does not come next. Effects of an op that rested on a guess, and questions, may be
// left out, never added; a question may be asked again within its step. It also refuses
// the end of a run that is Done before the approved trace is; an end with another outcome
// goes on to the sinks after it. In a Tee it goes first.
func NewFollow(events []Event, edited bool) *Follow {
	f := &Follow{at: []int{0}, edited: edited, asked: map[string]bool{}}
	add := func(e Event, mayBeLeft bool) { f.approved = append(f.approved, approved{e, identity(e), mayBeLeft}) }
	for _, u := range units(events) {
		for _, e := range u.asked {
			add(e, true)
		}
		for _, e := range u.effects {
			add(e, u.assumed())
		}
		if u.head.Kind == Effect || u.head.Kind == Probe {
			add(u.head, u.head.Kind == Probe)
		}
	}
	for i := range events {
		if events[i].Kind == Run {
			f.run = events[i].Run
		}
	}
	return f
}

// Emit refuses what is not approved with an error that wraps ErrDeviates.
func (f *Follow) Emit(e Event) error {
	switch {
	case e.Kind == Run && f.run != nil:
		return f.ground(e)
	case e.Kind == Op:
		f.op = e.Op
	case e.Kind == Effect:
		e.Op = f.op
		return f.take(e, identity(e))
	case e.Kind == Probe && e.Asker != "":
		return f.Ask(e)
	case e.Kind == End && e.Outcome == Done:
		if missing := f.mustHave(); missing != nil {
			return comparison(missing, &Event{Kind: End}).Err()
		}
	}
	return nil
}

// Ask refuses a question that is not approved, as Emit does. It is called before the
// question is put.
func (f *Follow) Ask(e Event) error {
	id := identity(e)
	if f.asked[id] {
		return nil
	}
	f.asked[id] = true
	return f.take(e, id)
}

// ground compares what a run stands on: its runbook, vars, sources and host.
func (f *Follow) ground(e Event) error {
	want, have := f.run.ground(), e.Run.ground()
	if f.edited {
		have["sources"] = want["sources"]
	}
	if f.run.Confine != "" && e.Run.Confine != ConfineOffline { // more than was approved is no harm
		want["confine"], have["confine"] = f.run.Confine, e.Run.Confine
	}
	name, inWant, inHave := descend("", want, have)
	if inWant == inHave {
		return nil
	}
	return Difference{A: &Event{Kind: Run, Run: f.run, Seq: 1}, B: &e, Field: name[1:], InA: inWant, InB: inHave}.Err()
}

// ground returns what two runs must agree on before they begin. A kernel is updated
// and a machine started anew between a plan and its run.
func (r *RunInfo) ground() map[string]any {
	vars, sources := map[string]any{}, map[string]any{}
	for _, v := range r.Vars {
		raw, _ := marshal(v.Value) // has a JSON form, as the trace is written in
		vars[v.Name] = decoded(raw)
	}
	for _, s := range r.Sources {
		sources[s.Name] = s.SHA256
	}
	host := map[string]any{"hostname": r.Host.Hostname, "os": r.Host.OS, "machine": r.Host.Machine}
	return map[string]any{"runbook": r.Runbook, "vars": vars, "sources": sources, "host": host}
}

// take moves on behind an event that may come next.
func (f *Follow) take(e Event, id string) error {
	var next []int
	for _, i := range f.reachable() {
		if f.approved[i].matches(e, id) {
			next = append(next, i+1)
		}
	}
	if len(next) == 0 {
		return f.refusal(e)
	}
	f.at = next
	return nil
}

// reachable returns the places of the events that may come next, in their order.
func (f *Follow) reachable() (places []int) {
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

// refusal says how e differs from an approved event: the first one with the same
// target that may come next, else the next one of its kind.
func (f *Follow) refusal(e Event) error {
	rest := f.approved[f.farthest():]
	next := slices.IndexFunc(rest, func(a approved) bool { return a.event.Kind == e.Kind })
	want := &Event{Kind: End}
	if next >= 0 {
		want = &rest[next].event
	}
	for _, i := range f.reachable() {
		if sameTarget(f.approved[i].event, e) {
			want = &f.approved[i].event
			break
		}
	}
	return comparison(want, &e).Err()
}

func sameTarget(a, b Event) bool {
	return a.Kind == b.Kind && a.Call == b.Call && a.Path == b.Path && a.URL == b.URL && slices.Equal(a.Argv, b.Argv)
}

// mustHave returns the next event that may not be left out, as seen from the
// place that is farthest on.
func (f *Follow) mustHave() *Event {
	for i := f.farthest(); i < len(f.approved); i++ {
		if !f.approved[i].mayBeLeft {
			return &f.approved[i].event
		}
	}
	return nil
}

func (f *Follow) farthest() int { return f.at[len(f.at)-1] }
