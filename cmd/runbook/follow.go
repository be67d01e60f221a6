package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"runbook/runtime"
	"runbook/runtime/trace"
)

// A plan is an approved trace that a run follows.
type plan struct {
	name, head string
	counts     trace.Counts
	events     []trace.Event
}

// readPlan reads the trace of a plan, which must be whole; what for stands before an error.
func readPlan(name, what string) (*plan, error) {
	events, report, bad, err := readVerified(name)
	if err != nil {
		return nil, err
	}
	if !report.OK() || bad != nil {
		return nil, mistake("see: runbook audit verify "+name, what+" %s: the trace is not whole and unaltered", name)
	}
	if report.Outcome != trace.Done {
		return nil, mistake("approve the trace of a dry run that is done",
			what+" %s: the run that it tells of ended %s", name, report.Outcome)
	}
	return &plan{name, report.Head, report.Counts, events}, nil
}

// edited reports whether sources are others than those that were approved.
func (p *plan) edited(sources []trace.Source) bool {
	return !slices.Equal(p.events[0].Run.Sources, sources)
}

// anew is how another plan is made.
const anew = "the same command with --dry-run --trace NEW instead of --follow"

// admit returns an error unless the run may follow its plan now, if it has one.
func (s *session) admit(ctx context.Context) error {
	if s.plan == nil {
		return nil
	}
	if err := s.approved(); err != nil {
		return err
	}
	before := s.state.followed(s.plan.head)
	err := s.foresee(ctx)
	switch {
	case before == nil:
	case errors.Is(err, trace.ErrDeviates):
		return runtime.Hint(err, before.of(s.plan)+": runbook audit show "+trace.Spaced([]string{before.trace}))
	case err == nil && before.outcome == trace.Done && !s.flags.again:
		return &runtime.Error{Class: runtime.Deviates,
			Err: spoken("the plan %s was followed to its end already, at %s: trace %s; nothing was changed",
				s.plan.name, before.at, before.trace),
			Advice: "make a new plan: " + anew + "; or follow it once more: --again"}
	}
	return err
}

// effects returns how many effects the plan has.
func (p *plan) effects() (n int) {
	for _, e := range p.events {
		if e.Kind == trace.Effect {
			n++
		}
	}
	return n
}

// wayOn adds to the error of a run that stopped because it came to differ from its plan what is done of that, and how
// to go on.
func (s *session) wayOn(err error) error {
	if s.plan == nil || !errors.Is(err, trace.ErrDeviates) {
		return err
	}
	did := "nothing of the plan was done"
	if s.watch.effects > 0 {
		did = fmt.Sprintf("of the plan %d of %s were done, the last one: %s; what is done stays",
			s.watch.effects, counted(s.plan.effects(), "effect"), trace.Quote(eventName(s.watch.last)))
	}
	return runtime.Hint(err, did+"; to go on, make a plan from here: "+anew+", and have it approved")
}

// A following is what the state directory has of a run that followed a plan.
type following struct {
	outcome trace.Outcome // cutOff if nobody has written how it ended
	effects int           // that its trace has
	at      string        // RFC 3339
	trace   string
}

// of says how far a run came that followed a plan.
func (f following) of(p *plan) string {
	if f.outcome == cutOff {
		return fmt.Sprintf("a run that followed it began at %s and was cut off", f.at)
	}
	return fmt.Sprintf("at %s a run that followed it ended %s, after %d of its %s",
		f.at, f.outcome, f.effects, counted(p.effects(), "effect"))
}

// cutOff is the outcome of a run that began and did not note its end.
const cutOff trace.Outcome = "begun"

// noteFollowing writes down that the run follows its plan, and once more how that ended.
func (s *session) noteFollowing(name string) error {
	if s.plan == nil {
		return nil
	}
	if abs, err := filepath.Abs(name); err == nil {
		name = abs
	}
	f, err := s.state.appendTo("followed")
	if err != nil {
		return err
	}
	outcome, now := cmp.Or(s.watch.outcome, cutOff), s.now().UTC().Format(time.RFC3339)
	_, err = fmt.Fprintf(f, "%s %s %d %s %q\n", s.plan.head, outcome, s.watch.effects, now, name)
	return errors.Join(err, f.Sync(), f.Close())
}

// followed returns the last run that followed the plan with that head, nil if there is none. One that ended as done
// goes before others.
func (s state) followed(head string) (last *following) {
	text, _ := os.ReadFile(filepath.Join(string(s), "followed")) // there may be no run yet, or no right to read it
	for line := range strings.Lines(string(text)) {
		f := following{}
		var of string
		n, err := fmt.Sscanf(line, "%s %s %d %s %q", &of, &f.outcome, &f.effects, &f.at, &f.trace)
		if n != 5 || err != nil || of != head {
			continue
		}
		if last == nil || last.outcome != trace.Done || f.outcome == trace.Done {
			last = &f
		}
	}
	return last
}

// foresee makes a dry run and compares it with the plan, if there is one. What only a
// person or a command can tell is not asked for: the plan was made without, too.
func (s *session) foresee(ctx context.Context) (err error) {
	o := s.options(trace.DryRun)
	if o.Secrets, err = s.availableSecrets(ctx); err != nil {
		return err
	}
	follow, have := trace.NewFollow(s.plan.events, s.flags.edited), &trace.List{}
	o.Sink = trace.Tee{trace.NewGuard(s.book.Leaks(o.Secrets, o.Info)), have, follow}
	o.Ask, o.Progress = follow.Ask, s.progress()
	err = runtime.Predicted(newLocal(), o).Do(ctx, s.book)
	done := func(e trace.Event) bool { return e.Kind == trace.End && e.Outcome == trace.Done }
	switch cause := context.Cause(ctx); {
	case cause != nil:
		return cause
	case slices.ContainsFunc(have.Events, done):
		err = trace.Diff(s.plan.events, have.Events).Err()
	case !errors.Is(err, trace.ErrDeviates):
		err = fmt.Errorf("%w: a dry run fails now: %w", trace.ErrDeviates, err)
	}
	if err == nil {
		return nil
	}
	if others := trace.ReadOtherwise(s.plan.events, have.Events); len(others) > 0 {
		err = fmt.Errorf("%w; read since the plan: %s", err, strings.Join(others, "; "))
	}
	return runtime.Hint(fmt.Errorf("%w; nothing was changed", err),
		"approve a new plan: "+anew+"; audit diff shows what differs")
}

// progress shows how far the comparison with the plan is, now and then.
func (s *session) progress() func(text string) {
	last := s.now()
	return func(text string) {
		if now := s.now(); now.Sub(last) >= 5*time.Second && !s.flags.quiet {
			last = now
			fmt.Fprintln(s.err, "runbook: comparing with the plan: "+trace.Quote(text))
		}
	}
}

// refuse writes the trace of a run that stopped before its first step, because it may not follow its plan.
func (s *session) refuse(why error) error {
	if class := runtime.ClassOf(why); class != runtime.Deviates && class != runtime.NeedsPerson {
		return why
	}
	name, file, err := s.newTrace()
	if err != nil {
		return errors.Join(why, err)
	}
	defer file.Close()
	info := s.book.Describe(s.options(trace.RealRun).Info)
	record := trace.NewFile(file)
	to := trace.Tee{record, &s.watch}
	err = errors.Join(
		to.Emit(trace.Event{Kind: trace.Run, Time: s.now(), Run: &info}),
		to.Emit(trace.Event{Kind: trace.End, Time: s.now(), Outcome: trace.Failed, Error: why.Error()}))
	return errors.Join(why, err, s.conclude(name, record.Head(), &outputFile{name: name + ".out"}, s.flags.quiet))
}
