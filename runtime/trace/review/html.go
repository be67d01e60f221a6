package review

import (
	"bufio"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"runbook/runtime/trace"
)

//go:embed page.html
var pageTemplate string

//go:embed page.css
var pageStyle string

// An html writes a report as one file that needs nothing else: no script, nothing that is fetched.
type html struct {
	rep  *Report
	w    *bufio.Writer
	t    *template.Template
	run  trace.Event
	step trace.Event // under way
	open int         // steps, each within the one before
	same []Note      // ops that found nothing to do, not yet written
	met  int         // requirements, likewise
	read []string    // what the script has read for what comes, likewise
}

func (r *Report) html(w io.Writer) error {
	t, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return err
	}
	p := &html{rep: r, w: bufio.NewWriterSize(w, 64<<10), t: t}
	if err := p.put("head", r.head()); err != nil {
		return err
	}
	if err := cmp.Or(r.acts(p.act), p.close(0)); err != nil {
		return err
	}
	if err := p.put("foot", r.foot()); err != nil {
		return err
	}
	return p.w.Flush()
}

func (p *html) put(name string, data any) error { return p.t.ExecuteTemplate(p.w, name, data) }

func (p *html) act(a trace.Act) error {
	e := a.Event
	if p.met > 0 && e.Op != "require" {
		if err := p.flush(); err != nil {
			return err
		}
	}
	if e.Kind != trace.Step { // a step's stand below its heading
		p.reads(e)
	}
	switch e.Kind {
	case trace.Run:
		p.run = e
	case trace.Step:
		return p.begin(e)
	case trace.Log:
		return cmp.Or(p.flush(), p.put("log", lines(e.Text)))
	case trace.Probe:
		return p.asks(e)
	case trace.Op:
		return p.op(a)
	case trace.End:
		return p.flush()
	}
	return nil
}

// reads gathers what was read before e.
func (p *html) reads(e trace.Event) {
	for _, r := range e.Read {
		p.read = append(p.read, trace.Quote(r.String()))
	}
}

// begin writes the heading of a step, or ends one.
func (p *html) begin(e trace.Event) error {
	if e.State == trace.Ended {
		p.reads(e)
		return p.close(p.open - 1)
	}
	p.step = e
	if err := p.flush(); err != nil {
		return err
	}
	p.open++
	err := p.put("step", map[string]any{
		"Seq": e.Seq, "Name": trace.Quote(e.Step), "Title": trace.Quote(e.Title), "Skipped": e.State == trace.LeftOut,
		"Why": trace.Quote(e.Why), "Site": trace.Quote(e.Site), "Controls": trace.Quote(strings.Join(e.Controls, ", ")),
		"Text": strings.Join(lines(e.Text), "\n"),
	})
	p.reads(e)
	if err == nil && e.State == trace.LeftOut {
		err = p.close(p.open - 1)
	}
	return err
}

// close ends steps until only some are open.
func (p *html) close(left int) error {
	if err := p.flush(); err != nil {
		return err
	}
	for ; p.open > max(left, 0); p.open-- {
		if err := p.put("endstep", nil); err != nil {
			return err
		}
	}
	return nil
}

// flush writes what was gathered to be told together.
func (p *html) flush() error {
	if len(p.read) > 0 {
		if err := p.put("read", strings.Join(p.read, "; ")); err != nil {
			return err
		}
		p.read = nil
	}
	if p.met > 0 {
		if err := p.put("met", plural(p.met, "requirement")+" met"); err != nil {
			return err
		}
	}
	same := p.same
	p.met, p.same = 0, nil
	if len(same) > 0 {
		return p.put("same", same)
	}
	return nil
}

func (p *html) asks(e trace.Event) error {
	if e.Asker == "" || !p.rep.Dry() || len(e.Assumed) > 0 {
		return nil
	}
	return cmp.Or(p.flush(), p.put("asks", map[string]any{
		"What": trace.Brief(cmp.Or(e.URL, trace.Spaced(e.Argv))), "Code": e.Code, "As": trace.Quote(e.User), "Why": trace.Quote(e.Why),
	}))
}

// mostSame bounds what is gathered.
const mostSame = 500

func (p *html) op(a trace.Act) error {
	for _, e := range a.Probes {
		if err := p.asks(e); err != nil {
			return err
		}
	}
	outcome := trace.Outcome("")
	if a.Result != nil {
		outcome = a.Result.Outcome
	}
	quiet := outcome == trace.Same && len(a.Effects)+len(a.Event.Changes)+len(a.Result.Assumed) == 0
	switch {
	case quiet && a.Event.Op == "require":
		p.met++
		return nil
	case quiet && len(p.same) < mostSame:
		p.same = append(p.same, noteOf(a.Event))
		return nil
	case quiet:
		if err := p.flush(); err != nil {
			return err
		}
		p.same = append(p.same, noteOf(a.Event))
		return nil
	}
	return cmp.Or(p.flush(), p.put("act", p.view(a, outcome)))
}

// A textView is how a text changes.
type textView struct {
	trace.ToldChange
	Added, Removed int
	Marked         template.HTML // its lines
}

// marked returns lines as the content of a pre: what is added or removed is marked, and all text is escaped. A template
// that goes over each line takes several times as long.
func marked(lines []trace.ToldLine) template.HTML {
	var b strings.Builder
	for _, l := range lines {
		element := "span"
		switch l.Sign {
		case '+':
			element = "ins"
		case '-':
			element = "del"
		}
		b.WriteString("<" + element + ">")
		template.HTMLEscape(&b, []byte(l.Text))
		b.WriteString("</" + element + ">")
	}
	return template.HTML(b.String())
}

type actView struct {
	Seq                              int
	Op, Target, Pos, Outcome, Tone   string
	Fidelity, Took, EffectCount      string
	Values                           []trace.ToldChange
	Texts                            []textView
	Effects                          []trace.ToldEffect
	Commands                         template.HTML
	Whole, Exposed, Assumed, Unknown []string
	Error, Hint                      []string
}

func (p *html) view(a trace.Act, outcome trace.Outcome) actView {
	op := a.Event
	told := trace.Tell(op, a.Effects, p.rep.Run.User.Name)
	v := actView{Seq: op.Seq, Op: trace.Quote(op.Op), Target: trace.Brief(op.Target), Pos: trace.Quote(op.Pos),
		Effects: told.Effects, Whole: told.Whole, EffectCount: plural(len(told.Effects), "effect"), Commands: p.commands(a)}
	v.Outcome, v.Tone = p.rep.outcome(outcome)
	if f := fidelity(a); f != trace.Exact && len(a.Effects)+len(op.Changes) > 0 {
		v.Fidelity = string(f)
	}
	for _, c := range told.Changes {
		if c.Lines == nil {
			v.Values = append(v.Values, c)
			continue
		}
		t := textView{ToldChange: c}
		for _, l := range c.Lines {
			switch l.Sign {
			case '+':
				t.Added++
			case '-':
				t.Removed++
			}
		}
		t.Marked = marked(c.Lines)
		v.Texts = append(v.Texts, t)
	}
	for _, e := range told.Effects {
		if e.Exposed != "" {
			v.Exposed = append(v.Exposed, e.Exposed)
		}
	}
	for _, s := range trace.Unenforced(a.Effects, a.Result) {
		v.Exposed = append(v.Exposed, trace.Quote(s))
	}
	for _, e := range a.Effects {
		for _, dir := range texts(e.Detail["touches"]) {
			v.Unknown = append(v.Unknown, "what it does to "+trace.Quote(dir))
		}
	}
	if a.Result == nil {
		v.Unknown = append(v.Unknown, "how it ended: the trace stops here")
		return v
	}
	if a.Result.Elapsed > 100*time.Millisecond {
		v.Took = a.Result.Elapsed.Round(100 * time.Millisecond).String()
	}
	for _, text := range a.Result.Assumed {
		v.Assumed = append(v.Assumed, trace.Quote(text))
	}
	v.Error, v.Hint = lines(a.Result.Error), lines(a.Result.Hint)
	return v
}

// stateDirectory is where runbook keeps what is its own affair: nobody types that.
const stateDirectory = "/var/lib/runbook"

// commands returns what a person types for an op.
func (p *html) commands(a trace.Act) template.HTML {
	if len(a.Effects) == 0 {
		return ""
	}
	var all []trace.ToldLine
	begin := trace.Event{Kind: trace.Step, Step: a.Event.Step, State: trace.Begin}
	events := append([]trace.Event{p.run, begin, a.Event}, a.Effects...)
	for _, t := range trace.Commands(events, stateDirectory) {
		for _, c := range t.Commands {
			all = append(all, trace.ToldLine{Text: trace.Quote(c)})
		}
	}
	return marked(all)
}

// outcome returns how an op ended, in words, and the tone of that.
func (r *Report) outcome(o trace.Outcome) (word, tone string) {
	switch {
	case o == trace.Changed && r.Dry():
		return "would change", "look"
	case o == trace.Changed:
		return "changed", "look"
	case o == trace.Failed:
		return "failed", "bad"
	case o == trace.Same:
		return "already so", "good"
	case o == "":
		return "not ended", "bad"
	}
	return trace.Quote(string(o)), "dim"
}

// lines returns text as lines that are fit to be shown.
func lines(text string) (all []string) {
	text = strings.Trim(text, " \t\r\n")
	if text == "" {
		return nil
	}
	for l := range strings.SplitSeq(text, "\n") {
		all = append(all, trace.Quote(strings.TrimRight(l, " \t\r")))
	}
	return all
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
