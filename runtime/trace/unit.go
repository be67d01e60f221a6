package trace

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"runbook/runtime/host"
)

// A unit is what is compared at a time: an op with its effects and its result,
// or an event that stands alone.
type unit struct {
	head    Event
	effects []Event
	result  *Event
}

// units groups those events on which the equality of traces rests.
func units(events []Event) (all []unit) {
	var op *unit
	flush := func() {
		if op != nil {
			all = append(all, *op)
		}
		op = nil
	}
	for _, e := range events {
		switch {
		case e.Kind == Effect && op != nil:
			op.effects = append(op.effects, e)
		case e.Kind == Result && op != nil:
			op.result = &e
			flush()
		case e.Kind == Op:
			flush()
			op = &unit{head: e}
		case e.Kind == Step || e.Kind == Effect || e.Kind == Result:
			flush()
			all = append(all, unit{head: e})
		}
	}
	flush()
	return all
}

func (u unit) assumed() bool { return u.result != nil && len(u.result.Assumed) > 0 }

func (u unit) events() []Event {
	all := append([]Event{u.head}, u.effects...)
	if u.result != nil {
		all = append(all, *u.result)
	}
	return all
}

// eased returns dry and run, of which dry rested on a guess, with what a run
// may then do otherwise made alike: it may find nothing to change, leave out
// effects, or change from something else.
func eased(dry, run unit) (unit, unit) {
	dry.head.Changes, run.head.Changes = anyFrom(dry.head.Changes), anyFrom(run.head.Changes)
	if !slices.ContainsFunc(run.head.Changes, func(c host.Change) bool { return !slices.Contains(dry.head.Changes, c) }) {
		dry.head.Changes = run.head.Changes
	}
	if run.result != nil && run.result.Outcome == Same {
		result := *dry.result
		result.Outcome = Same
		dry.result = &result
	}
	dry.effects = without(dry.effects, run.effects)
	return dry, run
}

func anyFrom(changes []host.Change) []host.Change {
	changes = slices.Clone(changes)
	for i := range changes {
		changes[i].From = ""
	}
	return changes
}

// without leaves out of dry what run left out; what run adds stays a difference.
func without(dry, run []Event) (out []Event) {
	for _, e := range run {
		i := slices.IndexFunc(dry, func(d Event) bool { return key(d) == key(likeDry(d, e)) })
		if i < 0 {
			return append(out, dry...)
		}
		out, dry = append(out, e), dry[i+1:]
	}
	return out
}

// likeDry returns e without those digests and sizes that d could not know.
func likeDry(d, e Event) Event {
	if d.Call != e.Call || d.Path != e.Path {
		return e
	}
	e.Detail = maps.Clone(e.Detail)
	for _, name := range []string{"sha256", "bytes", "digest"} {
		if _, known := d.Detail[name]; !known {
			delete(e.Detail, name)
		}
	}
	return e
}

// key is what an event in two traces must agree on, as text.
func key(e Event) string {
	var b strings.Builder
	for _, f := range compared(e) {
		b.WriteString(f.name + ":" + string(f.raw) + "\n")
	}
	return b.String()
}

// compared returns the fields that must be equal: not the number, the hash, the
// times, what was observed or assumed, and what the event calls volatile.
func compared(e Event) []field {
	e.Detail = maps.Clone(e.Detail)
	for _, name := range e.Volatile {
		delete(e.Detail, strings.TrimPrefix(name, "detail."))
	}
	fs, err := fields(e)
	if err != nil { // a value that is no JSON: no writer accepts it
		return []field{{"error", json.RawMessage(err.Error())}}
	}
	fs = slices.DeleteFunc(fs, func(f field) bool {
		return slices.Contains([]string{"time", "elapsed_ms", "observed", "assumed"}, f.name) || slices.Contains(e.Volatile, f.name)
	})
	return append([]field{{"kind", quoteJSON(string(e.Kind))}}, fs...)
}
