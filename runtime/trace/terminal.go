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

	"runbook/runtime/host"
)

// Options say how a Terminal shows things.
type Options struct {
	Color   bool             // paint
	Live    bool             // W is a terminal: keep a last line that tells what is under way
	Width   int              // columns; 80 if 0
	Quiet   bool             // only what changed or failed, and the summary
	Verbose bool             // also manual texts, effects, probes and what commands print
	Told    bool             // somebody else tells why the run failed
	Now     func() time.Time // time.Now if nil
}

// between is how often a writer that is no terminal is told how far an op is.
const between = 30 * time.Second

// Terminal is a Sink for people: a line for each op, below it what changed. It
// writes printable characters, newlines and its own colours, nothing else. It
// accepts every event: a terminal that is gone stops nothing, the trace is the
// record. Tail and Progress may be called from other goroutines.
type Terminal struct {
	w     io.Writer
	opts  Options
	paint palette

	mu       sync.Mutex
	out      bytes.Buffer // what the event under way shows
	drawn    bool         // the live line stands there
	dry      bool
	start    time.Time
	heading  string // of the step; not yet shown
	op       Event  // under way, or the zero Event
	met      int    // requirements that hold, since the last line
	progress string
	told     time.Time // when the op began, or a line of progress was written last
	tail     []string  // the last lines of output of op
	sum      summary
}

// tailLines is how much output of a command is shown when it fails.
const tailLines = 8

// NewTerminal returns a Terminal that writes to w.
func NewTerminal(w io.Writer, opts Options) *Terminal {
	opts.Width = cmp.Or(opts.Width, 80)
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
	switch e.Kind {
	case Run:
		t.run(e)
	case Step:
		t.step(e)
	case Op:
		t.begin(e)
	case Effect, Probe:
		t.detail(e)
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

// Tail takes a line that the command under way has printed.
func (t *Terminal) Tail(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line = Quote(strings.TrimRight(line, "\r\n"))
	if t.tail = append(t.tail, line); len(t.tail) > tailLines {
		t.tail = t.tail[1:]
	}
	if t.opts.Verbose {
		t.line(below, t.paint.dim.Sprint("| "+line))
	}
	t.flush()
}

// Progress takes how far the op under way is. What is no terminal gets a line of it now and then.
func (t *Terminal) Progress(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.progress = Quote(text)
	switch now := t.opts.Now(); {
	case t.opts.Live || t.opts.Quiet:
	case t.told.IsZero():
		t.told = now
	case now.Sub(t.told) >= between:
		t.told = now
		t.line("  ", t.paint.dim.Sprint(t.live()[2:]))
	}
	t.flush()
}

func (t *Terminal) run(e Event) {
	if t.start = e.Time; e.Run == nil {
		return
	}
	t.dry = e.Run.Mode == DryRun
	t.sum.title = Quote(e.Run.Runbook)
	if t.opts.Quiet {
		return
	}
	where := t.sum.title + inWords(" on ", e.Run.Host.Hostname) + inWords(" as ", e.Run.User.Name) + inWords(", ticket ", e.Run.Ticket)
	t.line("", t.paint.strong.Sprint(where))
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
		t.line("  ", t.paint.dim.Sprint(Quote(v.Name)+" = "+Quote(text(v.Value))+inWords("  from ", v.From)))
	}
}

func (t *Terminal) step(e Event) {
	heading := t.paint.strong.Sprint(Quote(e.Step)) + inWords("  ", e.Title)
	switch e.State {
	case Begin:
		t.heading = heading
	case LeftOut:
		t.sum.left++
		heading += t.paint.dim.Sprint("  skipped" + inWords(": ", e.Why))
	default:
		return
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
}

func (t *Terminal) begin(e Event) {
	t.op, t.tail, t.progress, t.told = e, nil, "", t.opts.Now()
	if t.opts.Verbose {
		t.line("  ", t.paint.dim.Sprint(pad("begins", column)+"  "+t.name(e)+inWords("  ", e.Pos)))
	}
}

func (t *Terminal) detail(e Event) {
	if !t.opts.Verbose {
		return
	}
	what := "does " + Quote(describe(e))
	if e.Kind == Probe {
		what = "asks " + Quote(cmp.Or(e.URL, spaced(e.Argv))) + inWords(" = ", text(e.Code))
	}
	t.line(below, t.paint.dim.Sprint(what))
}

func (t *Terminal) log(text string) {
	if t.opts.Quiet {
		return
	}
	marker := "note"
	for s := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		t.line("  ", pad(marker, column)+"  "+Quote(s))
		marker = ""
	}
}

func (t *Terminal) result(e Event) {
	op := t.op
	t.op, t.progress, t.told = Event{}, "", time.Time{}
	t.sum.count(e)
	if e.Op == "require" && e.Outcome == Same && !t.opts.Verbose {
		t.met++ // its target is what would be wrong if it did not hold
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
	t.line("  ", marker+"  "+t.name(e)+elapsed)
	t.changes(op)
	for _, s := range e.Assumed {
		t.line(below, t.paint.change.Sprint("assumed: ")+Quote(s))
	}
	if e.Outcome == Failed {
		t.failure(op, e)
	}
}

// allMet says in one line how many requirements hold.
func (t *Terminal) allMet() {
	if t.met > 0 && !t.opts.Quiet {
		t.line("  ", t.paint.of(Same).Sprint(pad("ok", column))+"  "+pad("require", 10)+" "+strconv.Itoa(t.met)+" met")
	}
	t.met = 0
}

// failure shows why an op failed, where it is written, what may help, and what
// the command said last.
func (t *Terminal) failure(op, e Event) {
	if e.Error != op.Target { // a requirement has been told already
		t.block(below, e.Error)
	}
	if op.Pos != "" {
		t.line(below, t.paint.dim.Sprint("at "+Quote(op.Pos)))
	}
	for _, s := range t.tail {
		if !t.opts.Verbose && !strings.Contains(Quote(e.Error), strings.TrimSpace(s)) {
			t.line(below, t.paint.dim.Sprint("| "+s))
		}
	}
	t.hint(below, e.Hint)
}

func (t *Terminal) hint(indent, hint string) {
	for i, s := range strings.Split(strings.TrimSpace(hint), "\n") {
		switch {
		case s == "":
		case i == 0:
			t.line(indent, t.paint.strong.Sprint("hint: ")+Quote(s))
		default:
			t.line(indent+"      ", Quote(s))
		}
	}
}

// changes shows what changed, unless the op's own line has said it.
func (t *Terminal) changes(op Event) {
	changes := slices.DeleteFunc(slices.Clone(op.Changes), func(c host.Change) bool { return c.From == "" && c.To == op.Target })
	limit, width := 12, t.opts.Width
	if t.opts.Verbose {
		limit, width = 1000, 10_000
	}
	for _, l := range changeLines(changes, limit, width-len(below)) {
		switch l.sign {
		case '-':
			l.text = t.paint.bad.Sprint(l.text)
		case '+':
			l.text = t.paint.good.Sprint(l.text)
		}
		t.line(below, l.text)
	}
}

const (
	column = len("changed") // width of markers
	below  = "           "  // indent of what belongs to an op's line
)

// line adds a line, which has passed Quote, to what is shown next.
func (t *Terminal) line(indent, text string) {
	if t.heading != "" { // of a quiet step, which now has something to say
		t.out.WriteString(t.heading + "\n")
		t.heading = ""
	}
	t.out.WriteString(strings.TrimRight(indent+text, " ") + "\n")
}

// block adds lines that have not passed Quote.
func (t *Terminal) block(indent, text string) {
	for s := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if s != "" {
			t.line(indent, Quote(s))
		}
	}
}

// flush writes what was added, above the live line.
func (t *Terminal) flush() {
	var b bytes.Buffer
	if t.drawn {
		b.WriteString("\r\x1b[K") // to the beginning, erase to the end: every terminal's
	}
	t.out.WriteTo(&b)
	if t.drawn = t.opts.Live && (t.op.Kind != "" || t.progress != ""); t.drawn {
		b.WriteString(t.paint.dim.Sprint(cut(t.live(), t.opts.Width-1)))
	}
	if b.Len() > 0 {
		t.w.Write(b.Bytes())
	}
}

// live is the line of the op under way. Before it has begun it looks at the machine.
func (t *Terminal) live() string {
	if t.op.Kind == "" {
		return "  " + pad("...", column) + inWords("  ", t.progress)
	}
	s := "  " + pad("...", column) + "  " + t.name(t.op) + inWords("  ", t.progress)
	if len(t.tail) > 0 {
		s += inWords("  | ", t.tail[len(t.tail)-1])
	}
	return s
}

// name is builtin and target of an op or a result.
func (t *Terminal) name(e Event) string { return pad(Quote(e.Op), 10) + " " + Quote(e.Target) }

func (t *Terminal) marker(o Outcome) string {
	switch {
	case o == Same:
		return "ok"
	case o == Changed && t.dry:
		return "would"
	}
	return Quote(string(o))
}

// inWords puts before between a text and what comes before it, if there is a text.
func inWords(before, text string) string {
	if text == "" {
		return ""
	}
	return before + Quote(text)
}

// spent returns d as people say it.
func spent(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// A summary is what is said last.
type summary struct {
	title   string // of the runbook
	counts  Counts
	left    int    // steps left out
	assumed int    // ops that rest on a guess
	failed  string // error of the last op that failed
}

func (s *summary) count(e Event) {
	s.counts.add(e)
	if len(e.Assumed) > 0 {
		s.assumed++
	}
	if e.Outcome == Failed {
		s.failed = e.Error
	}
}

// words are the counts, of what there is any.
func (s summary) words(dry bool) string {
	changed := "%d changed"
	if dry {
		changed = "%d would change"
	}
	steps := "%d steps left out"
	if s.left == 1 {
		steps = "%d step left out"
	}
	var parts []string
	for _, p := range []struct {
		n      int
		format string
	}{
		{s.counts.Failed, "%d failed"}, {s.counts.Changed, changed}, {s.counts.Same, "%d already so"},
		{s.counts.Skipped, "%d skipped"}, {s.left, steps}, {s.assumed, "%d assumed"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf(p.format, p.n))
		}
	}
	if len(parts) == 0 {
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}

// end shows the error, unless somebody tells it, and the summary.
func (t *Terminal) end(e Event) {
	t.op, t.heading = Event{}, ""
	if !t.opts.Quiet {
		t.line("", "")
	}
	if e.Error != "" && !t.opts.Told && (t.sum.failed == "" || !strings.Contains(e.Error, t.sum.failed)) {
		t.block("", e.Error)
		t.hint("  ", e.Hint)
	}
	verdict := map[Outcome]string{Done: "done", Failed: "failed", Interrupted: "interrupted"}[e.Outcome]
	if t.dry {
		verdict = "dry run " + verdict
	}
	if d := e.Time.Sub(t.start); !t.start.IsZero() && d > 0 {
		verdict += " in " + spent(d)
	}
	t.line("", t.paint.of(e.Outcome).Sprint(t.sum.title+" "+verdict)+": "+t.sum.words(t.dry))
}
