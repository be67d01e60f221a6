package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"runbook/runtime"
	"runbook/runtime/trace"
)

// byHand has a person make the changes of a run: it shows the commands for one at a time, and looks at what they left.
type byHand struct {
	*console
	*trace.Dictation
	script string // file that has the commands as a script
}

// newByHand returns nil unless the command line wants it. Without a person there is nothing to begin.
func (s *session) newByHand() (*byHand, error) {
	switch {
	case !s.flags.byHand:
		return nil, nil
	case !s.console.there():
		return nil, &runtime.Error{Class: runtime.NeedsPerson, Err: fmt.Errorf("--by-hand: %w", runtime.ErrNobody),
			Advice: "run it at a terminal, and do what it says in another one"}
	}
	return &byHand{s.console, trace.NewDictation(), filepath.Join(string(s.state), "by-hand.sh")}, nil
}

// mostShown is how many lines of commands are shown; the script has all.
const mostShown = 40

// await shows what is to be done, or what is wanting, and waits for a person.
func (b *byHand) await(ctx context.Context, missing error) (own bool, err error) {
	script, commands := b.Script()
	switch {
	case missing != nil:
		text := strings.Replace(strings.TrimPrefix(missing.Error(), "look "), "did not take effect: ", "", 1)
		fmt.Fprintf(b.out, "  not yet: %s\n", shown(text))
	case script == "":
		return false, nil // the commands before have done it: look
	default:
		if err := b.show(script, commands); err != nil {
			return false, err
		}
	}
	for {
		answer, err := b.line(ctx, "  Enter: it is done, look.  r: let runbook do this one.  q: stop here.  ")
		if err != nil {
			return false, errors.Join(err, ctx.Err())
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "":
			return false, nil
		case "r":
			return true, nil
		case "q":
			return false, &runtime.Error{Class: runtime.NeedsPerson, Err: errors.New("stopped by a person"),
				Advice: "run it again to go on from here"}
		}
		fmt.Fprintln(b.out, "  That is none of the answers.")
	}
}

// show shows commands, and writes their script.
func (b *byHand) show(script, commands string) error {
	if err := os.WriteFile(b.script, []byte(script), 0o600); err != nil {
		return fmt.Errorf("--by-hand: %w", err)
	}
	lines := strings.Split(strings.TrimRight(commands, "\n"), "\n")
	fmt.Fprintf(b.out, "\nBy hand, as %s in another terminal:\n\n", userName())
	for _, l := range lines[:min(len(lines), mostShown)] {
		fmt.Fprintln(b.out, "    "+shown(l))
	}
	if n := len(lines) - mostShown; n > 0 {
		fmt.Fprintf(b.out, "    ... and %d more lines, which the script has\n", n)
	}
	if lacks := b.Lacks(); lacks != "" {
		fmt.Fprintf(b.out, "\n  The commands are not all: %s. Do it as you can, or answer r.\n", shown(lacks))
	}
	fmt.Fprintf(b.out, "\n  The same as a script: sh %s\n", b.script)
	return nil
}
