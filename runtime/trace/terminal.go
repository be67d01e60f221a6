package trace

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"runbook/runtime/host"
)

// Options say how a Terminal shows things.
type Options struct {
	Color    bool             // paint
	Live     bool             // the writer is a terminal: keep a last line that shows the op under way
	Still    bool             // a person may be asked meanwhile: the last line does not move by itself
	Width    int              // columns of the terminal, in which lines are broken; 0 if there is none
	Quiet    bool             // only what changed or failed, and the summary
	Verbose  bool             // also manual texts, effects, probes, what commands print, and all lines of texts
	Whole    bool             // all lines of texts, and all effects
	Reported bool             // the caller reports why the run failed: it is not said here, too
	Now      func() time.Time // time.Now if nil
}

const (
	column       = len("changed")   // width of markers
	below        = "           "    // indent of what belongs to an op's line
	tailLines    = 8                // of a command's output, shown when it fails
	between      = 30 * time.Second // two lines of progress of an op, where no line is live
	textLines    = 40               // of the hunks of a text
	textLinesDry = 1000             // of those in a dry run, which is there to be read
	effectLines  = 12               // of an op
)

// Terminal is a Sink for people: a line for each op, below it what changed. It
// writes printable characters, newlines and its own colours, nothing else. It
// accepts every event: a terminal that is gone stops nothing, because the trace
// is the record. Tail and Progress may be called from other goroutines.
type Terminal struct {
	w     io.Writer
	opts  Options
	paint palette

	mu         sync.Mutex
	out        bytes.Buffer // what the event under way shows
	drawn      bool         // the live line stands on the screen
	dry        bool         // the run is a dry run
	terse      bool         // what changed is told in brief
	user       string       // who runs
	start      time.Time    // of the run
	heading    string       // of the step; not yet shown
	op         Event        // under way, or the zero Event
	did        []Event      // effects of op
	met, unmet int          // requirements that hold and that do not, since the last line
	progress   string       // of op
	began      time.Time    // when op did
	progressAt time.Time    // then, or when its last line of progress was written
	tail       []string     // the last lines of output of op
	last       string       // what is shown of them live
	clock      *time.Timer  // see tick; may be nil
	left       leftOut
	sum        summary
}

// NewTerminal returns a Terminal that writes to w.
func NewTerminal(w io.Writer, opts Options) *Terminal {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Terminal{w: w, opts: opts, paint: newPalette(opts.Color)}
}

// Emit shows e.
func (t *Terminal) Emit(e Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Op != "require" && e.Kind != Probe {
		t.allMet()
	}
	if e.Kind != Step || e.State == Ended { // else they stand below its heading
		t.reads(e)
	}
	switch e.Kind {
	case Run:
		t.run(e)
	case Step:
		t.step(e)
	case Op:
		t.begin(e)
	case Effect:
		t.did = append(t.did, e)
		t.aside("does " + Quote(describe(e)) + prefixed("  ", aspects(e, "")))
	case Probe:
		t.probe(e)
	case Result:
		t.result(e)
	case Log:
		t.log(e.Text)
	case End:
		t.end(e)
	}
	t.flush()
	return nil
}

func (t *Terminal) run(e Event) {
	if t.start = e.Time; e.Run == nil {
		return
	}
	t.dry, t.user = e.Run.Mode == DryRun, e.Run.User.Name
	t.terse = e.Run.Mode == RealRun && !t.opts.Verbose && !t.opts.Whole
	t.sum.runbook = Quote(e.Run.Runbook)
	if t.opts.Quiet {
		return
	}
	where := prefixed(" on ", e.Run.Host.Hostname) + prefixed(" as ", e.Run.User.Name)
	t.line("", t.paint.strong.Sprint(t.sum.runbook+where+prefixed(", ticket ", e.Run.Ticket)))
	for _, s := range e.Run.terms() {
		t.line("", t.paint.change.Sprint(Quote(s)))
	}
	switch e.Run.Mode {
	case DryRun:
		t.line("", t.paint.change.Sprint("dry run: nothing is changed"))
	case Rehearsal:
		t.line("", t.paint.change.Sprint("rehearsal: what is changed is discarded"))
	}
	if !t.opts.Verbose {
		return
	}
	for _, v := range e.Run.Vars {
		value := Quote(v.Name) + " = " + Quote(jsonText(v.Value)) + prefixed("  from ", v.From)
		t.line("  ", t.paint.dim.Sprint(value))
	}
}

func (t *Terminal) step(e Event) {
	heading := t.paint.strong.Sprint(Quote(e.Step)) + prefixed("  ", e.Title)
	switch e.State {
	case Begin:
		t.heading = heading
	case LeftOut:
		t.sum.left++
		heading += t.paint.dim.Sprint("  skipped" + prefixed(": ", e.Why))
	default:
		return
	}
	heading += t.paint.dim.Sprint(prefixed("  site: ", e.Site))
	if e.State == Begin {
		t.heading = heading
	}
	if t.opts.Quiet {
		return
	}
	t.heading = ""
	t.line("", "")
	t.line("", heading)
	if t.opts.Verbose && e.State == Begin {
		t.block("  ", e.Text)
	}
	t.reads(e)
}

// reads tells what was read before e.
func (t *Terminal) reads(e Event) {
	for _, a := range e.Read {
		if t.opts.Verbose || t.opts.Whole {
			t.line(below, t.paint.dim.Sprint("read "+Quote(a.String())))
		}
	}
}

func (t *Terminal) begin(e Event) {
	t.op, t.did, t.tail, t.last, t.progress, t.began = e, nil, nil, "", "", t.opts.Now()
	t.progressAt = t.began
	t.tick()
	if t.opts.Verbose {
		begins := nameOf(e)
		if e.Op != "require" {
			begins += prefixed("  ", e.Pos)
		}
		t.line("  ", t.paint.dim.Sprint(pad("begins", column)+"  "+begins))
	}
}

// probe shows a question; of a dry run, which runs nothing else, each that the
// runbook asks.
func (t *Terminal) probe(e Event) {
	what := Quote(cmp.Or(e.URL, Spaced(e.Argv))) + prefixed("  as ", e.User)
	if len(e.Assumed) > 0 {
		t.aside("does not ask " + what)
		return
	}
	if what += prefixed(" = ", strconv.Itoa(e.Code)); e.Asker == "" || !t.dry {
		t.aside("asks " + what)
		return
	}
	t.sum.asked++
	if t.allMet(); !t.opts.Quiet || e.Why != "" {
		t.line("  ", t.paint.dim.Sprint(pad("asks:", column)+"  "+what)+t.paint.bad.Sprint(prefixed("  ", e.Why)))
	}
}

// aside adds a dim line, which has passed Quote, to a verbose terminal.
func (t *Terminal) aside(text string) {
	if t.opts.Verbose {
		t.line(below, t.paint.dim.Sprint(text))
	}
}

func (t *Terminal) log(text string) {
	if t.opts.Quiet {
		return
	}
	marker := "note"
	for s := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		t.item(pad(marker, column) + "  " + Quote(s))
		marker = ""
	}
}

func (t *Terminal) result(e Event) {
	op := t.op
	t.still()
	t.op, t.progress, t.progressAt = Event{}, "", time.Time{}
	t.sum.count(e)
	if e.Op == "require" && e.Outcome == Same && !t.opts.Verbose {
		t.met++ // its target is what would be wrong if it did not hold
		return
	}
	if e.Op == "require" && e.Outcome == Failed && t.opts.Reported && !t.opts.Verbose {
		t.unmet++
		return
	}
	if t.opts.Quiet && e.Outcome != Changed && e.Outcome != Failed {
		return
	}
	marker := t.paint.of(e.Outcome).Sprint(pad(t.marker(e.Outcome), column))
	elapsed := ""
	if e.Elapsed > 100*time.Millisecond {
		elapsed = t.paint.dim.Sprint("  " + spent(e.Elapsed))
	}
	e.Pos = op.Pos
	if e.Outcome == Changed && t.terse {
		t.brief(op, e, elapsed)
		t.exposed()
	} else {
		t.item(marker + "  " + t.nameIn(e, elapsed) + elapsed)
		t.changes(op)
		t.effects(op)
	}
	t.remarks(e)
	if e.Outcome == Failed {
		t.failure(op, e)
	}
}

// allMet says in a line how many requirements hold, and in one how many do not.
func (t *Terminal) allMet() {
	if t.met > 0 && !t.opts.Quiet {
		t.requirements(Same, t.met, " met")
	}
	if t.unmet > 0 {
		t.requirements(Failed, t.unmet, " not met")
	}
	t.met, t.unmet = 0, 0
}

func (t *Terminal) requirements(o Outcome, n int, what string) {
	t.line("  ", t.paint.of(o).Sprint(pad(t.marker(o), column))+"  "+pad("require", 10)+" "+strconv.Itoa(n)+what)
}

// changes shows what changed, unless the line of the op has said it.
func (t *Terminal) changes(op Event) {
	limit := textLines
	switch {
	case t.opts.Verbose || t.opts.Whole:
		limit = 0
	case t.dry:
		limit = textLinesDry
	}
	for _, l := range changeLines(changesBeside(op), limit, "--verbose shows them") {
		switch l.text = t.clipped(l.text); {
		case l.sign == '-':
			t.raw(below, t.paint.bad.Sprint(l.text))
		case l.sign == '+':
			t.raw(below, t.paint.good.Sprint(l.text))
		case strings.HasPrefix(l.text, " "): // of a text
			t.raw(below, l.text)
		default:
			t.line(below, l.text)
		}
	}
	for _, where := range wholeTexts(op) {
		t.line(below, t.paint.change.Sprint(where))
	}
}

// clipped returns a line that does not fill a screen. It says how much is cut.
func (t *Terminal) clipped(s string) string {
	if !t.opts.Live || t.opts.Verbose {
		return s
	}
	short := trimTo(s, 10*t.columns())
	if n := utf8.RuneCountInString(s[len(short):]); n > 0 {
		return fmt.Sprintf("%s (%d more characters; --verbose shows them)", short, n)
	}
	return s
}

// effects shows what op's line and changes do not tell of its effects, and what every
// account can see of them.
func (t *Terminal) effects(op Event) {
	lines := t.untold(op)
	if n := len(lines); n > effectLines && !t.opts.Whole {
		lines = append(lines[:effectLines], fmt.Sprintf("(%d more effects; --verbose shows them)", n-effectLines))
	}
	for _, l := range lines {
		t.line(below, t.paint.dim.Sprint(l))
	}
	t.exposed()
}

// untold returns what op's line and changes do not tell of its effects.
func (t *Terminal) untold(op Event) (lines []string) {
	add := func(text string) {
		if text != "" && !slices.Contains(lines, text) {
			lines = append(lines, text)
		}
	}
	for _, e := range t.did {
		more := aspects(e, t.user, op.Changes...)
		told := slices.ContainsFunc(op.Changes, func(c host.Change) bool { return c.What == e.Path }) && more == ""
		switch {
		case targets(op, e):
			add(t.clipped(more))
		case !told && !t.opts.Verbose: // a verbose terminal has shown them
			add(t.clipped("does " + Quote(describe(e)) + prefixed("  ", more)))
		}
		for _, r := range readings(e) {
			if t.dry || t.opts.Verbose || t.opts.Whole {
				add(t.clipped(r))
			}
		}
	}
	return lines
}

// exposed shows what every account can see of the effects, and which commands are not confined.
func (t *Terminal) exposed() {
	for _, e := range t.did {
		for _, s := range warnings(e) {
			t.line(below, t.paint.bad.Sprint(s))
		}
	}
}

// failure shows why an op failed, its position, what the command printed last
// and what may cure it.
func (t *Terminal) failure(op, e Event) {
	if Quote(e.Error) != Quote(op.Target) && !t.opts.Reported { // the line of a requirement has said it
		t.problem(below, e.Error)
	}
	if op.Pos != "" && !t.opts.Reported {
		t.line(below, t.paint.dim.Sprint("at "+Quote(op.Pos)))
	}
	for _, s := range t.tail {
		if !t.opts.Verbose && !strings.Contains(Quote(e.Error), strings.TrimSpace(s)) {
			t.raw(below, t.paint.dim.Sprint("| "+s))
		}
	}
	if !t.opts.Reported {
		t.hint(below, e.Hint)
	}
}

func (t *Terminal) hint(indent, hint string) {
	const label = "hint: "
	for i, s := range strings.Split(strings.TrimSpace(hint), "\n") {
		switch {
		case s == "":
		case i == 0:
			t.hung(indent, t.paint.strong.Sprint(label)+Quote(s), len(indent+label))
		default:
			t.hung(indent, strings.Repeat(" ", len(label))+Quote(s), len(indent+label))
		}
	}
}

// end shows the summary, before it the error unless the caller or an op has shown it.
func (t *Terminal) end(e Event) {
	t.still()
	t.op, t.heading = Event{}, ""
	if !t.opts.Quiet {
		t.line("", "")
	}
	if e.Error != "" && !t.opts.Reported && (t.sum.failed == "" || !strings.Contains(e.Error, t.sum.failed)) {
		t.problem("", e.Error)
		t.hint("  ", e.Hint)
	}
	verdict := map[Outcome]string{Done: "done", Failed: "failed", Interrupted: "interrupted"}[e.Outcome]
	if t.dry {
		verdict = "dry run " + verdict
	}
	if d := e.Time.Sub(t.start); !t.start.IsZero() && d > 0 {
		verdict += " in " + spent(d)
	}
	t.line("", t.paint.of(e.Outcome).Sprint(t.sum.runbook+" "+verdict)+": "+t.sum.words(e.Outcome, t.dry))
	if left := t.left.words(); left != "" {
		t.line("", t.paint.dim.Sprint("not shown: "+left+": runbook audit show TRACE"))
	}
}

// line adds a line, which has passed Quote, to what is shown next.
func (t *Terminal) line(indent, text string) { t.hung(indent, text, len(indent)+2) }

// item adds the line of an op.
func (t *Terminal) item(text string) { t.hung("  ", text, len(below)) }

// hung adds a line that goes on below a column where the terminal ends.
func (t *Terminal) hung(indent, text string, hang int) {
	for _, l := range Wrap(indent+text, t.opts.Width, hang) {
		t.raw("", l)
	}
}

// raw adds a line of something else, which is not broken.
func (t *Terminal) raw(indent, text string) {
	if t.heading != "" { // a quiet terminal shows a step when it has a line to show below it
		t.out.WriteString(t.heading + "\n")
		t.heading = ""
	}
	t.out.WriteString(strings.TrimRight(indent+text, " ") + "\n")
}

// block adds lines that have not passed Quote.
func (t *Terminal) block(indent, text string) {
	for s := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		if strings.TrimSpace(s) != "" {
			t.line(indent, Quote(s))
		}
	}
}

// problem adds the lines of an error.
func (t *Terminal) problem(indent, text string) {
	first, rest, _ := strings.Cut(strings.TrimSpace(text), "\n")
	t.block(indent, first)
	for l := range strings.SplitSeq(rest, "\n") {
		t.block(indent, Continued(l))
	}
}

func (t *Terminal) marker(o Outcome) string {
	switch {
	case o == Same:
		return "ok"
	case o == Changed && t.dry:
		return "would"
	}
	return Quote(string(o))
}

// nameOf returns builtin and target of an op or a result.
func nameOf(e Event) string { return strings.TrimRight(pad(Quote(e.Op), 10)+" "+targetOf(e), " ") }

// targetOf returns what an op acts on; of a requirement where it stands, because its target is what is wrong if it is
// not met.
func targetOf(e Event) string {
	if e.Op == "require" && e.Outcome != Failed {
		return Quote(e.Pos)
	}
	return Brief(e.Target)
}

// prefixed returns text, fit to be shown, behind prefix; "" if there is no text.
func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + Quote(text)
}

// spent returns a duration as people say it.
func spent(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}
