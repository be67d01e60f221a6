package runtime

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"runbook/runtime/trace"
)

// An unmet is a requirement that does not hold.
type unmet struct{ message, fix, pos string }

// require emits whether a condition holds, and remembers it if it does not.
func require(l *loader, _ *starlark.Thread, c *Call) (starlark.Value, error) {
	var ok bool
	var u unmet
	if l.run == nil {
		return nil, notWhileLoading("require")
	}
	if err := c.Unpack("condition", &ok, "message", &u.message, "fix", &u.fix); err != nil {
		return nil, err
	}
	r := l.run
	if r.reading {
		return nil, Hint(errors.New("require: a condition may only read"), "move it into a step")
	}
	op := trace.Event{Kind: trace.Op, Op: "require", Target: u.message, Pos: c.pos(), User: r.Info.User.Name,
		Args: c.args()}
	if err := r.emit(op); err != nil {
		return nil, err
	}
	done := trace.Event{Kind: trace.Result, Op: "require", Target: u.message, Outcome: trace.Same}
	if !ok {
		done.Outcome, done.Error, done.Hint = trace.Failed, trace.Quote(u.message), u.fix
		u.pos = c.pos()
		r.unmet = append(r.unmet, u)
	}
	done.Assumed, r.assumed = r.assumed, nil
	return starlark.None, r.emit(done)
}

// flush stops the run if requirements are not met. It comes before whatever
// changes something, so that nothing is changed then.
func (r *Run) flush() error {
	if len(r.unmet) == 0 {
		return nil
	}
	lines := make([]string, len(r.unmet))
	for i, u := range r.unmet {
		lines[i] = "\n  - " + trace.Quote(u.message)
		if u.fix != "" {
			lines[i] += " (" + trace.Quote(u.fix) + ")"
		}
	}
	what := fmt.Sprintf("%d requirements are not met", len(lines))
	if len(lines) == 1 {
		what = "a requirement is not met"
	}
	e := &Error{Class: Input, Pos: r.unmet[0].pos, Err: fmt.Errorf("%s:%s", what, strings.Join(lines, ""))}
	if r.counts.Changed > 0 {
		e.Class = Failed
	}
	r.unmet = nil
	return e
}
