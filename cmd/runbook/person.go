package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"runbook/runtime"
)

// A console is where a person can be asked. Questions go to standard error: standard
// output holds nothing but what the run shows.
type console struct {
	in  *os.File
	out io.Writer
	buf *bufio.Reader
}

func newConsole(in *os.File, out io.Writer) *console { return &console{in, out, bufio.NewReader(in)} }

// there reports whether a person can answer.
func (c *console) there() bool { return term.IsTerminal(int(c.in.Fd())) }

// line asks for a line of text; ctx ends the waiting.
func (c *console) line(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(c.out, prompt)
	return c.wait(ctx, func() (string, error) { return c.buf.ReadString('\n') })
}

// hidden asks for a line without showing what is typed. It restores the terminal,
// also if ctx ends first.
func (c *console) hidden(ctx context.Context, prompt string) (string, error) {
	fd := int(c.in.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	defer term.Restore(fd, state)
	fmt.Fprint(c.out, prompt)
	defer fmt.Fprintln(c.out)
	return c.wait(ctx, func() (string, error) {
		b, err := term.ReadPassword(fd)
		return string(b), err
	})
}

// wait returns what read returns, or ctx's error if ctx ends first. Then the
// goroutine that reads stays behind: the program is about to end.
func (c *console) wait(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{strings.TrimRight(text, "\r\n"), err}
	}()
	select {
	case a := <-got:
		return a.text, a.err
	case <-ctx.Done():
		fmt.Fprintln(c.out)
		return "", context.Cause(ctx)
	}
}

// A person answers by flags, else on the console.
type person struct {
	ctx     context.Context
	console *console
	yes     bool
	acks    []string
}

var _ runtime.Person = (*person)(nil)

// Confirm asks for a yes.
func (p *person) Confirm(question string) (runtime.Answer, error) {
	if p.yes {
		return runtime.Yes, nil
	}
	return p.ask("", question)
}

// Acknowledge asks whether a step is done.
func (p *person) Acknowledge(step, text string) (runtime.Answer, error) {
	if slices.Contains(p.acks, step) {
		return runtime.Yes, nil
	}
	return p.ask(text+"\n", "Is "+step+" done?")
}

func (p *person) ask(text, question string) (runtime.Answer, error) {
	if !p.console.there() {
		return runtime.No, runtime.ErrNobody
	}
	fmt.Fprint(p.console.out, "\n"+shown(text))
	for {
		s, err := p.console.line(p.ctx, shown(question)+" [y/n] ")
		switch strings.ToLower(strings.TrimSpace(s)) {
		case "y", "yes":
			return runtime.Yes, nil
		case "n", "no":
			return runtime.No, nil
		}
		if errors.Is(err, io.EOF) {
			return runtime.No, runtime.ErrNobody
		}
		if err != nil {
			return runtime.No, err
		}
	}
}
