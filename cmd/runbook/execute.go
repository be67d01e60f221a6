package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"runbook/cmd/runbook/internal/kept"
	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// A session is one execution of a command line of run.
type session struct {
	*program
	flags runFlags
	loaded
	sources map[string]source
	plan    *plan // nil if there is none to follow
	state   state
	local   *host.Local
	planned *planned      // nil unless a snapshot stands for the machine
	digests *host.Digests // of what this session has read
	console *console
	police  *policing // nil without a policy
	hand    *byHand   // nil unless a person makes the changes

	approvals []trace.Approval // of the plan
	watch     watch
	undoable  undoable
	undo      *undoing // nil unless a run is taken back
	ending    ending
}

// dryRun runs against a copy-on-write view of this machine, and asks nobody.
func (s *session) dryRun(ctx context.Context) error {
	ctx, stop := s.interruptible(ctx, false)
	defer stop()
	if err := s.approved(); err != nil {
		return err
	}
	o := s.options(trace.DryRun)
	o.Mute = s.flags.noProbes
	var file *os.File
	var err error
	if o.Secrets, err = s.availableSecrets(ctx); err != nil {
		return err
	}
	if s.flags.trace != "" {
		if file, err = create(s.flags.trace); err != nil {
			return err
		}
		defer file.Close()
	}
	s.keeper(&o, nil)
	_, err = s.do(ctx, s.predicted, o, file, nil, s.out)
	s.planned.tell(s.err)
	if err != nil {
		return err
	}
	if s.flags.format == "text" && !s.flags.quiet {
		s.undoable.tell(s.program)
	}
	s.police.tell(s.err)
	if s.flags.exitCode && s.watch.Changed > 0 {
		return exit(changesToMake)
	}
	return nil
}

// realRun runs on this machine, one run at a time.
func (s *session) realRun(ctx context.Context) (err error) {
	ctx, stop := s.interruptible(ctx, true)
	defer stop()
	s.out.alone = true
	if err := s.state.prepare(); err != nil {
		return err
	}
	unlock, err := s.state.lock(holder(userName(), s.book.Name, s.now()))
	if err != nil {
		return err
	}
	defer unlock.Close()
	if err := s.mayBegin(ctx); err != nil {
		return err
	}
	if s.hand, err = s.newByHand(); err != nil {
		return err
	}
	o := s.options(trace.RealRun)
	if o.Secrets, err = s.askedSecrets(ctx); err != nil {
		return err
	}
	o.Remember = s.state.remember
	o.Info.Undo = kept.NewID()
	spare := ""
	if s.undo != nil {
		spare = s.undo.id
	}
	if err := s.state.kept().Prune(mostKeptInAll, spare); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	journal := s.state.kept().Begin(o.Info.Undo)
	defer journal.Close()
	s.keeper(&o, journal)
	o.Person = &person{ctx, s.console, s.flags.yes, s.flags.acks}
	if s.hand != nil {
		o.ByHand = s.hand.await
	}
	name, file, err := s.newTrace()
	if err != nil {
		return err
	}
	defer file.Close()
	printed := &outputFile{name: name + ".out"}
	s.ending.conclude = func(head string) error { return s.conclude(name, head, printed, false) }
	if err := s.noteFollowing(name); err != nil {
		return err
	}
	if s.flags.confirmWithin > 0 {
		if err := s.await(name); err != nil {
			return err
		}
	}
	head, err := s.do(ctx, s.onMachine, o, file, printed, lenient{s.out})
	err = errors.Join(s.wayOn(err), s.noteFollowing(name))
	err = errors.Join(err, s.conclude(name, head, printed, s.flags.quiet && err == nil))
	return s.settle(err)
}

// mayBegin returns an error if another run is to be settled first, the run may not follow its plan, or what it is to
// take back cannot be.
func (s *session) mayBegin(ctx context.Context) error {
	if s.undo == nil {
		if err := s.state.unsettled(); err != nil {
			return err
		}
	}
	if err := s.admit(ctx); err != nil {
		return s.refuse(err)
	}
	if s.undo != nil && s.plan == nil {
		return s.foretell(ctx)
	}
	return nil
}

// settle notes that the run has ended, for who may confirm it, and that one that was to be confirmed is undone.
func (s *session) settle(err error) error {
	switch {
	case s.flags.confirmWithin > 0:
		return errors.Join(err, s.awaited(s.now()))
	case s.undo != nil && err == nil:
		return s.undo.settle(s.state)
	}
	return err
}

// newTrace makes the file of a real run's trace.
func (s *session) newTrace() (name string, file *os.File, err error) {
	if name = s.flags.trace; name == "" {
		if name, err = s.state.traceName(s.book.Name, s.now()); err != nil {
			return name, nil, fmt.Errorf("trace: %w", err)
		}
	}
	file, err = create(name)
	return name, file, err
}

// options are those of both modes.
func (s *session) options(mode string) runtime.Options {
	unix.Umask(0o022) // what commands make, and see, must not depend on the shell that the run was started from
	o := runtime.Options{
		Now:     s.now,
		Select:  s.flags.selection.chooser(),
		Digests: s.digests,
	}
	if ticket := ticketOf(s.flags.ticket, s.approvals); s.planned != nil {
		o.State, o.Made = s.planned.stateAt(s.flags.state), s.planned.snapshot.Made
		o.Info = s.planned.info(mode, ticket)
	} else {
		o.State, o.Made, o.Info = string(s.state), s.state.made(), info(mode, ticket, s.state.head())
	}
	o.Info.Confine = string(s.flags.confine)
	if s.police != nil {
		o.Info.Policy = s.police.policy.Sources
	}
	if s.plan != nil {
		o.Info.Follows, o.Info.Edited, o.Info.Approvals = s.plan.head, s.plan.edited(s.book.Sources), s.approvals
	}
	return o
}

// A constructor of runs chooses their mode: a real run or a dry run.
type constructor func(runtime.Options) *runtime.Run

func (s *session) onMachine(o runtime.Options) *runtime.Run { return runtime.OnMachine(s.local, o) }

func (s *session) predicted(o runtime.Options) *runtime.Run {
	if s.planned != nil {
		return runtime.Planned(s.planned.snapshot, o)
	}
	return runtime.Predicted(s.local, o)
}

// do runs the runbook and emits to the sinks in order: what may refuse goes before
// the trace, and the trace before what is shown. It returns the head of the trace.
func (s *session) do(
	ctx context.Context, run constructor, o runtime.Options, file *os.File, printed *outputFile, out io.Writer,
) (head string, err error) {
	shown := s.display(out)
	var record *trace.File
	switch {
	case file != nil && shown == nil:
		record = trace.NewFile(file, out)
	case file != nil:
		record = trace.NewFile(file)
	case shown == nil:
		record = trace.NewFile(unsynced{out})
	default:
		record = trace.NewFile(unsynced{io.Discard})
	}
	accepting := trace.Tee{record, &s.watch}
	if shown != nil {
		accepting = append(accepting, shown)
	}
	if printed != nil {
		accepting = append(accepting, printed)
		o.Output = printed
	}
	if t, ok := shown.(*trace.Terminal); ok {
		if o.Progress = t.Progress; printed != nil {
			printed.tail = t.Tail
		}
	}
	leaks := s.book.Leaks(o.Secrets, o.Info)
	if file != nil {
		o.Keep = (&blobs{dir: file.Name() + ".blobs", leaks: leaks}).keep
	}
	refusing := trace.Tee{trace.NewGuard(leaks)}
	if s.plan != nil {
		follow := trace.NewFollow(s.plan.events, s.flags.edited)
		refusing, o.Ask = append(refusing, follow), follow.Ask
	}
	if s.hand != nil {
		accepting = append(accepting, s.hand)
	}
	if s.undo != nil {
		accepting = append(accepting, s.undo)
	}
	if s.police != nil {
		refusing, accepting = append(refusing, s.police.only(trace.Effect)), append(accepting, s.police.only(trace.Op))
	}
	o.Sink = append(refusing, accepting...)
	o.GiveUp, o.Info.Binary.SHA256 = s.endNow, s.digest()
	r := run(o)
	s.ending.begun(r, record)
	err = r.Do(ctx, s.book)
	if errors.Is(err, trace.ErrDeviates) && !s.watch.ended { // the end as done was refused: the trace lacks one
		end := trace.Event{Kind: trace.End, Time: o.Now(), Outcome: trace.Failed, Error: err.Error()}
		err = errors.Join(err, accepting.Emit(end))
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = errors.Join(err, cause)
	}
	return record.Head(), err
}

// display returns the sink that standard output shows; nil if it shows the lines of
// the trace.
func (s *session) display(out io.Writer) trace.Sink {
	f := s.flags
	switch f.format {
	case "json":
		return nil
	case "sh":
		return trace.NewShell(out)
	}
	fd := int(s.out.file.Fd())
	opts := trace.Options{Quiet: f.quiet, Verbose: f.verbose, Reported: true}
	opts.Width = terminalColumns(s.out.file)
	if term.IsTerminal(fd) && os.Getenv("TERM") != "dumb" {
		opts.Live, opts.Still = true, s.hand != nil
		opts.Color = !f.noColor && os.Getenv("NO_COLOR") == ""
	}
	return trace.NewTerminal(out, opts)
}

// conclude writes the head for the next run, closes the output of commands, and says
// where the files are and what the head is.
func (s *session) conclude(name, head string, printed *outputFile, quiet bool) error {
	made, err := printed.close()
	if err != nil {
		err = fmt.Errorf("output of commands: %w", err)
	}
	if herr := s.state.setHead(head); herr != nil {
		err = cmp.Or(err, fmt.Errorf("state directory: %w", herr))
	}
	if abs, aerr := filepath.Abs(name); aerr == nil {
		name = abs
	}
	s.logHead(name, head)
	if quiet {
		return err
	}
	fmt.Fprintln(s.err, "runbook: trace: "+trace.Quote(name))
	if made {
		fmt.Fprintln(s.err, "runbook: output of commands: "+trace.Quote(name)+".out")
	}
	// Kept elsewhere, it shows later that nobody has written another trace.
	fmt.Fprintln(s.err, "runbook: head: "+trace.Short(head)+" (runbook audit verify shows the same)")
	return err
}

// unsynced is a Durable whose content need not reach a disk.
type unsynced struct{ io.Writer }

func (unsynced) Sync() error { return nil }

// lenient is a writer whose errors do not stop a run.
type lenient struct{ w io.Writer }

func (l lenient) Write(b []byte) (int, error) {
	_, _ = l.w.Write(b) // the trace is the record
	return len(b), nil
}
