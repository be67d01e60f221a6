package review

import (
	"bufio"
	"cmp"
	"crypto/sha1"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"runbook/runtime/trace"
)

// The form of OSCAL's assessment results, version 1.0.6 (pages.nist.gov/OSCAL). What changed or failed is an
// observation, a control that a step or a builtin names a finding. Identifiers come from the head of the trace: the
// same trace gives the same document.

const (
	oscalVersion = "1.0.6"
	namespace    = "urn:runbook:oscal"
)

// A control is what is known of one that the steps and builtins of a run name.
type control struct {
	name  string
	seqs  []int // of ops that changed something or failed
	more  int
	bad   []string // why it is not satisfied
	named bool     // by a step
}

// note adds an op to a control.
func (r *Report) note(name string, seq int, named bool) *control {
	byName := func(c *control, n string) int { return strings.Compare(c.name, n) }
	i, found := slices.BinarySearchFunc(r.controls, name, byName)
	if !found {
		r.controls = slices.Insert(r.controls, i, &control{name: name})
	}
	c := r.controls[i]
	c.named = c.named || named
	switch {
	case seq == 0:
	case len(c.seqs) >= mostNotes:
		c.more++
	case len(c.seqs) == 0 || c.seqs[len(c.seqs)-1] != seq:
		c.seqs = append(c.seqs, seq)
	}
	return c
}

// controlID returns the name of a control as OSCAL's catalogs spell it: "CM-4(2)" is cm-4.2.
func controlID(name string) string {
	id := strings.ToLower(strings.NewReplacer("(", ".", ")", "", " ", "").Replace(name))
	id = strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.Nd, r) {
			return r
		}
		return '_'
	}, id)
	if id == "" || !unicode.IsLetter([]rune(id)[0]) && id[0] != '_' {
		id = "_" + id
	}
	return id
}

// uuid returns an identifier of version 5 (RFC 9562) for something of this trace.
func (r *Report) uuid(kind string, n int) string {
	sum := sha1.Sum([]byte(namespace + "\x00" + r.Verified.Head + "\x00" + kind + "\x00" + fmt.Sprint(n)))
	b := sum[:16]
	b[6], b[8] = b[6]&0x0f|0x50, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

type props []map[string]string

func (p props) add(name, value string) props {
	if value = strings.TrimSpace(trace.Brief(value)); value == "" {
		return p
	}
	return append(p, map[string]string{"name": name, "ns": namespace, "value": value})
}

type oscalWriter struct {
	rep  *Report
	w    *bufio.Writer
	some bool // an observation was written
	err  error
}

func (o *oscalWriter) print(format string, args ...any) { fmt.Fprintf(o.w, format, args...) }

// value writes a value as JSON.
func (o *oscalWriter) value(v any) {
	b, err := readableJSON(v)
	o.err = cmp.Or(o.err, err)
	o.w.Write(b)
}

func (r *Report) oscal(w io.Writer) error {
	o := &oscalWriter{rep: r, w: bufio.NewWriter(w)}
	what := map[bool]string{true: "Dry run", false: "Run"}[r.Dry()]
	title := what + " of " + trace.Quote(r.Run.Runbook+prefixed(" on ", r.Run.Host.Hostname))
	began, ended := oscalTime(r.Began), oscalTime(r.Began.Add(r.Took()))
	resource := r.uuid("trace", 0)
	o.print("{\"assessment-results\":{\"uuid\":%q,\n\"metadata\":", r.uuid("assessment-results", 0))
	o.value(map[string]any{"title": title, "last-modified": ended, "version": trace.Short(r.Verified.Head),
		"oscal-version": oscalVersion})
	o.print(",\n\"import-ap\":{\"href\":\"#%s\"},\n\"results\":[{\"uuid\":%q,\"title\":", resource, r.uuid("result", 0))
	o.value(title)
	o.print(",\"description\":")
	o.value(r.oscalSummary())
	o.print(",\"start\":%q,\"end\":%q,\n\"props\":", began, ended)
	o.value(r.oscalProps())
	o.print(",\n\"reviewed-controls\":{\"control-selections\":[")
	o.value(r.selection())
	o.print("]}")
	if err := r.acts(o.observation); err != nil {
		return err
	}
	if o.some {
		o.print("]")
	}
	o.findings()
	o.print("}],\n\"back-matter\":{\"resources\":[")
	o.value(map[string]any{"uuid": resource, "title": "The trace, which is what was planned and what was done",
		"description": "There is no assessment plan but the runbook; the trace names its sources and their digests.",
		"props":       props{}.add("head", r.Verified.Head).add("follows", r.Run.Follows)})
	o.print("]}}}\n")
	return cmp.Or(o.err, o.w.Flush())
}

// oscalTime returns a time as OSCAL writes it; it has none before 1900.
func oscalTime(t time.Time) string {
	if t.Year() < 1900 || t.Year() > 2999 {
		t = time.Unix(0, 0)
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func (r *Report) oscalSummary() string {
	text := fmt.Sprintf("The run ended %s: %s.", trace.Quote(r.Outcome()), r.Verified.Counts)
	if r.Dry() {
		text = "Nothing was changed: this is what a run would do. " + text
	}
	if r.Trouble != "" {
		text = "Do not rely on this: " + trace.Quote(r.Trouble) + ". " + text
	}
	return text
}

func (r *Report) oscalProps() props {
	run := r.Run
	return props{}.add("mode", cmp.Or(run.Mode, "unknown")).add("host", run.Host.Hostname).add("user", run.User.Name).
		add("sudo-user", run.User.SudoUser).add("ticket", run.Ticket).add("program", run.Binary.Version).
		add("outcome", r.Outcome()).add("head", r.Verified.Head)
}

func (r *Report) selection() map[string]any {
	var ids []map[string]string
	var seen []string
	for _, c := range r.controls {
		if id := controlID(c.name); !slices.Contains(seen, id) {
			seen = append(seen, id)
			ids = append(ids, map[string]string{"control-id": id})
		}
	}
	if ids == nil {
		return map[string]any{"description": "No step and no builtin of this run names a control."}
	}
	return map[string]any{"description": "The controls that steps and builtins of this run name.", "include-controls": ids}
}

// observed reports whether an op is an observation.
func observed(a trace.Act) bool {
	return len(a.Effects)+len(a.Event.Changes) > 0 || a.Result == nil || a.Result.Outcome == trace.Failed
}

func (o *oscalWriter) observation(a trace.Act) error {
	if a.Event.Kind != trace.Op || !observed(a) {
		return o.err
	}
	if !o.some {
		o.print(",\n\"observations\":[")
	} else {
		o.print(",")
	}
	o.some = true
	op, word, when := a.Event, "the trace does not show how it ended", a.Event.Time
	p := props{}.add("step", op.Step).add("position", op.Pos).add("user", op.User).add("fidelity", string(fidelity(a)))
	if a.Result != nil {
		word, _ = o.rep.outcome(a.Result.Outcome)
		word += suffix(": ", firstLine(a.Result.Error))
		when = a.Result.Time
	}
	for _, f := range o.rep.known.findings(a) {
		p = p.add("relevant-to-security", Classes()[f.class].ID+": "+f.text)
	}
	note := noteOf(op).Text
	o.print("\n")
	o.value(map[string]any{"uuid": o.rep.uuid("op", op.Seq), "title": note, "description": note + ": " + word, "props": p,
		"methods": []string{"TEST"}, "collected": oscalTime(when)})
	return o.err
}

// findings writes what is found of each control. A dry run has done nothing that a control could be satisfied by.
func (o *oscalWriter) findings() {
	if o.rep.Dry() || len(o.rep.controls) == 0 {
		return
	}
	o.print(",\n\"findings\":[")
	for i, c := range o.rep.controls {
		if i > 0 {
			o.print(",")
		}
		o.print("\n")
		o.value(o.rep.finding(i, c))
	}
	o.print("]")
}

func (r *Report) finding(i int, c *control) map[string]any {
	state, why := "satisfied", "each step that names it has ended"
	if !c.named {
		why = "what changed is of a kind for which it matters"
	}
	bad := c.bad
	if r.Trouble != "" {
		bad = append(slices.Clone(bad), "the trace is "+trace.Quote(r.Trouble))
	}
	if len(bad) > 0 {
		state, why = "not-satisfied", strings.Join(bad, "; ")
	}
	if c.more > 0 {
		why += fmt.Sprintf("; %d more observations belong to it than are named here", c.more)
	}
	f := map[string]any{"uuid": r.uuid("control", i), "title": trace.Quote(c.name), "description": trace.Quote(c.name) + ": " + why,
		"target": map[string]any{"type": "statement-id", "target-id": controlID(c.name) + "_smt", "status": map[string]string{"state": state}}}
	var related []map[string]string
	for _, seq := range c.seqs {
		related = append(related, map[string]string{"observation-uuid": r.uuid("op", seq)})
	}
	if related != nil {
		f["related-observations"] = related
	}
	return f
}
