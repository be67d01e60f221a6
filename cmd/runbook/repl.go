package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

func (p *program) replCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use: "repl [FILE]", Short: "Try builtins and steps at a prompt; nothing is changed",
		Long: "Type statements of the script language and see what they would do. Nothing is changed: it is a dry run of this\n" +
			"machine, in which each statement sees what those before it would have done. The value of an expression is printed.\n" +
			"With FILE its vars, functions and what it loads can be used, and its steps called by their names, whatever their\n" +
			"conditions are.\n\n" +
			"def, if and for go on until an empty line. TAB completes names. Ctrl-C gives up the line, or ends what is under way;\n" +
			"Ctrl-D ends. Without a terminal, standard input is read line by line; a mistake is told and the next line is read.",
		Example: "  runbook repl\n  runbook repl install.star --var airgap=true\n  echo 'host.os' | runbook repl",
		Args:    operands(0, 1, "FILE"), ValidArgsFunction: p.completeRunbook,
		RunE: func(c *cobra.Command, args []string) error { return p.repl(c.Context(), f, args) },
	}
	f.inputFlags.add(c, p)
	c.Flags().StringVar(&f.state, "state", "", "`DIR` of the markers that are looked at (default as in run)")
	c.Flags().BoolVar(&f.noColor, "no-color", false, "no colours; so do NO_COLOR and output that is no terminal")
	c.Flags().BoolVar(&f.verbose, "verbose", false, "show also manual texts, effects and what commands print")
	return c
}

// repl reads and evaluates statements until there are no more.
func (p *program) repl(ctx context.Context, f runFlags, args []string) error {
	lib, book, err := p.bookAtHand(f.inputFlags, args)
	if err != nil {
		return err
	}
	defer lib.close()
	dir, err := p.stateAt(f.state)
	if err != nil {
		return err
	}
	s := &session{
		program: p, flags: f, loaded: loaded{book: book}, state: dir, local: newLocal(), digests: &host.Digests{},
	}
	o := s.options(trace.DryRun)
	o.Sink = trace.Tee{trace.NewGuard(book.Leaks(nil, o.Info)), s.display(s.out)}
	o.GiveUp = p.rt.GiveUp
	prompt, err := runtime.Predicted(s.local, o).Prompt(ctx, book)
	if err != nil {
		return err
	}
	keys := p.keyboard(prompt)
	if keys.typed() { // Ctrl-C never ends the program, also not between reading and executing
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	for {
		err := p.turn(ctx, prompt, keys)
		switch {
		case err == io.EOF:
			return prompt.End()
		case errors.Is(err, errAbandoned):
		case runtime.ClassOf(err) == runtime.Interrupted && !keys.typed():
			return errors.Join(err, prompt.End())
		default:
			report(p.err, err)
		}
	}
}

// bookAtHand loads the runbook of a prompt; without one it is empty. Files can be loaded until the library is closed.
func (p *program) bookAtHand(f inputFlags, args []string) (*library, *runtime.Runbook, error) {
	const nameless = "prompt.star"
	empty := runtime.Overlaid(nil, map[string]string{nameless: ""})
	lib := &library{runtime.Library{Dir: empty, Shipped: p.shipped}, nameless, nil}
	var err error
	if len(args) > 0 {
		lib, err = p.findWithSite(args[0], f.site)
	}
	if err != nil {
		return nil, nil, err
	}
	in, _, err := f.read()
	if err == nil {
		var book *runtime.Runbook
		if book, err = p.rt.Load(lib.Library, lib.name, in); err == nil {
			return lib, book, nil
		}
	}
	lib.close()
	return nil, nil, err
}

// turn reads a statement, executes it and prints its value.
func (p *program) turn(ctx context.Context, prompt *runtime.Prompt, keys keyboard) error {
	more := false
	statement, err := prompt.Read(func() ([]byte, error) {
		line, err := keys.next(more)
		if word := strings.TrimSpace(string(line)); !more && slices.Contains(habits, word) {
			err = mistake("Ctrl-D ends; runbook builtins NAME tells of a builtin", "%s is no statement", word)
		}
		more = true
		return append(line, '\n'), err
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer func() { signal.Stop(interrupts); close(interrupts) }()
	go func() {
		if _, ok := <-interrupts; ok {
			cancel(&runtime.Error{Class: runtime.Interrupted, Err: errors.New("interrupted")})
		}
	}()
	value, err := prompt.Eval(ctx, statement)
	if err == nil && value != "" {
		_, err = fmt.Fprintln(p.out, shown(value))
	}
	return err
}

// habits are what people type at other prompts.
var habits = []string{"?", "exit", "exit()", "help", "help()", "quit", "quit()"}

// errAbandoned says that somebody gave up what was typed.
var errAbandoned = errors.New("abandoned")

// A keyboard is where statements are typed. next returns a line without its end; more says that it goes on with the one
// before.
type keyboard interface {
	next(more bool) ([]byte, error)
	typed() bool
}

func (p *program) keyboard(prompt *runtime.Prompt) keyboard {
	if !term.IsTerminal(int(p.in.Fd())) {
		return &piped{bufio.NewReader(p.in)}
	}
	t := &typist{in: p.in, out: p.in, prompt: prompt}
	if tty, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0); err == nil { // standard input may not be writable
		t.out = tty
	}
	t.term = term.NewTerminal(t, "")
	t.term.AutoCompleteCallback, t.term.History = t.complete, &history{}
	return t
}

// piped lines come from a file or another program.
type piped struct{ in *bufio.Reader }

func (p *piped) typed() bool { return false }

func (p *piped) next(bool) ([]byte, error) {
	line, err := p.in.ReadBytes('\n')
	if len(line) > 0 {
		err = nil
	}
	return bytes.TrimRight(line, "\r\n"), err
}

// A typist types lines at a terminal, which is as it was before whenever something is executed.
type typist struct {
	in, out   *os.File
	term      *term.Terminal
	prompt    *runtime.Prompt
	keys      []byte // read, and not yet seen by term
	abandoned bool
}

func (t *typist) typed() bool { return true }

func (t *typist) next(more bool) ([]byte, error) {
	fd := int(t.in.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	defer term.Restore(fd, before)
	if width, height, err := term.GetSize(fd); err == nil && width > 0 {
		_ = t.term.SetSize(width, height) // a terminal that is gone is noticed where it is read
	}
	t.term.SetPrompt(map[bool]string{false: "> ", true: "... "}[more])
	line, err := t.term.ReadLine()
	switch {
	case t.abandoned:
		t.abandoned = false
		return nil, errAbandoned
	case errors.Is(err, term.ErrPasteIndicator):
		err = nil
	case err != nil:
		fmt.Fprint(t.out, "\r\n")
	}
	return []byte(line), err
}

// abandoning are the keys that empty a line and end it.
var abandoning = []byte{5, 21, '\r'}

const ctrlC = 3

// Read implements io.Reader. Of Ctrl-C term makes the end of the input, and reads it again and again: here it empties
// the line.
func (t *typist) Read(p []byte) (int, error) {
	if len(t.keys) == 0 {
		n, err := t.in.Read(p)
		if err != nil {
			return n, err
		}
		t.keys = bytes.Clone(p[:n])
	}
	at := bytes.IndexByte(t.keys, ctrlC)
	if at == 0 && len(p) >= len(abandoning) {
		t.abandoned, t.keys = true, t.keys[1:]
		return copy(p, abandoning), nil
	}
	if at < 0 {
		at = len(t.keys)
	}
	n := copy(p, t.keys[:at])
	t.keys = t.keys[n:]
	return n, nil
}

// Write implements io.Writer.
func (t *typist) Write(p []byte) (int, error) { return t.out.Write(p) }

// A history is what was typed, without empty lines and repetitions, the newest last.
type history struct{ lines []string }

// Add implements term.History.
func (h *history) Add(line string) {
	if strings.TrimSpace(line) != "" && (len(h.lines) == 0 || h.lines[len(h.lines)-1] != line) {
		h.lines = append(h.lines, line)
	}
}

// Len implements term.History.
func (h *history) Len() int { return len(h.lines) }

// At implements term.History; 0 is the newest.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }

// complete answers TAB: with what all names have in common that begin like the word, or with a list of them.
func (t *typist) complete(line string, pos int, key rune) (text string, at int, ok bool) {
	if key != '\t' {
		return "", 0, false
	}
	if strings.TrimSpace(line[:pos]) == "" {
		return line[:pos] + "    " + line[pos:], pos + 4, true
	}
	names, from := t.prompt.Complete(line[:pos])
	if len(names) == 0 {
		return line, pos, true
	}
	common := names[0]
	for _, n := range names {
		for !strings.HasPrefix(n, common) {
			common = common[:len(common)-1]
		}
	}
	if from+len(common) == pos && len(names) > 1 {
		fmt.Fprintln(t.term, strings.Join(names, "  "))
	}
	return line[:from] + common + line[pos:], from + len(common), true
}
