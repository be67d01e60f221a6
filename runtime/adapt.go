package runtime

import (
	"fmt"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"runbook/runtime/trace"
)

// A starlarkFunc is what Starlark calls.
type starlarkFunc = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// adapt makes b callable from Starlark. It is the only place where calls
// become ops. A panic is an error at the line of the call: the interpreter
// would not survive it.
func (l *loader) adapt(b *Builtin) starlarkFunc {
	return func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple,
		kwargs []starlark.Tuple) (v starlark.Value, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("%s: %w", b.Name, Internal(p))
			}
		}()
		given, err := b.bind(args, kwargs)
		if err != nil {
			return nil, err
		}
		c := &Call{Builtin: b, given: given, placeholders: l.book.placeholders, run: l.run, at: position(t)}
		if v, err = l.answer(t, c); err != nil {
			err = Spoken(err, c.texts()...)
		}
		return v, err
	}
}

// answer answers a call.
func (l *loader) answer(t *starlark.Thread, c *Call) (starlark.Value, error) {
	switch b := c.Builtin; {
	case l.suite != nil:
		return l.suite.answer(t, c)
	case b.declare != nil && !b.anytime && l.run != nil:
		return nil, tooLate(b.Name)
	case b.declare != nil:
		return b.declare(l, t, c)
	case b.Pure != nil:
		return b.Pure(c)
	case l.run == nil:
		return nil, notWhileLoading(b.Name)
	}
	t.Steps += actSteps
	return l.run.meter.act(c.Builtin.Read != nil, func() (starlark.Value, error) { return l.run.call(c) })
}

// Internal is the error of a panic with p, which is a fault of the program.
func Internal(p any) error {
	return Hint(fmt.Errorf("internal error: %v", p),
		"this is a fault of the program, not of the runbook; please report it")
}

// position is where the script calls, before the builtin's own frame.
func position(t *starlark.Thread) string {
	for i := range t.CallStackDepth() {
		if pos := t.CallFrame(i).Pos; pos.Filename() != "<builtin>" && pos.Line > 0 {
			return pos.String()
		}
	}
	return ""
}

func notWhileLoading(name string) error {
	return ruled("too-early",
		Hint(fmt.Errorf("%s called while loading", name), "call it from a function given to step()"))
}

func propertyWhileLoading(name string) error {
	return ruled("too-early", Hint(fmt.Errorf("%s read while loading", name),
		"read it in a step; as a condition of one: when=lambda: "+name+" == \"...\""))
}

// prefixed puts the name of a builtin before an error that does not begin with it.
func prefixed(name string, err error) error {
	if text := err.Error(); strings.HasPrefix(text, name+":") || strings.HasPrefix(text, name+" ") {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

func (c *Call) pos() string { return c.at }

// call answers a builtin that reads or changes a host.
func (r *Run) call(c *Call) (starlark.Value, error) {
	c.user = r.user
	if c.Builtin.RunsAs {
		if err := c.unpack("user", Account(&c.user)); err != nil {
			return nil, err
		}
	}
	if err := r.private(c); err != nil {
		return nil, err
	}
	if c.Builtin.Read != nil {
		v, err := c.Builtin.Read(c, r.door)
		if v = r.masked(v); err == nil {
			r.learn(c, v)
		}
		return v, err
	}
	if r.reading {
		return nil, Hint(fmt.Errorf("%s: a condition may only read", c.Builtin.Name), "move it into a step")
	}
	if err := r.flush(); err != nil {
		return nil, err
	}
	op, target, err := c.Builtin.New(c)
	if err != nil {
		return nil, prefixed(c.Builtin.Name, err)
	}
	var again again
	if err := again.unpack(c); err != nil {
		return nil, err
	}
	e := trace.Event{Op: c.Builtin.Name, Target: target, Pos: c.pos(), User: r.Info.User.Name, Args: c.args()}
	if c.Builtin.RunsAs && c.user != "" {
		e.User = c.user
	}
	return r.do(op, again, e, c.paths())
}

// again is how long an op may take and how often it is tried.
type again struct {
	timeout, delay time.Duration
	retries        int
}

func (a *again) unpack(c *Call) error {
	a.delay = 5 * time.Second
	for i, v := range []any{&a.timeout, &a.retries, &a.delay} {
		name := common[i].Name
		if c.Builtin.has(name) {
			continue // which then means what the builtin says
		}
		err := c.unpack(name, v)
		if c.sketch != nil {
			c.sketch.settle(name, err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// masked returns v, which a script gets to see, without secrets.
func (r *Run) masked(v starlark.Value) starlark.Value {
	if s, ok := v.(starlark.String); ok {
		return starlark.String(r.public.Mask([]byte(s)))
	}
	return v
}
