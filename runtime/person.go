package runtime

import (
	"context"
	"errors"
	"fmt"
	"path"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// An Answer is what a person says.
type Answer int

// The answers. Assumed is what a dry run takes for granted.
const (
	No Answer = iota
	Yes
	Assumed
)

// A Person answers questions during a run. An error that wraps ErrNobody says
// that no person is there to ask.
type Person interface {
	Confirm(question string) (Answer, error)
	Acknowledge(step, text string) (Answer, error)
}

// ErrNobody says that a person is needed and none is there.
var ErrNobody = errors.New("a person is needed, and there is no terminal to ask on")

// assuming is the Person of a dry run, which assumes every answer.
type assuming struct{}

func (assuming) Confirm(string) (Answer, error) { return Assumed, nil }

func (assuming) Acknowledge(string, string) (Answer, error) { return Assumed, nil }

// nobody is the Person of a run without one: each question is an error.
type nobody struct{}

func (nobody) Confirm(string) (Answer, error) { return No, ErrNobody }

func (nobody) Acknowledge(string, string) (Answer, error) { return No, ErrNobody }

func newConfirm(c *Call) (Op, string, error) {
	op := confirmOp{run: c.run}
	err := c.Unpack("question", &op.question)
	return op, op.question, err
}

// A confirmOp holds as soon as a person says so: it changes nothing.
type confirmOp struct {
	run      *Run
	question string
}

func (op confirmOp) Check(ctx context.Context, _ host.Reader) ([]Action, error) {
	answer, err := op.run.Person.Confirm(op.question)
	switch {
	case errors.Is(err, ErrNobody):
		return nil, Hint(err, "--yes answers every confirmation")
	case err == nil && answer == No:
		return nil, &Error{Class: NeedsPerson, Err: errors.New("somebody said no")}
	case answer == Assumed:
		Assume(ctx, "somebody says yes")
	}
	return nil, err
}

// manual runs a step that a person does.
func (r *Run) manual(s Step) error {
	if err := r.flush(); err != nil {
		return err
	}
	op := &manualOp{run: r, step: s, marker: path.Join(r.State, "manual", s.Name)}
	_, err := r.do(op, again{}, trace.Event{Op: "manual", Target: s.Name, Pos: s.Pos, User: r.Info.User.Name,
		Args: map[string]any{"name": s.Name}}, nil)
	return err
}

// A manualOp holds when done() does, or when a marker says that a person has
// acknowledged it.
type manualOp struct {
	run    *Run
	step   Step
	marker string
}

func (op *manualOp) Check(_ context.Context, h host.Reader) ([]Action, error) {
	done, err := op.done(h)
	if err != nil || done {
		return nil, err
	}
	return Actions(op.acknowledge, host.Change{What: op.step.Name, From: "open", To: "done by a person"}), nil
}

func (op *manualOp) done(h host.Reader) (bool, error) {
	if op.step.fn != nil {
		return op.run.condition(op.step.fn)
	}
	return host.Exists(h, op.marker)
}

// acknowledge waits for a person, whose word must hold.
func (op *manualOp) acknowledge(ctx context.Context, h host.Host) error {
	answer, err := op.run.Person.Acknowledge(op.step.Name, op.step.Doc)
	switch {
	case errors.Is(err, ErrNobody):
		return Hint(err, fmt.Sprintf("do what the step says, then run again with --ack %s", op.step.Name))
	case err != nil:
		return err
	case answer == No:
		return &Error{Class: NeedsPerson, Err: errors.New("not done yet"), Advice: "run again when it is done"}
	case answer == Assumed:
		Assume(ctx, "a person does "+op.step.Name)
	}
	if op.step.fn == nil {
		return op.remember(h)
	}
	if answer == Assumed {
		return nil
	}
	if done, err := op.done(h); err != nil || done {
		return err
	}
	return &Error{Class: NeedsPerson, Err: errors.New("acknowledged, but its check still says that it is not done"),
		Advice: "see what the step asks for: runbook doc"}
}

// remember writes the marker that stands for a check.
func (op *manualOp) remember(h host.Host) error {
	text := []byte("acknowledged\n")
	return WriteMarker(h, op.marker, host.Bytes(text), len(text))
}
