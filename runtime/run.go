package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.starlark.net/starlark"

	"runbook/runtime/host"
	"runbook/runtime/host/before"
	"runbook/runtime/secret"
	"runbook/runtime/trace"
)

// Options are the inputs of a run. Of each the zero value is safe.
type Options struct {
	Sink trace.Sink // gets the events; may be nil
	Now  func() time.Time
	// Secrets are the values by name. A predicted run needs none: it asks servers
	// with those that it has, and does nothing else with them.
	Secrets map[string]string
	// directory for markers, absolute; its owner makes it before a run on the machine
	State string
	// Made are directories that earlier runs made. What lies in them may be given away without being asked for twice.
	Made []string
	// Remember, if not nil, is told each directory that this run made.
	Remember func(dir string) error
	// Keep, if not nil, gets each text that is too long for the trace, which has its digest.
	Keep     func(sha256, text string) error
	Person   Person                           // answers questions; nil: a question is an error
	Output   io.Writer                        // gets what commands print, without secrets; may be nil
	Progress func(text string)                // may be nil
	Select   func(Step) (ok bool, why string) // nil: all steps
	Mute     bool                             // predicted: nothing that the runbook names is asked; assume= answers
	Info     trace.RunInfo                    // what the trace says first; Do adds vars and sources
	// GiveUp, if not nil, is called when a script can neither go on nor be stopped. Do does not return then: the program
	// must call Abort and end.
	GiveUp  func(error)
	Digests *host.Digests           // of files that are read, known from another run; may be nil
	Ask     func(trace.Event) error // may refuse what the runbook asks, before it is asked; may be nil
	// Before, if not nil, notes what is there before each effect. Record gets it, and returns the digest of what was kept.
	Before *before.Keeper
	Record func(before.Record) (sha256 string, err error)
	// ByHand, if not nil, has a person make the change that was emitted last; see host.ByHand.
	ByHand func(ctx context.Context, missing error) (own bool, err error)
}

// A Run is one execution of a runbook, on a machine or predicted. Do puts a door
// before the host: whatever a builtin does is emitted before it happens.
type Run struct {
	Options

	host      host.Host
	predicted bool
	settle    func() // ends a run on a simulated machine; nil on others
	sleep     func(context.Context, time.Duration) error

	ctx     context.Context
	door    *door
	vault   *secret.Vault    // hides every secret
	public  *secret.Vault    // hides what the runbook's own texts do not hold
	thread  *starlark.Thread // of the step under way
	misuse  error            // why thread was cancelled, if a value did it
	step    string
	user    string // of the step under way
	reading bool   // a condition is being evaluated
	made    *made
	dirs    map[string]bool // that this run or an earlier one made

	meter    *meter
	mu       sync.Mutex // a tree is filled by several goroutines that read
	assumed  []string   // since the last op
	observed map[string]any
	counts   trace.Counts      // of what was emitted
	open     trace.Event       // the last of a step, an op or a result
	ended    bool              // the end was emitted
	unchosen map[string]string // steps that are left out, and why
	unmet    []unmet           // requirements since the last change

	effects   int            // that were emitted, if Before is not nil
	learned   []trace.Answer // what the script has read since the last op or step event
	forgotten int            // how many answers are not among them
}

// OnMachine returns a run that changes machine. It refuses a runbook whose
// secrets have no values.
func OnMachine(machine *host.Local, o Options) *Run {
	if !machine.Usable() {
		return &Run{}
	}
	r := newRun(machine, o)
	machine.Asked = r.probed
	if o.ByHand != nil {
		r.host = &host.ByHand{Local: machine, Await: r.byHand, Own: r.ours}
	}
	return r
}

// byHand has a person make a change, and notes that one did.
func (r *Run) byHand(ctx context.Context, missing error) (own bool, err error) {
	own, err = r.ByHand(ctx, r.vault.MaskError(missing))
	if err == nil && !own {
		Observe(r.ctx, "by", "a person")
	}
	return own, err
}

// ours reports whether a file is one that the run keeps for itself.
func (r *Run) ours(name string) bool {
	return name == r.State || strings.HasPrefix(name, r.State+"/") || strings.HasSuffix(name, trace.Unfinished)
}

// Simulated returns a run on a simulated machine, which is a dry run that the next run finds done. Of a secret without
// a value it makes one up.
func Simulated(machine *host.Overlay, o Options) *Run {
	r := newRun(machine, o)
	r.predicted, r.settle, r.sleep, r.Person = true, machine.Settle, noWaiting, assuming{}
	machine.Assume, machine.Mute = r.assume, o.Mute
	return r
}

func newRun(h host.Host, o Options) *Run {
	r := &Run{Options: o, host: h, sleep: wait, made: newMade(), dirs: map[string]bool{}}
	for _, dir := range o.Made {
		r.dirs[dir] = true
	}
	if r.Sink == nil {
		r.Sink = trace.Tee{}
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	if r.Person == nil {
		r.Person = nobody{}
	}
	if r.Digests == nil {
		r.Digests = &host.Digests{}
	}
	if r.Ask == nil {
		r.Ask = func(trace.Event) error { return nil }
	}
	return r
}

// Host returns the host as the run leaves it.
func (r *Run) Host() host.Reader { return r.host }

// assume lists a guess that the op under way rests on.
func (r *Run) assume(guess string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.assumed, guess) {
		r.assumed = append(r.assumed, guess)
	}
}

// remember notes that this run made a directory.
func (r *Run) remember(dir string) error {
	real, err := r.host.Resolve(dir, false)
	if err != nil {
		return err
	}
	r.dirs[real] = true
	if r.Remember == nil {
		return nil
	}
	return r.Remember(real)
}

// probed emits a command that only read, whoever asked: a script, a fact's probe
// or an overlay.
func (r *Run) probed(p host.Process, code int) error {
	if r.door == nil || p.Asker != "" {
		return nil // before the run, or told by who asks
	}
	return r.emit(trace.Event{Kind: trace.Probe, Argv: p.Argv, User: p.User, Code: code})
}

// Do runs the steps in order and stops at the first that fails.
func (r *Run) Do(ctx context.Context, book *Runbook) error {
	defer r.leave(book)
	if err := r.begin(ctx, book); err != nil {
		return err
	}
	defer r.meter.watch()()
	return r.end(r.steps(book))
}

// begin makes the run ready for the first step, and emits what is known of it.
func (r *Run) begin(ctx context.Context, book *Runbook) error {
	if r.host == nil || book == nil {
		return errors.New("a machine is made by NewLocal, a run by OnMachine or Predicted, and a runbook by Load")
	}
	r.choose(book)
	if err := r.needSecrets(book); err != nil {
		return err
	}
	r.ctx = context.WithValue(ctx, runKey{}, r)
	r.meter = newMeter(ctx, r.gaveUp())
	book.loader.meter = r.meter
	r.mu.Lock()
	r.counts, r.open, r.ended = trace.Counts{}, trace.Event{}, false
	if r.settle != nil {
		r.makeUp(book)
	}
	r.vault = book.placeholders.Vault(r.Secrets, book.publicText(r.Info), r.predicted && r.settle == nil)
	r.public = r.vault.Public()
	if r.Before != nil {
		r.Before.Secret = r.public.Holds
	}
	r.door = &door{Reader: r.host, host: r.host, run: r, opState: &opState{}}
	r.mu.Unlock()
	book.loader.run = r
	if r.Info.Mode == "" {
		r.Info.Mode = trace.ModeOf(r.predicted)
	}
	if !r.predicted || r.settle != nil {
		if err := makeKept(r.host, r.State); err != nil {
			return err
		}
	}
	r.Info = book.Describe(r.Info)
	return r.emit(trace.Event{Kind: trace.Run, Run: &r.Info})
}

// leave takes the run away from its runbook.
func (r *Run) leave(book *Runbook) {
	if book != nil {
		book.loader.run = nil
	}
	if r.settle != nil {
		r.settle()
	}
}

// steps does all steps. A panic is an error: the trace must tell of it, too.
func (r *Run) steps(book *Runbook) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = Internal(p)
		}
	}()
	for _, s := range book.Steps {
		s.because = book.values(s.depends)
		if err := r.doStep(s); err != nil {
			return err
		}
	}
	return nil
}

// gaveUp returns the function that tells GiveUp, nil if there is none.
func (r *Run) gaveUp() func(error) {
	if r.GiveUp == nil {
		return nil
	}
	return func(err error) {
		r.mu.Lock()
		step := r.open.Step
		r.mu.Unlock()
		r.GiveUp(explain(&Error{Class: ClassOf(err), Step: step, Err: err, Advice: HintOf(err)}))
	}
}

// Abort ends the trace of a run that another goroutine does and that cannot be
// waited for. Whatever Do still wants to change is refused. The error is that of
// the sink, or says that the run is within an emission that does not end.
func (r *Run) Abort(err error) error {
	for deadline := time.Now().Add(patience); !r.mu.TryLock(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("the trace cannot be ended")
		}
	}
	defer r.mu.Unlock()
	if r.door == nil || r.ended {
		return nil
	}
	if e := r.open; e.Kind == trace.Op {
		e.Kind, e.Outcome, e.Error = trace.Result, trace.Failed, err.Error()
		if terr := r.tell(e); terr != nil {
			return terr
		}
	}
	return r.tell(r.endEvent(err))
}

// choose asks once which steps are left out.
func (r *Run) choose(book *Runbook) {
	r.unchosen = map[string]string{}
	for _, s := range book.Steps {
		if r.Select != nil {
			if ok, why := r.Select(s); !ok {
				r.unchosen[s.Name] = why
			}
		}
	}
}

// chosen reports whether a step was chosen, and why not.
func (r *Run) chosen(s Step) (ok bool, why string) {
	why, left := r.unchosen[s.Name]
	return !left, why
}

// needSecrets refuses a run on a machine without the values of secrets.
func (r *Run) needSecrets(book *Runbook) error {
	if r.predicted {
		return nil
	}
	for _, d := range book.Needed(r.chosen) {
		if _, ok := r.Secrets[d.Name]; !ok {
			return &Error{Class: Input, Err: fmt.Errorf("secret %s has no value", d.Name),
				Advice: "a run on a machine needs the values of all secrets"}
		}
	}
	return nil
}

// makeUp gives each secret that has no value one that nobody else has.
func (r *Run) makeUp(book *Runbook) {
	values := map[string]string{}
	for _, d := range book.Secrets {
		if d.Asked {
			values[d.Name] = "made-up-" + d.Name
		}
	}
	maps.Copy(values, r.Secrets)
	r.Secrets = values
}

// Hide returns text with names in the place of the secrets of the run.
func (r *Run) Hide(text string) string {
	if r.vault == nil {
		return text
	}
	return r.vault.Show(text)
}

// end emits how the run ended.
func (r *Run) end(err error) error {
	r.step = ""
	e := r.endEvent(err)
	refused := r.emit(e)
	if err == nil && refused != nil { // a followed trace wants more: the run failed
		e.Outcome, e.Error = trace.Failed, refused.Error()
		return errors.Join(refused, r.emit(e))
	}
	if errors.Is(err, refused) {
		return err // which stopped the run
	}
	return errors.Join(err, refused)
}

func (r *Run) endEvent(err error) trace.Event {
	e := trace.Event{Kind: trace.End, Outcome: trace.Done, Counts: r.counts}
	if err != nil {
		e.Outcome, e.Error, e.Hint = trace.Failed, err.Error(), HintOf(err)
		if ClassOf(err) == Interrupted {
			e.Outcome = trace.Interrupted
		}
	}
	return e
}

// Describe returns info with what a trace says of the runbook.
func (book *Runbook) Describe(info trace.RunInfo) trace.RunInfo {
	info.Runbook, info.Sources, info.Vars = book.Name, book.Sources, traceVars(book)
	return info
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
	e := trace.Event{Kind: trace.Step, Title: s.Title, Text: s.Doc, State: trace.Begin, Site: s.Site,
		Controls: s.Controls}
	if why != "" {
		e.State, e.Why = trace.LeftOut, why
		return r.emit(e)
	}
	if err := r.emit(e); err != nil {
		return err
	}
	if err := r.doBody(s, r.thread); err != nil {
		return r.located(err)
	}
	return r.emit(trace.Event{Kind: trace.Step, Title: s.Title, State: trace.Ended})
}

// doBody does what lies between the two events of a step.
func (r *Run) doBody(s Step, t *starlark.Thread) error {
	if s.Manual {
		return r.manual(s)
	}
	if _, err := starlark.Call(t, s.fn, nil, nil); err != nil {
		return err
	}
	return r.flush()
}

// newThread makes the thread of a step, which ends when the run is interrupted.
func (r *Run) newThread(name string) {
	t := r.meter.step(name)
	t.Print = func(_ *starlark.Thread, msg string) { r.log(msg) }
	ctx := r.ctx
	_ = context.AfterFunc(ctx, func() { t.Cancel(context.Cause(ctx).Error()) })
	r.thread = t
}

// leftOut returns why a step does not run, or "".
func (r *Run) leftOut(s Step) (why string, err error) {
	if ok, why := r.chosen(s); !ok {
		return why, nil
	}
	if s.skipped != "" {
		return s.skipped, nil
	}
	switch s.When {
	case "no":
		return s.unmet(""), nil
	case "function":
		ok, err := r.condition(s.when)
		if err != nil || !ok {
			return s.unmet(s.when.Name()), err
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
