package trace

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"runbook/runtime/host"
)

// A Difference is how two traces, or two events of theirs, compare.
type Difference struct {
	Equal   bool
	Assumed []Difference // before the first one, which only such ops have as may, because they rested on a guess

	// The rest is about the first difference.
	A, B  *Event // nil where a trace has no event to compare with the other's
	Step  string
	Op    string   // the op under way and its target; may be empty
	Field string   // in which A and B differ, such as "detail.mode" or "changes[0].to"
	InA   string   // what the field holds, as JSON; empty if there is no such field
	InB   string   // the same of B
	Rests []string // the guesses of the op
}

// Diff compares two traces by their step, op, effect and result events and by what
// the runbook asks, and returns the first difference. Left out are numbers, hashes,
// times, positions, what was observed or assumed, and what the effects of some ops may
// differ in. Where an op of the dry run rested on a guess, the run may find that nothing
// is to be changed, leave out effects, or change from something else; if not exactly one of the
// traces is of a dry run, either may be taken for it.
func Diff(a, b []Event) Difference {
	ua, ub := units(a), units(b)
	dryA, dryB := isDryRun(a), isDryRun(b)
	if dryA == dryB {
		dryA, dryB = true, true
	}
	var assumed []Difference
	for i := range min(len(ua), len(ub)) {
		strict := firstGap(ua[i], ub[i])
		if strict == nil {
			continue
		}
		if g := tolerantGap(*strict, ua[i], ub[i], dryA, dryB); g != nil {
			d := g.difference(ua[i], ub[i])
			d.Assumed = assumed
			return d
		}
		assumed = append(assumed, strict.difference(ua[i], ub[i]))
	}
	if len(ua) != len(ub) {
		return uneven(ua, ub)
	}
	return Difference{Equal: true, Assumed: assumed}
}

func isDryRun(events []Event) bool {
	return slices.ContainsFunc(events, func(e Event) bool {
		return e.Kind == Run && e.Run != nil && e.Run.Mode == DryRun
	})
}

// String returns one line if the traces are equal, else three: where, A, B.
func (d Difference) String() string {
	if d.Equal && len(d.Assumed) > 0 {
		return fmt.Sprintf("equal, %d assumed differ", len(d.Assumed))
	}
	if d.Equal {
		return "equal"
	}
	return d.lines("different")
}

// Explained returns String and, of each op that rested on a guess, what differs and
// what was guessed.
func (d Difference) Explained() string {
	text := d.String()
	for _, a := range d.Assumed {
		text += "\n" + a.lines("assumed")
		for _, r := range a.Rests {
			text += "\n  assumed: " + Quote(r)
		}
	}
	return text
}

func (d Difference) lines(where string) string {
	if d.Step != "" {
		where += " in step " + Quote(d.Step)
	}
	if d.Op != "" {
		where += ", " + Quote(d.Op)
	}
	if d.Field != "" {
		where += fmt.Sprintf(": %s of the %s", Quote(d.Field), d.A.Kind)
	}
	return fmt.Sprintf("%s\n  A  %s\n  B  %s", where, d.side(d.A, d.InA, d.InB), d.side(d.B, d.InB, d.InA))
}

func (d Difference) side(e *Event, value, other string) string {
	if e == nil {
		return "has nothing here"
	}
	s := fmt.Sprintf("event %d  %s", e.Seq, Quote(describe(*e)))
	if d.Field != "" {
		s += "\n       " + shownValue(value, other)
	}
	return s
}

// shownValue returns the value of a field, as JSON, from a little before the place where
// it differs from the other's, and in a length that can be read.
func shownValue(value, other string) string {
	const before, longest = 40, 1000
	value, other = Quote(cmp.Or(value, "(nothing)")), Quote(other)
	n := 0
	for n < min(len(value), len(other)) && value[n] == other[n] {
		n++
	}
	if n > 2*before {
		value = "..." + strings.ToValidUTF8(value[n-before:], "")
	}
	if short := trimTo(value, longest); short != value {
		value = fmt.Sprintf("%s (%d more bytes)", short, len(value)-len(short))
	}
	return value
}

// Err returns nil if the traces are equal, else an error that wraps ErrDeviates and
// says how B differs from A, which is approved.
func (d Difference) Err() error {
	if d.Equal {
		return nil
	}
	text := fmt.Sprintf("got %s, want %s", placed(d.B), placed(d.A))
	if d.Field != "" {
		text += fmt.Sprintf(": field %s: got %s, want %s", Quote(d.Field), shownValue(d.InB, d.InA), shownValue(d.InA, d.InB))
	}
	return fmt.Errorf("%w: %s", ErrDeviates, text)
}

// placed describes an event and, of one in a file, which it is.
func placed(e *Event) string {
	switch {
	case e == nil:
		return "nothing"
	case e.Kind == End:
		return "the end"
	case e.Seq == 0:
		return describe(*e)
	}
	return fmt.Sprintf("%s (its event %d)", describe(*e), e.Seq)
}

// comparison returns how two events differ, each of which may be missing.
func comparison(a, b *Event) Difference {
	d := Difference{A: a, B: b}
	if a != nil && b != nil {
		d.Field, d.InA, d.InB = differing(compared(*a), compared(*b))
	}
	if d.Field == "kind" { // the descriptions of the events say so
		d.Field = ""
	}
	return d
}

// A unit is what is compared at a time: an op with what the runbook asks for it, its
// effects and its result, or an event that stands alone.
type unit struct {
	asked   []Event
	head    Event
	effects []Event
	result  *Event
}

// units groups those events on which the equality of traces rests.
func units(events []Event) []unit {
	g := grouping{seen: map[string]bool{}}
	for _, e := range events {
		g.add(e)
	}
	g.flush()
	return g.all
}

// A grouping is the work of units.
type grouping struct {
	all   []unit
	op    *unit
	asked []Event // for the op that follows
	seen  map[string]bool
}

func (g *grouping) add(e Event) {
	switch {
	case e.Kind == Probe:
		g.question(e)
	case e.Kind == Effect && g.op != nil:
		e.Op = g.op.head.Op
		g.op.effects = append(g.op.effects, e)
	case e.Kind == Result && g.op != nil:
		g.op.result = &e
		g.flush()
	case e.Kind == Op:
		asked := g.asked
		g.asked = nil
		g.flush()
		g.op = &unit{head: e, asked: asked}
	case e.Kind == Step || e.Kind == Effect || e.Kind == Result:
		g.flush()
		g.all = append(g.all, unit{head: e})
	}
}

// question takes what the runbook asks, each in a step once: how often something is
// asked until it holds is not for a plan to say.
func (g *grouping) question(e Event) {
	id := identity(e)
	if e.Asker == "" || g.seen[id] {
		return
	}
	g.seen[id] = true
	switch {
	case g.op != nil:
		g.op.asked = append(g.op.asked, e)
	case e.Asker == "query":
		g.all = append(g.all, unit{head: e})
	default:
		g.asked = append(g.asked, e)
	}
}

func (g *grouping) flush() {
	if g.op != nil {
		g.all = append(g.all, *g.op)
	}
	for _, e := range g.asked {
		g.all = append(g.all, unit{head: e})
	}
	g.op, g.asked = nil, nil
}

func (u unit) assumed() bool { return u.result != nil && len(u.result.Assumed) > 0 }

func (u unit) events() []Event {
	all := append(append(slices.Clone(u.asked), u.head), u.effects...)
	if u.result != nil {
		all = append(all, *u.result)
	}
	return all
}

// A gap is the first place where two units differ; one of them may have no event there.
type gap struct{ a, b *Event }

func firstGap(a, b unit) *gap {
	ea, eb := a.events(), b.events()
	for i := range max(len(ea), len(eb)) {
		switch {
		case i >= len(ea):
			return &gap{nil, &eb[i]}
		case i >= len(eb):
			return &gap{&ea[i], nil}
		case identity(ea[i]) != identity(eb[i]):
			return &gap{&ea[i], &eb[i]}
		}
	}
	return nil
}

// tolerantGap returns what of a difference remains if a side that is of a dry
// run rested on a guess.
func tolerantGap(strict gap, a, b unit, dryA, dryB bool) *gap {
	left := &strict
	if dryA && a.assumed() {
		left = firstGap(excuse(a, b))
	}
	if left != nil && dryB && b.assumed() {
		if left = firstGap(excuse(b, a)); left != nil {
			left.a, left.b = left.b, left.a
		}
	}
	return left
}

// uneven says which trace goes on where the other has ended.
func uneven(a, b []unit) Difference {
	if n := len(b); n < len(a) {
		return (&gap{&a[n].head, nil}).difference(a[n], unit{})
	}
	n := len(a)
	return (&gap{nil, &b[n].head}).difference(unit{}, b[n])
}

func (g *gap) difference(a, b unit) Difference {
	d := comparison(g.a, g.b)
	u := a
	if u.head.Kind == "" {
		u = b
	}
	if d.Step = u.head.Step; u.head.Kind == Op {
		d.Op = strings.TrimSpace(u.head.Op + " " + u.head.Target)
	}
	for _, u := range []unit{a, b} {
		if u.assumed() {
			d.Rests = u.result.Assumed
			break
		}
	}
	return d
}

// excuse returns a unit of a dry run that rested on a guess, and that of the
// run, with those differences removed that a guess excuses: the run may find
// nothing to change, leave out effects, or change from something else.
func excuse(dry, run unit) (unit, unit) {
	dry.head.Changes, run.head.Changes = withoutFrom(dry.head.Changes), withoutFrom(run.head.Changes)
	added := func(c host.Change) bool {
		return !slices.Contains(dry.head.Changes, c) &&
			!slices.Contains(dry.head.Changes, host.Change{What: c.What, To: host.InTheRun})
	}
	if !slices.ContainsFunc(run.head.Changes, added) {
		dry.head.Changes = run.head.Changes
	}
	if run.result != nil && run.result.Outcome == Same {
		result := *dry.result
		result.Outcome = Same
		dry.result = &result
	}
	dry.effects = withoutOmitted(dry.effects, run.effects)
	dry.asked = withoutOmitted(dry.asked, run.asked)
	return dry, run
}

func withoutFrom(changes []host.Change) []host.Change {
	changes = slices.Clone(changes)
	for i := range changes {
		changes[i].From = ""
	}
	return changes
}

// withoutOmitted leaves out of dry the effects that run left out; what run adds
// stays a difference.
func withoutOmitted(dry, run []Event) (out []Event) {
	for _, e := range run {
		i := slices.IndexFunc(dry, func(d Event) bool { return identity(d) == identity(withoutUnpredicted(d, e)) })
		if i < 0 {
			return append(out, dry...)
		}
		out, dry = append(out, e), dry[i+1:]
	}
	return out
}

// withoutUnpredicted returns e, an effect of a run, without those digests and
// sizes that dry, of the dry run, could not predict.
func withoutUnpredicted(dry, e Event) Event {
	if dry.Call != e.Call || dry.Path != e.Path {
		return e
	}
	e.Detail = maps.Clone(e.Detail)
	for _, name := range []string{"sha256", "bytes", "digest"} {
		if _, ok := dry.Detail[name]; !ok {
			delete(e.Detail, name)
		}
	}
	return e
}

// identity is what an event in two traces must agree on, as text.
func identity(e Event) string {
	var b strings.Builder
	for _, f := range compared(e) {
		b.WriteString(f.name + ":" + string(f.raw) + "\n")
	}
	return b.String()
}

// compared returns the fields that must be equal: not the number, the hash, the
// times, the position, what was read, observed or assumed, how well an effect is known, and what differs between equal
// commands of the op whose effect e is: no trace has a say in that. Of a question the
// answer is left out, too.
func compared(e Event) []field {
	if e.Kind == Effect && e.Call == "exec" {
		if e.Detail[Confined] != nil { // how well the kernel keeps the plan is no part of it
			e.Detail = maps.Clone(e.Detail)
			delete(e.Detail, Confined)
		}
		switch e.Op {
		case "cron": // the other lines of a crontab belong to others
			e.Stdin = ""
		case "yum", "apt": // a dry run lacks the headers of packages that are yet to be downloaded
			e.Detail = maps.Clone(e.Detail)
			delete(e.Detail, "touches")
		}
	}
	fs, err := fields(e)
	if err != nil { // a value without a JSON form, which no writer accepts
		return []field{{"error", json.RawMessage(err.Error())}}
	}
	free := []string{"time", "elapsed_ms", "observed", "assumed", "pos", "read", "fidelity", "before"}
	if e.Kind == Probe {
		free = append(free, "code", "why")
	}
	fs = slices.DeleteFunc(fs, func(f field) bool { return slices.Contains(free, f.name) })
	return append([]field{{"kind", quoteJSON(string(e.Kind))}}, fs...)
}

// differing returns the first field in which two events differ, and both values.
func differing(a, b []field) (name, inA, inB string) {
	for _, f := range slices.Concat(a, b) {
		va, vb := member(a, f.name), member(b, f.name)
		if !bytes.Equal(va, vb) {
			return descend(f.name, decoded(va), decoded(vb))
		}
	}
	return "", "", ""
}

func member(fs []field, name string) json.RawMessage {
	for _, f := range fs {
		if f.name == name {
			return f.raw
		}
	}
	return nil
}

func decoded(raw json.RawMessage) (v any) {
	if raw != nil {
		unmarshal("", raw, &v) // written by this package
	}
	return v
}

// descend goes down to the first part in which two values differ.
func descend(path string, a, b any) (name, inA, inB string) {
	ma, isMap := a.(map[string]any)
	mb, areMaps := b.(map[string]any)
	if isMap && areMaps {
		for _, k := range slices.Sorted(maps.Keys(union(ma, mb))) {
			if jsonText(ma[k]) != jsonText(mb[k]) {
				return descend(path+"."+k, ma[k], mb[k])
			}
		}
	}
	la, isList := a.([]any)
	lb, areLists := b.([]any)
	if isList && areLists {
		for i := range min(len(la), len(lb)) {
			if jsonText(la[i]) != jsonText(lb[i]) {
				return descend(fmt.Sprintf("%s[%d]", path, i), la[i], lb[i])
			}
		}
	}
	return path, jsonText(a), jsonText(b)
}

func union(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// jsonText returns the JSON of a value, "" if there is none.
func jsonText(v any) string {
	if v == nil {
		return ""
	}
	b, _ := marshal(v) // was JSON before
	return string(b)
}
