package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"runbook/runtime"
	"runbook/runtime/trace"
)

// Errors go to standard error. They begin with "runbook: ", are lower case and have
// no full stop; hints stand below.

// An exit is an exit code whose reason has been printed already.
type exit int

func (exit) Error() string { return "" }

// changesToMake is the exit code of a dry run with --exit-code.
const changesToMake = 10

// exitCode returns the exit code for err.
func exitCode(err error) int {
	var code exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	for _, e := range exitMeanings() {
		if e.class == runtime.ClassOf(err) {
			return e.code
		}
	}
	return 1
}

// An exitMeaning is an exit code and what it means.
type exitMeaning struct {
	code    int
	class   runtime.Class
	meaning string
}

const noClass runtime.Class = -1

func exitMeanings() []exitMeaning {
	return []exitMeaning{
		{0, noClass, "done"},
		{1, runtime.Failed, "a step failed, or standard output is full"},
		{2, runtime.Mistake, "wrong usage, or a runbook with mistakes"},
		{3, runtime.Input, "vars are missing or wrong, or checks before the first change are not met"},
		{4, runtime.NeedsPerson, "a person is needed and none is there"},
		{5, runtime.Deviates, "the run differs from the trace that it follows"},
		{changesToMake, noClass, "with `--dry-run --exit-code`: there is something to change"},
		{130, runtime.Interrupted, "somebody stopped the run"},
	}
}

// report prints every problem that err holds.
func report(w io.Writer, err error) {
	for _, e := range flatten(err) {
		first, rest, more := strings.Cut(runtime.Readable(runtime.Spoken(e).Error()), "\n")
		fmt.Fprintln(w, "runbook: "+trace.Quote(first))
		for line := range strings.SplitSeq(rest, "\n") {
			if more {
				fmt.Fprintln(w, trace.Quote(trace.Continued(line)))
			}
		}
		for _, pos := range e.From {
			fmt.Fprintln(w, "  called from "+trace.Quote(pos))
		}
		for _, hint := range hints(e) {
			fmt.Fprintln(w, "  hint: "+trace.Quote(runtime.Readable(hint)))
		}
	}
}

// flatten returns the problems in err one by one, each with its hint.
func flatten(err error) []*runtime.Error {
	var code exit
	if err == nil || errors.As(err, &code) {
		return nil
	}
	if e, ok := err.(*runtime.Error); ok && e.Pos == "" && e.Step == "" && e.Advice == "" {
		return flatten(e.Err)
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		if errs := many.Unwrap(); lines(errs) == err.Error() {
			var all []*runtime.Error
			for _, one := range errs {
				all = append(all, flatten(one)...)
			}
			return all
		}
	}
	if e, ok := err.(*runtime.Error); ok {
		return []*runtime.Error{e}
	}
	return []*runtime.Error{{Err: err}}
}

// hints returns all advice that an error carries, each once.
func hints(err error) (all []string) {
	var e interface {
		error
		Hint() string
	}
	for ; errors.As(err, &e); err = errors.Unwrap(e) {
		if hint := e.Hint(); hint != "" && !contains(all, hint) {
			all = append(all, hint)
		}
	}
	return all
}

// lines returns the text of a list of problems. An error with another text is one
// problem, however many errors it wraps.
func lines(errs []error) string {
	var texts []string
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "\n")
}

// mistake is an error of the command line.
func mistake(hint, format string, args ...any) error {
	return &runtime.Error{Class: runtime.Mistake, Err: spoken(format, args...), Advice: hint}
}

// spoken is fmt.Errorf with texts that stay on one line.
func spoken(format string, args ...any) error {
	var texts []string
	for _, a := range args {
		if s, ok := a.(string); ok {
			texts = append(texts, s)
		}
	}
	return runtime.Spoken(fmt.Errorf(format, args...), texts...)
}

// badInput is an error of vars or secrets.
func badInput(hint, format string, args ...any) error {
	return &runtime.Error{Class: runtime.Input, Err: spoken(format, args...), Advice: hint}
}

// unknown is the mistake of a name that is not among names; what is the kind of name.
// The hint is the nearest of names, else otherwise.
func unknown(what, name string, names []string, otherwise string) error {
	err := runtime.Nearest(fmt.Errorf("no %s %q", what, name), name, names)
	hint := runtime.HintOf(err)
	if hint == "" {
		hint = otherwise
	}
	return mistake(hint, "no %s %q", what, name)
}

func flagError(c *cobra.Command, err error) error {
	hint := fmt.Sprintf("see: %s --help", c.CommandPath())
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) || missing.GetSpecifiedShortnames() != "" {
		return mistake(hint, "%w", err)
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return unknown("flag", "--"+missing.GetSpecifiedName(), names, hint)
}

// subcommandOnly returns an error if args name something that c lacks.
func subcommandOnly(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return unknown("command", args[0], subcommands(c), "the commands are: "+strings.Join(subcommands(c), " "))
}

// operands checks that a command gets from least to most operands; most is -1 for
// any number. what names the one that is missing.
func operands(least, most int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		hint := "usage: " + c.UseLine()
		switch {
		case len(args) < least:
			return mistake(hint, "%s: %s is missing", c.CommandPath(), what)
		case most >= 0 && len(args) > most:
			return mistake(hint, "%s: got %q, which is one too many", c.CommandPath(), args[most])
		}
		return nil
	}
}
