// Package review makes of a trace what people and programs judge a change by: a page for a change board, a document,
// the results of CI, an assessment and an attestation.
//
// Two things to know. A trace is read twice, first for what stands at the beginning of a report and then for the rest,
// so that a long one needs little memory. And all that a trace says is foreign text: it passes [trace.Quote] before it
// gets into a format, and the format's own escaping after it.
//
// Package cmd/runbook calls it; it calls packages trace and host.
package review

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// Formats returns the formats that Write takes.
func Formats() []string { return []string{"html", "md", "junit", "oscal", "intoto"} }

// A Report is what is told of a trace before its steps.
type Report struct {
	Verified trace.Report
	Trouble  string // why the trace is not to be relied on, "" if it is
	Run      trace.RunInfo
	Began    time.Time
	End      *trace.Event // nil if the run was cut off

	Findings [][]Note // for each of Classes, what is relevant to security
	Assumed  list
	Unknown  list
	Failed   list
	Persons  list // what people do, or confirm
	Steps    []StepSum
	Met      int // requirements
	Unmet    int
	Ops      map[trace.Fidelity]int
	Commands map[string]int // by account

	// Sign signs what format intoto says; nil: nobody does.
	Sign func(message []byte) (Signature, error)

	each     Each
	more     []int       // findings of each class that are not listed
	beside   *Comparison // with the plan, where there is one
	known    *classifier
	cutOff   int        // ops without a result
	controls []*control // by name
}

// Each hands the events of a trace to a function, from the first one, each time it is called.
type Each func(func(trace.Event) error) error

// A Note is a line of a list that leads to an event.
type Note struct {
	Text string // has passed [trace.Quote]
	Step string
	Pos  string
	Seq  int  // of the op
	Warn bool // somebody should look
}

// A list holds notes, the first of them if there are very many.
type list struct {
	Notes []Note
	More  int
}

// mostNotes bounds a list, so that a long trace fits into memory.
const mostNotes = 5000

func (l *list) add(n Note) {
	if len(l.Notes) >= mostNotes {
		l.More++
		return
	}
	l.Notes = append(l.Notes, n)
}

// Len is how many notes there are, those included that are not listed.
func (l list) Len() int { return len(l.Notes) + l.More }

// A StepSum is what is counted of a step.
type StepSum struct {
	Name, Title, Why string
	Skipped          bool
	Controls         []string
	Seq              int
	Ops, Failed      int
	Changed          int
	Elapsed          time.Duration
}

// Read makes a report of a trace, which is read from the beginning.
func Read(r io.ReadSeeker) (*Report, error) {
	again := func(f func(trace.Event) error) error {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return trace.Each(r, f)
	}
	rep := newReport(func(f func(trace.Event) error) error { // the first time said what is wrong with it
		return untilBroken(again, f)
	})
	s := survey{rep: rep}
	var bad error
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	v, err := trace.Scan(r, func(e trace.Event) { bad = cmp.Or(bad, s.add(e)) })
	if err = cmp.Or(err, bad, s.flush()); err != nil {
		return nil, err
	}
	rep.Verified, rep.Trouble = v, v.Trouble()
	return rep, nil
}

// untilBroken leaves out the error of a line that is no event: what stands before it is told.
func untilBroken(each Each, f func(trace.Event) error) error {
	var refused error
	err := each(func(e trace.Event) error {
		refused = f(e)
		return refused
	})
	if refused != nil {
		return refused
	}
	if _, isIO := err.(interface{ Timeout() bool }); isIO { // *fs.PathError
		return err
	}
	return nil
}

// Of makes a report of events that were verified.
func Of(events []trace.Event, v trace.Report) (*Report, error) {
	rep := newReport(func(f func(trace.Event) error) error {
		for _, e := range events {
			if err := f(e); err != nil {
				return err
			}
		}
		return nil
	})
	s := survey{rep: rep}
	if err := cmp.Or(rep.each(s.add), s.flush()); err != nil {
		return nil, err
	}
	rep.Verified, rep.Trouble = v, v.Trouble()
	return rep, nil
}

func newReport(each Each) *Report {
	return &Report{each: each, Ops: map[trace.Fidelity]int{}, Commands: map[string]int{}, known: newClassifier(),
		Findings: make([][]Note, len(Classes())), more: make([]int, len(Classes()))}
}

// acts hands what happened to f, op by op.
func (r *Report) acts(f func(trace.Act) error) error {
	var g trace.Grouper
	if err := r.each(func(e trace.Event) error { return g.Add(e, f) }); err != nil {
		return err
	}
	return g.Flush(f)
}

// Dry reports whether it is about a dry run.
func (r *Report) Dry() bool { return r.Run.Mode == trace.DryRun }

// Outcome is how the run ended; a run that was cut off has none.
func (r *Report) Outcome() string {
	if r.End == nil {
		return "cut off"
	}
	return string(r.End.Outcome)
}

// Took is how long the run took, as its clock had it.
func (r *Report) Took() time.Duration {
	if r.End == nil {
		return 0
	}
	return max(r.End.Time.Sub(r.Began), 0)
}

// Write writes the report in one of [Formats]; one with a comparison is for people only.
func (r *Report) Write(w io.Writer, format string) error {
	if r.beside != nil && format != "html" && format != "md" {
		return fmt.Errorf("format %s: compares nothing, want html or md", format)
	}
	switch format {
	case "html":
		return r.html(w)
	case "md":
		return r.markdown(w)
	case "junit":
		return r.junit(w)
	case "oscal":
		return r.oscal(w)
	case "intoto":
		return r.intoto(w)
	}
	return fmt.Errorf("format %s: want one of %s", format, strings.Join(Formats(), ", "))
}

// A survey is the first reading of a trace.
type survey struct {
	rep   *Report
	group trace.Grouper
}

func (s *survey) add(e trace.Event) error { return s.group.Add(e, s.act) }
func (s *survey) flush() error            { return s.group.Flush(s.act) }

func (s *survey) act(a trace.Act) error {
	r := s.rep
	switch e := a.Event; e.Kind {
	case trace.Run:
		if e.Run != nil {
			r.Run = *e.Run
		}
		r.Began = e.Time.UTC()
	case trace.Step:
		s.step(e)
	case trace.Op:
		s.op(a)
	case trace.Probe:
		s.probe(e)
	case trace.End:
		r.End = &e
	}
	return nil
}

func (s *survey) step(e trace.Event) {
	if e.State == trace.Ended {
		return
	}
	for _, name := range e.Controls {
		if c := s.rep.note(name, 0, true); e.State == trace.LeftOut {
			c.bad = append(c.bad, "step "+trace.Quote(e.Step)+" was left out")
		}
	}
	s.rep.Steps = append(s.rep.Steps, StepSum{Name: e.Step, Title: e.Title, Why: e.Why, Skipped: e.State == trace.LeftOut,
		Controls: e.Controls, Seq: e.Seq})
}

// stepSum returns what is counted of the step of an op, which may lie within another one.
func (s *survey) stepSum(name string) *StepSum {
	steps := s.rep.Steps
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].Name == name {
			return &steps[i]
		}
	}
	s.rep.Steps = append(steps, StepSum{Name: name})
	return &s.rep.Steps[len(steps)]
}

func (s *survey) op(a trace.Act) {
	r, op, sum := s.rep, a.Event, s.stepSum(a.Event.Step)
	sum.Ops++
	note := noteOf(op)
	result := a.Result
	if result == nil {
		note.Text += ": the trace does not show how it ended"
		note.Warn = true
		r.cutOff++
		r.Unknown.add(note)
		result = &trace.Event{}
	}
	sum.Elapsed += result.Elapsed
	switch {
	case op.Op == "require" && result.Outcome == trace.Failed:
		r.Unmet++
	case op.Op == "require":
		r.Met++
	}
	if result.Outcome == trace.Failed {
		sum.Failed++
		failed := note
		if !strings.Contains(op.Target, result.Error) {
			failed.Text += suffix(": ", firstLine(result.Error))
		}
		r.Failed.add(failed)
	}
	if observed(a) {
		s.controls(a, sum)
	}
	if op.Op == "manual" || op.Op == "confirm" {
		r.Persons.add(note)
	}
	for _, text := range result.Assumed {
		r.Assumed.add(Note{Text: trace.Quote(text), Step: op.Step, Pos: op.Pos, Seq: op.Seq})
	}
	for _, p := range a.Probes {
		s.probe(p)
	}
	if len(a.Effects)+len(op.Changes) == 0 {
		return
	}
	sum.Changed++
	r.Ops[fidelity(a)]++
	s.effects(a, note)
	for _, f := range r.known.findings(a) {
		s.found(f, Note{Text: f.text, Step: op.Step, Pos: op.Pos, Seq: op.Seq, Warn: f.warn})
	}
}

// controls notes an op for the controls that its step names.
func (s *survey) controls(a trace.Act, sum *StepSum) {
	for _, name := range sum.Controls {
		c := s.rep.note(name, a.Event.Seq, true)
		if a.Result == nil || a.Result.Outcome == trace.Failed {
			c.bad = append(c.bad, noteOf(a.Event).Text+" of step "+trace.Quote(a.Event.Step)+" failed or has no end")
		}
	}
}

func (s *survey) found(f finding, n Note) {
	r := s.rep
	for _, name := range Classes()[f.class].Controls {
		r.note(name, n.Seq, false)
	}
	if len(r.Findings[f.class]) >= mostNotes {
		r.more[f.class]++
		return
	}
	r.Findings[f.class] = append(r.Findings[f.class], n)
}

// effects notes what is not known of an op's effects.
func (s *survey) effects(a trace.Act, note Note) {
	r := s.rep
	for _, e := range a.Effects {
		if e.Call == "exec" {
			r.Commands[cmp.Or(e.User, r.Run.User.Name)]++
		}
		for _, dir := range texts(e.Detail["touches"]) {
			n := note
			n.Text += ": what it does to " + trace.Quote(dir) + " is not listed"
			r.Unknown.add(n)
		}
	}
	for _, c := range a.Event.Changes {
		if c.To == host.InTheRun {
			n := note
			n.Text += ": " + trace.Quote(c.What) + " is " + host.InTheRun
			r.Unknown.add(n)
		}
	}
}

// probe notes a question that was not put, or that could do more than read.
func (s *survey) probe(e trace.Event) {
	note := Note{Text: trace.Brief(cmp.Or(e.URL, trace.Spaced(e.Argv))), Step: e.Step, Seq: e.Seq}
	switch {
	case len(e.Assumed) > 0:
		note.Text = "not asked, as the run may change the answer: " + note.Text
		s.rep.Unknown.add(note)
	case e.Why != "":
		note.Text, note.Warn = "a question that may do more than read: "+note.Text+suffix(": ", e.Why), true
		s.rep.Unknown.add(note)
	}
}

// noteOf names an op.
func noteOf(op trace.Event) Note {
	return Note{Text: trace.Quote(op.Op) + " " + trace.Brief(op.Target), Step: op.Step, Pos: op.Pos, Seq: op.Seq}
}

// fidelity says how well it is known what an op does: as well as of the effect of which least is known.
func fidelity(a trace.Act) trace.Fidelity {
	if a.Result == nil || len(a.Result.Assumed) > 0 {
		return trace.Guessed
	}
	known := trace.Exact
	for _, e := range a.Effects {
		switch {
		case e.Fidelity == trace.Guessed:
			return trace.Guessed
		case e.Fidelity == trace.Bounded, len(texts(e.Detail["touches"])) > 0: // older traces have only that
			known = trace.Bounded
		}
	}
	return known
}

// texts returns a list of texts in the detail of an effect, however it was read.
func texts(v any) (all []string) {
	switch v := v.(type) {
	case []string:
		return v
	case []any:
		for _, t := range v {
			all = append(all, fmt.Sprint(t))
		}
	}
	return all
}

// suffix returns text, fit to be shown, behind a separator; "" if there is none.
func suffix(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + trace.Quote(text)
}

func firstLine(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	return first
}
