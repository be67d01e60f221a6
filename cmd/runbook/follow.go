package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// foresee makes a dry run and compares it with the plan, if there is one. What only a
// person or a command can tell is not asked for: the plan was made without, too.
func (s *session) foresee(ctx context.Context) (err error) {
	if s.plan == nil {
		return nil
	}
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
	return runtime.Hint(fmt.Errorf("%w; nothing was changed", err),
		"approve a new plan: the same command with --dry-run --trace NEW instead of --follow; audit diff shows what differs")
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

// refuse writes the trace of a run that stopped before its first step, because the plan is not approved, or a dry run
// of now differs from it.
func (s *session) refuse(why error) error {
	if !errors.Is(why, trace.ErrDeviates) && !errors.Is(why, errUnapproved) {
		return why
	}
	name, file, err := s.newTrace()
	if err != nil {
		return errors.Join(why, err)
	}
	defer file.Close()
	info := s.book.Describe(s.options(trace.RealRun).Info)
	record := trace.NewFile(file)
	err = errors.Join(
		record.Emit(trace.Event{Kind: trace.Run, Time: s.now(), Run: &info}),
		record.Emit(trace.Event{Kind: trace.End, Time: s.now(), Outcome: trace.Failed, Error: why.Error()}))
	return errors.Join(why, err, s.conclude(name, record.Head(), &outputFile{name: name + ".out"}, s.flags.quiet))
}
