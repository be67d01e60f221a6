package builtins

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"runbook/runtime/host"
	"runbook/runtime/host/before"
	"runbook/runtime/trace"
)

// A Past is a run, and what it has kept of the machine as it was.
type Past struct {
	// Blob names the file with a content of that digest.
	Blob func(sha256 string) string
	// Drifted are the names that are not as the run left them.
	Drifted map[string]bool
	// Done are the parts of effects that were taken back already; see [UndoneBy].
	Done map[string]bool
	// Lost says of effects what cannot be taken back, and why. It has passed [trace.Quote].
	Lost []string

	run     trace.Event
	records map[int]before.Record // by the number of the effect
	effects map[int]trace.Event   // likewise
	steps   []pastStep            // in their order
	made    map[string]bool       // names that the run has made
	open    []string              // directories below which all is the run's
}

// A pastStep is a step of a run, with the numbers of its effects.
type pastStep struct {
	name, title string
	effects     []int
}

// NewPast joins the events of a run with the records that it has kept, which are named by the digests that its effects
// have.
func NewPast(events []trace.Event, records map[string]before.Record) (*Past, error) {
	p := &Past{records: map[int]before.Record{}, effects: map[int]trace.Event{}, made: map[string]bool{}}
	n := 0
	for _, e := range events {
		switch {
		case e.Kind == trace.Run:
			p.run = e
		case e.Kind == trace.Step && e.State == trace.Begin:
			p.steps = append(p.steps, pastStep{name: e.Step, title: e.Title})
		case e.Kind == trace.Effect && len(p.steps) > 0:
			n++
			r, ok := records[e.Before]
			if !ok || r.N != n {
				return nil, fmt.Errorf("what was kept for effect %d (%s) is not there", n, effectName(e))
			}
			p.add(r, e)
		}
	}
	if p.run.Run == nil {
		return nil, errors.New("got no run")
	}
	return p, nil
}

func (p *Past) add(r before.Record, e trace.Event) {
	p.records[r.N], p.effects[r.N] = r, e
	s := &p.steps[len(p.steps)-1]
	s.effects = append(s.effects, r.N)
	for _, name := range r.New {
		p.made[name] = true
	}
	if r.To != "" {
		p.made[r.To] = true
	}
	p.open = append(p.open, r.Open...)
	for _, why := range CannotUndo(r) {
		p.Lost = append(p.Lost, effectName(e)+": "+trace.Quote(why))
	}
}

// effectName says what an effect does, in one line that is fit to be shown; of a long command its beginning.
func effectName(e trace.Event) string {
	const most = 90
	name := trace.Quote(strings.TrimSpace(e.Call + " " + e.Path + trace.Spaced(e.Argv)))
	if len(name) > most && e.Path == "" {
		name = strings.ToValidUTF8(name[:most], "") + "..."
	}
	return name
}

// Text returns the runbook that takes the run back: its steps are those of the run, the last one first. head is that of
// its trace.
func (p *Past) Text(head string) string {
	var b strings.Builder
	began := p.run.Time.UTC().Format("2006-01-02 15:04:05")
	about := fmt.Sprintf("Take back what %s did at %s UTC; the head of its trace is %s.", p.run.Run.Runbook, began, head)
	fmt.Fprintf(&b, "%s\n\ndrifted = var(\"drifted\", \"\", help = %s, choices = [\"\", %q, %q])\n", literal(about),
		literal("what happens to what somebody has changed since"), KeepDrifted, TakeDrifted)
	for i, s := range slices.Backward(p.steps) {
		calls := p.calls(s)
		if len(calls) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\ndef _%d():\n    %s\n%s\nstep(_%d, name = %s, title = %s)\n", i,
			literal("Take back what step "+s.name+" did."), strings.Join(calls, ""), i, literal(s.name), literal(s.title))
	}
	return b.String()
}

// AllDone reports whether there is nothing to take back any more, or never was.
func (p *Past) AllDone() bool {
	return !slices.ContainsFunc(p.steps, func(s pastStep) bool { return len(p.calls(s)) > 0 })
}

// calls are the lines that take a step back.
func (p *Past) calls(s pastStep) (lines []string) {
	for _, n := range slices.Backward(s.effects) {
		for _, part := range undoParts(p.records[n]) {
			if p.Done[donePart(n, part)] {
				continue
			}
			lines = append(lines, fmt.Sprintf("    %s(%d, %q, drifted = drifted or %q)\n", UndoBuiltin, n, part, KeepDrifted))
		}
	}
	return lines
}

func donePart(n any, part any) string { return fmt.Sprint(n, " ", part) }

// UndoneBy returns which part of an effect an op of the runbook takes back, "" if it is another op.
func UndoneBy(op trace.Event) string {
	if op.Op != UndoBuiltin {
		return ""
	}
	return donePart(op.Args["effect"], op.Args["part"])
}

// literal returns text as Starlark has it.
func literal(text string) string { return strconv.QuoteToASCII(strings.ToValidUTF8(text, "?")) }

// undoParts returns the parts of a record that can be taken back, in the order in which they must be.
func undoParts(r before.Record) (parts []string) {
	for part := range strings.FieldsSeq("service enabled supervisor cron iptables-rule rpm deb sysctl hostname account") {
		if slices.ContainsFunc(r.Facts, func(f before.Fact) bool { return partOf(f) == part }) {
			parts = append(parts, part)
		}
	}
	if len(r.Files)+len(r.New) > 0 || r.From != "" {
		parts = append(parts, "files")
	}
	return parts
}

// partOf returns the part that a fact belongs to, "" if it follows from others and is not put back by itself.
func partOf(f before.Fact) string {
	kind, _, _ := strings.Cut(f.Name, ":")
	return partOfKind(kind)
}

// CanPutBack reports whether facts of a kind are put back by undo.
func CanPutBack(kind string) bool { return partOfKind(kind) != "" }

func partOfKind(kind string) string {
	switch kind {
	case "service", "enabled", "supervisor", "cron", "iptables-rule", "rpm", "deb", "sysctl", "hostname":
		return kind
	case "user", "group", "home", "shell", "comment", "primary", "groups":
		return "account"
	}
	return ""
}

// CannotUndo returns why parts of an effect cannot be taken back.
func CannotUndo(r before.Record) (why []string) {
	why = slices.Clone(r.Lost)
	for _, f := range r.Facts {
		if kind, name, _ := strings.Cut(f.Name, ":"); (kind == "rpm" || kind == "deb") && f.Value != "" {
			why = append(why, fmt.Sprintf("the package %s was %s before, and that package is not kept", name, f.Value))
		}
	}
	return why
}

// Changed returns what somebody has changed since the run, sorted. What is as the run left it, or as it was before one
// of its effects, is not among it.
func (p *Past) Changed(ctx context.Context, h host.Reader) (names []string, err error) {
	for name := range p.Drifted {
		m, err := h.Lstat(name)
		switch {
		case isMissing(err):
		case err != nil:
			return nil, err
		default:
			changed, err := p.changed(ctx, h, name, m)
			if err != nil {
				return nil, err
			}
			if changed {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// changed reports whether somebody has changed a file, which is there, since the run.
func (p *Past) changed(ctx context.Context, h host.Reader, name string, m host.Meta) (bool, error) {
	if !p.Drifted[name] {
		return false, nil
	}
	for _, r := range p.records {
		if r.From == name {
			return false, nil
		}
		for _, f := range r.Files {
			if f.Path != name {
				continue
			}
			if same, err := as(ctx, h, f, m); err != nil || same {
				return false, err
			}
		}
	}
	return true, nil
}

// madeBelow returns how many names the run has made in a tree, which is one of them. What lies where all is the run's
// is not counted: nobody knows beforehand how much that is.
func (p *Past) madeBelow(dir string) (n int) {
	for name := range p.made {
		if host.Below(name, dir) {
			n++
		}
	}
	return n
}

// newFact reports whether a fact had no value before the run.
func (p *Past) newFact(name string) bool {
	for _, r := range p.records {
		if slices.Contains(r.Facts, before.Fact{Name: name}) {
			return true
		}
	}
	return false
}

// owns reports whether name lies where all is the run's.
func (p *Past) owns(name string) bool {
	return slices.ContainsFunc(p.open, func(dir string) bool { return host.Below(name, dir) })
}
