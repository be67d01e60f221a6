package runtime

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"go.starlark.net/starlark"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// A Run is one execution of a runbook. Do puts a door before Host: whatever a
// builtin does is told to Sink before it happens.
type Run struct {
	Host     host.Host
	Sink     trace.Sink
	Now      func() time.Time
	Secrets  map[string]string // nil in a dry run, which has none
	Asking   map[string]string // secrets that a dry run has all the same, to ask servers with and for nothing else
	State    string            // absolute name of the directory for markers
	Person   Person
	Sleep    func(context.Context, time.Duration) error // see Sleep and NoWaiting
	Output   io.Writer                                  // gets what commands print, without secrets; may be nil
	Progress func(text string)                          // may be nil
	Select   func(Step) (ok bool, why string)           // may be nil: all steps
	Info     trace.RunInfo                              // what the trace says first; Do adds vars and sources

	ctx     context.Context
	door    *door
	thread  *starlark.Thread // of the step under way
	misuse  error            // why thread was cancelled, if a value did it
	step    string
	user    string // of the step under way
	reading bool   // a condition is being evaluated

	mu       sync.Mutex // a tree is filled by several goroutines that read
	assumed  []string   // since the last op
	observed map[string]any
	counts   trace.Counts
	unmet    []unmet // requirements since the last change
}

// Assume notes that the op under way rests on a guess. It suits host.Overlay.
func (r *Run) Assume(note string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, old := range r.assumed {
		if old == note {
			return
		}
	}
	r.assumed = append(r.assumed, note)
}

// Asked tells of a command that only read. It suits host.Local: whatever asks
// the machine, be it a script, a fact's probe or an overlay, ends there.
func (r *Run) Asked(p host.Process, code int) error {
	if r.door == nil {
		return nil // before the run
	}
	return r.emit(trace.Event{Kind: trace.Probe, Argv: p.Argv, User: p.User, Code: code})
}

const runSteps = 100_000_000 // Starlark instructions in one step

// Known returns the secrets that the run has, for whatever they may be used.
func (r *Run) Known() map[string]string {
	if r.Secrets != nil {
		return r.Secrets
	}
	return r.Asking
}

// Do runs the steps in order and stops at the first that fails.
func (r *Run) Do(ctx context.Context, book *Runbook) error {
	r.ctx = context.WithValue(ctx, runKey{}, r)
	asking := book.secrets.with(r.Known(), book.words(r.Info))
	all := *asking
	all.values = r.Secrets
	r.door = &door{Reader: r.Host, host: r.Host, run: r, secrets: &all, own: all.ownTexts(), asking: asking}
	book.loader.run = r
	defer func() { book.loader.run = nil }()
	r.Info.Runbook, r.Info.Sources, r.Info.Vars = book.Name, book.Sources, traceVars(book)
	if err := r.emit(trace.Event{Kind: trace.Run, Run: &r.Info}); err != nil {
		return err
	}
	for _, s := range book.Steps {
		if err := r.doStep(s); err != nil {
			return r.end(err)
		}
	}
	return r.end(nil)
}

// end tells how the run ended.
func (r *Run) end(err error) error {
	r.step = ""
	e := trace.Event{Kind: trace.End, Outcome: trace.Done, Counts: r.counts}
	if err != nil {
		e.Outcome, e.Error, e.Hint = trace.Failed, err.Error(), HintOf(err)
		if ClassOf(err) == Interrupted {
			e.Outcome = trace.Interrupted
		}
	}
	refused := r.emit(e)
	if err == nil && refused != nil { // a followed trace wants more: the run is no success
		e.Outcome, e.Error = trace.Failed, refused.Error()
		return errors.Join(refused, r.emit(e))
	}
	if errors.Is(err, refused) {
		return err // which stopped the run
	}
	return errors.Join(err, refused)
}

func traceVars(book *Runbook) (vars []trace.Var) {
	for _, v := range book.Vars {
		vars = append(vars, trace.Var{Name: v.Name, Value: v.Value, From: v.From})
	}
	for _, s := range book.Secrets {
		if s.Asked {
			vars = append(vars, trace.Var{Name: s.Name, Value: "<secret:" + s.Name + ">", From: "secret"})
		}
	}
	return vars
}

// doStep runs one step between its two events, or says why it is left out.
func (r *Run) doStep(s Step) error {
	r.step, r.user = s.Name, s.User
	r.newThread(s.Name)
	why, err := r.leftOut(s)
	if err != nil {
		return r.located(err)
	}
	e := trace.Event{Kind: trace.Step, Title: s.Title, Text: s.Doc, State: trace.Begin}
	if why != "" {
		r.counts.Skipped++
		e.State, e.Why = trace.LeftOut, why
		return r.emit(e)
	}
	if err := r.emit(e); err != nil {
		return err
	}
	if s.Manual {
		err = r.manual(s)
	} else if _, err = starlark.Call(r.thread, s.fn, nil, nil); err == nil {
		err = r.flush()
	}
	if err != nil {
		return r.located(err)
	}
	return r.emit(trace.Event{Kind: trace.Step, Title: s.Title, State: trace.Ended})
}

// newThread makes the thread of a step, which ends when the run is interrupted.
func (r *Run) newThread(name string) {
	t := &starlark.Thread{Name: name, Print: func(_ *starlark.Thread, msg string) { r.log(msg) }}
	t.SetMaxExecutionSteps(runSteps)
	_ = context.AfterFunc(r.ctx, func() { t.Cancel(context.Cause(r.ctx).Error()) })
	r.thread = t
}

// leftOut returns why a step does not run, or "".
func (r *Run) leftOut(s Step) (why string, err error) {
	if r.Select != nil {
		if ok, why := r.Select(s); !ok {
			return why, nil
		}
	}
	switch s.When {
	case "no":
		return "its condition does not hold", nil
	case "function":
		ok, err := r.condition(s.when)
		if err != nil || !ok {
			return "its condition does not hold: " + s.when.Name(), err
		}
	}
	return "", nil
}

// condition calls a function that may only read.
func (r *Run) condition(fn starlark.Callable) (bool, error) {
	r.reading = true
	defer func() { r.reading = false }()
	v, err := starlark.Call(r.thread, fn, nil, nil)
	if err != nil {
		return false, err
	}
	b, ok := v.(starlark.Bool)
	if !ok {
		return false, wantType(v, "a bool")
	}
	return bool(b), nil
}

// located says where a step failed, and why really: a cancelled thread only
// knows that it was.
func (r *Run) located(err error) error {
	class, why := Failed, r.misuse
	if why != nil {
		class = Mistake
	} else if r.ctx.Err() != nil {
		class = Interrupted
		if strings.Contains(err.Error(), "Starlark computation cancelled") {
			why = context.Cause(r.ctx)
		}
	}
	err = located(r.step, class, err)
	if e, ok := err.(*Error); ok && why != nil {
		e.Class, e.Err, e.Advice = class, why, HintOf(why)
	}
	return err
}

func cutHint(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// emit redacts every text of e on its way out. A damaged placeholder stops the run.
func (r *Run) emit(e trace.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Kind != trace.Run && e.Kind != trace.End {
		e.Step = r.step
	}
	e.Time = r.Now()
	e = r.door.redactEvent(e)
	if r.door.secrets.damage.Swap(false) {
		return Hint(errDamaged, "use the secret as it is, with +, %, format or join")
	}
	return r.Sink.Emit(e)
}

func (r *Run) log(text string) error {
	return r.emit(trace.Event{Kind: trace.Log, Text: text})
}
