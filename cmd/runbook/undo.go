package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"runbook/builtins"
	"runbook/cmd/runbook/internal/kept"
	"runbook/runtime"
	"runbook/runtime/host/before"
	"runbook/runtime/trace"
)

const undoHelp = `Take back what a run did on this machine, as a run of its own, with all flags of run.

A real run keeps what it changes, as it was, below its state directory: files that it replaces or removes, modes and
owners, and what packages, accounts, services, crontabs and rules of the firewall there were. The dry run of a runbook
ends with how many of its effects can be taken back, and why others cannot.

What is taken back is a runbook that is made from the trace: its steps are those of the run, the last one first. So

  runbook undo run.jsonl --dry-run --trace plan.jsonl    shows it
  runbook undo run.jsonl --follow plan.jsonl             does what was approved
  runbook undo undo.jsonl                                does it all again

An undo that was cut short is gone on with by the same command. A run that was cut short can be undone, too.

What somebody has changed since the run is found first, and nothing is done until you say what happens to it: with
--var drifted=keep it stays as it is, with --var drifted=take it goes, too. The same holds for what others have put into
directories that the run made: it stays, and so do those directories, unless drifted=take is given.`

func (p *program) undoCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use: "undo TRACE", Short: "Take back what a run did", Long: undoHelp,
		Example: "  runbook undo run.jsonl --dry-run\n  runbook undo run.jsonl --var drifted=keep",
		Args:    operands(1, 1, "TRACE"),
		RunE: func(c *cobra.Command, args []string) error {
			return p.undo(c.Context(), f, args[0])
		},
	}
	f.add(c, p)
	return c
}

const (
	mostKept      = 1 << 30 // bytes that a run may keep of what it changes
	mostKeptInAll = 4 << 30 // bytes that all runs may: then what the oldest have kept goes
)

// keptIn is where runs keep what they change.
func (s state) kept() kept.Store { return kept.Store(string(s) + "/undo") }

// undo takes a run back.
func (p *program) undo(ctx context.Context, f runFlags, name string) error {
	if err := f.check(); err != nil {
		return err
	}
	dir, err := p.stateAt(f.state)
	if err != nil {
		return err
	}
	u, err := p.undoing(name, dir)
	if err != nil {
		return err
	}
	own := *p
	own.rt = runtime.New(append(builtins.All(), builtins.Undo(u.past))...)
	own.rt.GiveUp = p.rt.GiveUp
	if u.past.AllDone() {
		fmt.Fprintf(p.err, "runbook: undo %s: all of it was taken back already\n", trace.Quote(name))
		return nil
	}
	l, err := own.loadText(u.name, u.past.Text(u.head), f.inputFlags)
	s, err := own.prepareLoaded(f, u.name, l, err)
	if err != nil {
		return err
	}
	if err := u.untouched(ctx, s, l.book); err != nil {
		return err
	}
	if f.dryRun {
		return s.dryRun(ctx)
	}
	s.undo = u
	return s.realRun(ctx)
}

// settle forgets that the run awaits its confirmation: it is undone.
func (u *undoing) settle(s state) error {
	p, err := s.pending()
	if abs, aerr := filepath.Abs(u.trace); aerr != nil || err != nil || p == nil || p.Trace != abs {
		return errors.Join(aerr, err)
	}
	return s.settled()
}

// Emit notes what is taken back, so that it is not done again if the undo is cut short.
func (u *undoing) Emit(e trace.Event) error {
	switch {
	case e.Kind == trace.Run:
		return errors.Join(u.store.Link(e.Run.Undo, u.id), u.store.Redo(u.id))
	case e.Kind == trace.Op:
		u.op = e
	case e.Kind == trace.Result && e.Outcome != trace.Failed:
		if part := builtins.UndoneBy(u.op); part != "" {
			return u.store.NoteUndone(u.id, part)
		}
	}
	return nil
}

// loadText loads a runbook that is no file.
func (p *program) loadText(name, text string, f inputFlags) (loaded, error) {
	in, _, err := f.read()
	if err != nil {
		return loaded{}, err
	}
	lib := runtime.Library{Dir: runtime.Overlaid(p.shipped, map[string]string{name: text}), Shipped: p.shipped}
	book, err := p.rt.Load(lib, name, in)
	return loaded{book: book}, err
}

// An undoing is what is to be taken back.
type undoing struct {
	name   string // of the runbook that does it
	trace  string
	head   string
	id     string // of what it has kept
	past   *builtins.Past
	claims *trace.Claims
	store  kept.Store
	op     trace.Event // under way
}

// undoing reads a trace and what the run has kept.
func (p *program) undoing(name string, dir state) (*undoing, error) {
	events, report, bad, err := readVerified(name)
	see := "see what is wrong: runbook audit verify " + trace.Spaced([]string{name})
	switch {
	case err != nil:
		return nil, err
	case len(report.Broken) > 0 || bad != nil || len(events) == 0 || events[0].Run == nil:
		return nil, mistake(see, "undo %s: the trace is not as it was written", name)
	case events[0].Run.Mode != trace.RealRun:
		return nil, mistake("take the trace of a real run", "undo %s: a %s has changed nothing", name, events[0].Run.Mode)
	}
	run := events[0].Run
	if here, _ := os.Hostname(); run.Host.Hostname != here {
		return nil, mistake("undo it there", "undo %s: the run was on %s, and this is %s", name, run.Host.Hostname, here)
	}
	if run.Undo == "" {
		return nil, mistake("only runs that keep what they change can be undone; by hand: runbook audit show "+name,
			"undo %s: the run has kept nothing", name)
	}
	records, err := dir.kept().Read(run.Undo)
	if errors.Is(err, kept.ErrGone) && report.Counts.Changed+report.Counts.Failed == 0 {
		err = nil // it has changed nothing
	}
	if errors.Is(err, kept.ErrGone) {
		return nil, mistake("name the state directory of that run: --state DIR", "undo %s: %w: %s", name, err, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("undo: %w", err)
	}
	past, err := builtins.NewPast(events, records)
	if err != nil {
		return nil, mistake("somebody has changed it, or it was cut off", "undo %s: %w", name, err)
	}
	past.Blob = dir.kept().Blob
	if past.Done, err = dir.kept().Undone(run.Undo); err != nil {
		return nil, fmt.Errorf("undo: %w", err)
	}
	return &undoing{
		name: "undo-" + run.Runbook, trace: name, head: report.Head, id: run.Undo, past: past, claims: trace.ClaimsOf(events),
		store: dir.kept(),
	}, nil
}

// untouched finds what somebody has changed since the run. Unless the var says what happens to it, that is an error.
func (u *undoing) untouched(ctx context.Context, s *session, book *runtime.Runbook) error {
	r, err := recheckClaims(ctx, u.trace, u.claims, false)
	if err != nil {
		return err
	}
	u.past.Drifted = map[string]bool{}
	for _, f := range r.Drifted {
		if strings.HasPrefix(f.What, "/") {
			u.past.Drifted[f.What] = true
		}
	}
	changed, err := u.past.Changed(ctx, newLocal())
	if err != nil {
		return err
	}
	for _, why := range u.past.Lost {
		fmt.Fprintln(s.err, "runbook: cannot be taken back: "+why)
	}
	for _, v := range book.Vars {
		if v.Name == "drifted" && v.Value != "" {
			return nil
		}
	}
	if len(changed) == 0 {
		return nil
	}
	shown := changed[:min(len(changed), 20)]
	text := "\n  - " + strings.Join(shown, "\n  - ")
	if more := len(changed) - len(shown); more > 0 {
		text += fmt.Sprintf("\n  and %d more", more)
	}
	return runtime.Hint(fmt.Errorf("undo %s: somebody has changed since:%s", u.trace, text),
		"nothing was changed; keep it as it is: --var drifted=keep; or let it go, too: --var drifted=take")
}

// foretell makes a dry run, so that one that cannot be done to its end is not begun.
func (s *session) foretell(ctx context.Context) error {
	o := s.options(trace.DryRun)
	o.Sink = trace.NewGuard(s.book.Leaks(o.Secrets, o.Info))
	if err := runtime.Predicted(newLocal(), o).Do(ctx, s.book); err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	return nil
}

// An undoable counts which effects of a run can be taken back.
type undoable struct {
	effects int
	not     []string
}

// keeper has a run keep what it changes, in a journal; nil: it is only judged.
func (s *session) keeper(o *runtime.Options, journal *kept.Journal) {
	if journal == nil {
		o.Before = before.New(mostKept, nil, builtins.CanPutBack)
		o.Record = func(r before.Record) (string, error) { s.judge(r); return "", nil }
		return
	}
	o.Before = before.New(s.room(), journal.Put, builtins.CanPutBack)
	o.Record = func(r before.Record) (string, error) {
		s.judge(r)
		sum, err := journal.Record(r)
		if err != nil {
			err = runtime.Hint(fmt.Errorf("what is there before it cannot be kept: %w", err),
				"make room in the state directory "+string(s.state)+"; the same command goes on from there")
		}
		return sum, err
	}
}

// room is how many bytes this run may keep: a quarter of what is free at most.
func (s *session) room() int64 {
	var fs unix.Statfs_t
	if err := unix.Statfs(string(s.state), &fs); err != nil {
		return mostKept
	}
	return min(mostKept, int64(fs.Bavail)*int64(fs.Bsize)/4)
}

func (s *session) judge(r before.Record) {
	s.undoable.effects++
	if why := builtins.CannotUndo(r); len(why) > 0 {
		s.undoable.not = append(s.undoable.not, trace.Quote(s.watch.underWay()+": "+why[0]))
	}
}

// tell says how many effects can be taken back, and why the others cannot.
func (u undoable) tell(p *program) {
	if u.effects == 0 {
		return
	}
	can := u.effects - len(u.not)
	text := fmt.Sprintf("%d of %s can be undone", can, counted(u.effects, "effect"))
	switch len(u.not) {
	case 0:
	case 1:
		text += "; this one cannot, because"
	default:
		text += fmt.Sprintf("; these %d cannot, because", len(u.not))
	}
	fmt.Fprintln(p.out, text)
	for _, why := range u.not {
		fmt.Fprintln(p.out, "  "+why)
	}
}
