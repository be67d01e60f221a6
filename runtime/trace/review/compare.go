package review

import (
	"bufio"
	"fmt"
	"strings"

	"runbook/runtime/trace"
)

// A Comparison is a plan and the run that followed it, place by place.
type Comparison struct {
	Head    string // of the plan
	Equal   bool
	Verdict string // as audit diff says it
	Trouble string // why the plan is not to be relied on, "" if it is
	Rows    []rowView
	More    int // rows that are not listed; all of them are equal
	Alike   int // steps, questions, and ops that found nothing to do, which are equal and not listed
}

type rowView struct {
	Seq             int
	Step, What      string
	Plan, Run, Word string
	Tone            string
	Differs         []string
}

// Compare sets the run that the report is about beside the plan of it.
func (r *Report) Compare(plan, run []trace.Event, verified trace.Report) {
	d := trace.Diff(plan, run)
	c := &Comparison{Head: verified.Head, Equal: d.Equal, Verdict: sides(d), Trouble: verified.Trouble()}
	for _, p := range trace.Pairs(plan, run) {
		c.add(p)
	}
	r.beside = c
}

// sides is what audit diff says of a plan and a run.
func sides(d trace.Difference) string {
	return strings.NewReplacer("\n  A  ", "\n  plan  ", "\n  B  ", "\n  run   ").Replace(d.String())
}

func (c *Comparison) add(p trace.Pair) {
	e := p.A
	if p.B != nil {
		e = p.B
	}
	quiet := e.Kind != trace.Op || p.OutcomeA == trace.Same && p.OutcomeB == trace.Same
	if p.Equal && quiet {
		c.Alike++
		return
	}
	if p.Equal && len(c.Rows) >= mostNotes {
		c.More++
		return
	}
	row := rowView{Step: trace.Quote(e.Step), What: noteOf(*e).Text,
		Plan: planned(p.A, p.OutcomeA), Run: done(p.B, p.OutcomeB)}
	if e.Kind != trace.Op {
		row.What = strings.TrimSpace(trace.Quote(string(e.Kind) + " " + e.Step + " " + e.State + " " + trace.Spaced(e.Argv)))
	}
	if p.B != nil {
		row.Seq = p.B.Seq
	}
	switch {
	case p.Equal:
		row.Word, row.Tone = "equal", "good"
	case p.Excused:
		row.Word, row.Tone = "as it may: it was assumed", "look"
	case p.B == nil:
		row.Word, row.Tone = "not done", "bad"
	case p.A == nil:
		row.Word, row.Tone = "not planned", "bad"
	default:
		row.Word, row.Tone = "different", "bad"
	}
	if !p.Equal && p.A != nil && p.B != nil {
		row.Differs = quoted(strings.Split(sides(p.Difference), "\n"))
	}
	c.Rows = append(c.Rows, row)
}

func planned(e *trace.Event, o trace.Outcome) string {
	switch {
	case e == nil:
		return "nothing"
	case o == trace.Changed:
		return "would change"
	case o == "":
		return "there"
	case o == trace.Same:
		return "already so"
	}
	return trace.Quote(string(o))
}

func done(e *trace.Event, o trace.Outcome) string {
	if e != nil && o == trace.Changed {
		return "changed"
	}
	return planned(e, o)
}

// markdown writes the comparison as a section.
func (c *Comparison) markdown(b *bufio.Writer) {
	verdict := trace.Fence("", "", strings.Split(c.Verdict, "\n"))
	fmt.Fprintf(b, "\n## Plan against run\n\nPlan: %s\n\n%s\n", trace.CodeSpan(c.Head), verdict)
	if c.Trouble != "" {
		fmt.Fprintf(b, "**The plan is not to be relied on: %s**\n\n", trace.Prose(c.Trouble))
	}
	fmt.Fprintf(b, "| Step | What | Plan | Run | |\n| --- | --- | --- | --- | --- |\n")
	for _, row := range c.Rows {
		step, what := trace.Cell(row.Step), trace.Cell(row.What)
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", step, what, row.Plan, row.Run, row.Word)
	}
	fmt.Fprintf(b, "\n%s\n", c.rest())
}

// rest says what is not listed.
func (c *Comparison) rest() string {
	text := fmt.Sprintf("%d more are equal: steps, questions, and ops that found nothing to do.", c.Alike)
	if c.More > 0 {
		text += fmt.Sprintf(" Of ops that changed something, %d more are equal.", c.More)
	}
	return text
}
