package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"

	"runbook/runtime"
	"runbook/runtime/trace"
)

// A stdout is standard output. It remembers its first error, which the program
// reports when a command has ended: no command may end well whose output is lost.
type stdout struct {
	file *os.File

	mu    sync.Mutex
	wrote bool
	err   error
	alone bool // a run that goes on when nobody is there to read
}

// Write writes p, and fails for good with its first error.
func (o *stdout) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	o.wrote = true
	n, err := o.file.Write(p)
	o.err = err
	return n, err
}

// lost closes o and returns why something that was written to it is lost, or nil.
func (o *stdout) lost() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.file.Close(); o.err == nil && o.wrote {
		o.err = err
	}
	gone := errors.Is(o.err, syscall.EPIPE) || errors.Is(o.err, syscall.EIO) // a reader or a terminal
	if o.err == nil || o.alone && gone {
		return nil
	}
	err := o.err
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	hint := "what was shown is not complete"
	if o.alone {
		hint += "; the trace is: the run itself was not stopped by this"
	}
	return runtime.Hint(fmt.Errorf("standard output: %w", err), hint)
}

// A printable writes text, of which it escapes what a terminal would obey rather than
// print. What is written at a time must hold whole characters.
type printable struct {
	io.Writer
	columns int // of a terminal, for which lines are broken between words; 0 if it is none
}

func (p printable) Write(b []byte) (int, error) {
	lines := strings.Split(shown(string(b)), "\n")
	for i, line := range lines {
		lines[i] = strings.Join(trace.Wrap(line, p.columns, hangOfMessage(line)), "\n")
	}
	if _, err := io.WriteString(p.Writer, strings.Join(lines, "\n")); err != nil {
		return 0, err
	}
	return len(b), nil
}

// hangOfMessage returns where a line of a message goes on when it is broken.
func hangOfMessage(line string) int {
	indent := len(line) - len(strings.TrimLeft(line, " "))
	for _, label := range []string{"hint: ", "- "} {
		if strings.HasPrefix(line[indent:], label) {
			return indent + len(label)
		}
	}
	return indent + 4
}

// shown returns text that is safe for a terminal, with its lines kept.
func shown(text string) string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		out = append(out, trace.Quote(line))
	}
	return strings.Join(out, "\n")
}
