package trace

import (
	"bytes"
	"cmp"
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
