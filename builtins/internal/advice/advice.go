// Package advice makes errors that carry advice for the person who reads them.
//
// The runtime finds it by its method Hint, through all that wraps the error.
// The engines below builtins/internal use it, which know no runtime.
package advice

import (
	"errors"
	"fmt"
)

// An Error is an error with advice.
type Error struct {
	err  error
	hint string
}

// New returns an error as fmt.Errorf does, with a hint: what to do about it.
func New(hint, format string, args ...any) error { return &Error{fmt.Errorf(format, args...), hint} }

// On gives err a hint, unless it has one or the hint is empty; nil stays nil.
func On(err error, hint string) error {
	if err == nil || hint == "" || Of(err) != "" {
		return err
	}
	return &Error{err, hint}
}

// Of returns the hint of err, "" if it has none.
func Of(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.hint
	}
	return ""
}

func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns the error itself.
func (e *Error) Unwrap() error { return e.err }

// Hint returns what to do about the error.
func (e *Error) Hint() string { return e.hint }
