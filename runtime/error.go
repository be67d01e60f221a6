package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"runbook/runtime/nearest"
	"runbook/runtime/trace"
)

// A Class says whose turn it is when something went wrong.
type Class int

// The classes of errors.
const (
	Failed      Class = iota // a step failed
	Mistake                  // the runbook or the command line is wrong
	Input                    // vars or secrets are missing or wrong, or preflight checks are not met
	NeedsPerson              // a person is needed and none is there
	Deviates                 // the run would leave the trace that it follows
	Interrupted              // somebody stopped the run
)

// An Error says where in a runbook something went wrong and what to try.
type Error struct {
	Class  Class
	Step   string
	Pos    string   // "file.star:line:col"
	From   []string // positions of the calls or loads that led there, innermost first
	Err    error
	Advice string // what may cure it; "" if Err itself says, or no cure is known

	rule string          // of a mistake; see Rules
	end  syntax.Position // behind what stands at Pos, if known
}

func (e *Error) Error() string {
	s := e.Err.Error()
	if e.Step != "" {
		s = "step " + trace.Quote(e.Step) + ": " + s
	}
	if e.Pos != "" {
		s = trace.Quote(e.Pos) + ": " + s
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Hint returns e's advice, else the one that e.Err carries.
func (e *Error) Hint() string {
	if e.Advice != "" {
		return e.Advice
	}
	return HintOf(e.Err)
}

// Hint returns err with advice for the person who reads it.
func Hint(err error, hint string) error { return &Error{Err: err, Advice: hint} }

// A hinter is an error that carries advice, whichever package it comes from.
type hinter interface{ Hint() string }

// HintOf returns the outermost advice that err carries, or "".
func HintOf(err error) string {
	var h hinter
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// ClassOf returns the class of err.
func ClassOf(err error) Class {
	switch {
	case errors.Is(err, trace.ErrDeviates):
		return Deviates
	case errors.Is(err, ErrNobody):
		return NeedsPerson
	}
	for e := (*Error)(nil); errors.As(err, &e); err = e.Err {
		if e.Class != Failed {
			return e.Class
		}
	}
	if errors.Is(err, context.Canceled) {
		return Interrupted
	}
	return Failed
}

// Errors are several problems that are reported together.
type Errors []*Error

func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems.
func (es Errors) Unwrap() []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

// located adds to err the innermost position that is in a file, and the
// positions of the calls and loads around it.
func located(step string, class Class, err error) error {
	var all Errors
	if errors.As(err, &all) {
		return err
	}
	e := &Error{Class: class, Step: step, Err: err, Advice: HintOf(err)}
	var places []string
	for ee := (*starlark.EvalError)(nil); errors.As(err, &ee); err = e.Err {
		e.Err = ee.Unwrap()
		places = append(framesOf(ee), places...)
	}
	for inner := (*Error)(nil); errors.As(e.Err, &inner); e.Err = inner.Err {
		e.Class, e.rule = max(e.Class, inner.Class), cmp.Or(e.rule, inner.rule)
		if _, bare := e.Err.(*Error); !bare && inner.Pos == "" {
			break // the text before it says which op it was
		}
		if inner.Pos != "" {
			places = append([]string{inner.Pos}, places...)
		}
	}
	if len(places) > 0 {
		e.Pos, e.From = places[0], places[1:]
	}
	return explain(e)
}

// framesOf returns the positions of ee's calls that are in files, innermost first.
func framesOf(ee *starlark.EvalError) (places []string) {
	for i := range ee.CallStack {
		if pos := ee.CallStack.At(i).Pos; pos.Filename() != "<builtin>" && pos.Line > 0 {
			places = append(places, pos.String())
		}
	}
	return places
}

// Nearest returns err with a hint that names the one of names that was probably
// meant by name; err itself if none is close.
func Nearest(err error, name string, names []string) error {
	if n := nearest.Of(name, names); n != "" {
		return Hint(err, fmt.Sprintf("did you mean %q?", n))
	}
	return err
}

// located says where a step failed, and why really: a cancelled thread only
// knows that it was.
func (r *Run) located(err error) error {
	class, why := Failed, r.misuse
	if why != nil {
		if r.counts.Changed == 0 {
			class = Mistake
		}
	} else if r.ctx.Err() != nil {
		class = Interrupted
		if strings.Contains(err.Error(), "Starlark computation cancelled") || errors.Is(err, r.ctx.Err()) {
			why = context.Cause(r.ctx)
		}
	}
	err = located(r.step, class, err)
	e, ok := err.(*Error)
	if !ok {
		return err
	}
	if why != nil {
		e.Class, e.Err, e.Advice = class, why, HintOf(why)
	}
	e.Err, e.Advice = r.vault.ShowError(e.Err), r.vault.Show(e.Hint())
	return e
}
