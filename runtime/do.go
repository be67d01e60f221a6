package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// do is the life of an op: check, emit, do what differs, emit. What was assumed by
// what the script read before it belongs to it, too.
func (r *Run) do(op Op, a again, e trace.Event, paths []string) (starlark.Value, error) {
	start := r.Now()
	r.observed = nil // what was assumed since the last op belongs to this one
	r.door.begin()
	ctx := r.ctx
	if a.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, a.timeout, fmt.Errorf("took longer than %s", a.timeout))
		defer cancel()
	}
	changed, err := r.try(ctx, op, &e, paths)
	for n := 1; err != nil && n <= a.retries && ctx.Err() == nil && ClassOf(err) == Failed; n++ {
		Observe(r.ctx, "attempts", n+1)
		if serr := Sleep(ctx, a.delay); serr != nil {
			break
		}
		r.door.again()
		before := changed // a try may find done what the one before it did
		changed, err = r.try(ctx, op, &e, paths)
		changed = changed || before
	}
	if err != nil && ctx.Err() != nil {
		err = r.cutShort(ctx, err)
	}
	err = Spoken(err, stringsIn(e.Args)...)
	done := trace.Event{Kind: trace.Result, Op: e.Op, Target: e.Target, Outcome: trace.Same, Elapsed: r.Now().Sub(start)}
	if changed {
		done.Outcome = trace.Changed
	}
	res := &result{r, e.Op, changed, r.door.last}
	return res, r.tellResult(done, err)
}

// cutShort says of an op that was stopped why. What the op advises is of no
// use when a person stopped it.
func (r *Run) cutShort(ctx context.Context, err error) error {
	cause, class := context.Cause(ctx), ClassOf(err)
	switch {
	case errors.Is(err, ctx.Err()) || errors.Is(err, cause): // it says no more than that
		return cause
	case r.ctx.Err() == nil:
		return fmt.Errorf("%w (%w)", cause, err)
	case class == Failed || class == Interrupted:
		return fmt.Errorf("%w (%v)", cause, err)
	}
	return err
}

// tellResult ends an op in the trace. The error that it returns names the op.
func (r *Run) tellResult(done trace.Event, err error) error {
	r.mu.Lock()
	done.Assumed, done.Observed, r.assumed = r.assumed, r.observed, nil
	r.mu.Unlock()
	if err != nil {
		done.Outcome, done.Error, done.Hint = trace.Failed, err.Error(), HintOf(err)
		err = named(done, err)
	}
	return cmp.Or(err, r.emit(done))
}

// named puts op and target before an error that does not begin with the op.
func named(e trace.Event, err error) error {
	if strings.HasPrefix(err.Error(), e.Op+" ") || strings.HasPrefix(err.Error(), e.Op+":") {
		return err
	}
	reason, name := err.Error(), e.Op+" "+trace.Brief(e.Target)
	if cmd := (*host.CmdError)(nil); e.Op == "run" && errors.As(err, &cmd) { // the command is named already
		reason = strings.TrimPrefix(reason, trace.Quote(cmd.Title)+": ")
	}
	return spoken{err, name + ": " + strings.TrimPrefix(reason, "get "+e.Target+": ")}
}

// try checks op and does what differs. The op is emitted only once, also when it
// is tried again. Where links lead a path elsewhere, that is told before what changes.
func (r *Run) try(ctx context.Context, op Op, e *trace.Event, paths []string) (changed bool, err error) {
	actions, err := op.Check(ctx, r.door)
	if e.Kind == "" {
		e.Kind = trace.Op
		if len(actions) > 0 {
			e.Changes = r.led(paths)
		}
		for _, a := range actions {
			e.Changes = append(e.Changes, a.Change)
		}
		r.door.changes = e.Changes
		if terr := r.emit(*e); terr != nil {
			return false, terr
		}
	}
	if errors.Is(err, host.ErrUnknown) && HintOf(err) == "" {
		err = Hint(err, "move it before the command that changes this, or let the builtin assume= something")
	}
	if err != nil {
		return false, err
	}
	for _, a := range actions {
		if a.Do == nil {
			continue
		}
		if err := a.Do(ctx, r.door); err != nil {
			return true, err
		}
	}
	return len(actions) > 0, nil
}

// led tells which of these paths links in their directories lead elsewhere.
func (r *Run) led(paths []string) (changes []host.Change) {
	for _, p := range paths {
		if real, err := r.door.Resolve(p, false); err == nil && real != p {
			changes = append(changes, host.Change{What: "path", From: p, To: real})
		}
	}
	return changes
}
