package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"runbook/runtime/trace"
)

// A Prompt evaluates statements one after the other, as somebody types them, in one run. What they would change adds
// up on the run's host. They see what the runbook's file sees and defines; its steps can be called.
type Prompt struct {
	run     *Run
	book    *Runbook
	loader  *loader
	globals starlark.StringDict
	ahead   []byte // a line that was read and belongs to the next statement
}

// Prompt begins a run, which End ends, and whose steps are done only if they are called.
func (r *Run) Prompt(ctx context.Context, book *Runbook) (*Prompt, error) {
	if err := r.begin(ctx, book); err != nil {
		return nil, err
	}
	p := &Prompt{run: r, book: book, loader: book.loader, globals: maps.Clone(book.loader.pre)}
	if book.loader.lib.Site != nil {
		p.globals["vars"] = siteVars{book.loader}
	}
	p.take(book)
	return p, nil
}

// take gives what the runbook's file defines and loads, and its steps, to what is typed.
func (p *Prompt) take(book *Runbook) {
	if m := p.loader.modules[book.Name]; m != nil {
		maps.Copy(p.globals, m.globals)
		for _, s := range m.file.Stmts {
			if n, ok := s.(*syntax.LoadStmt); ok {
				p.takeLoaded(n)
			}
		}
	}
	for _, s := range book.Steps {
		call := promptStep{p.run, s}
		if s.fn != nil && p.globals[s.fn.Name()] == s.fn {
			p.globals[s.fn.Name()] = call
		}
		if _, taken := p.globals[s.Name]; !taken {
			p.globals[s.Name] = call
		}
	}
}

func (p *Prompt) takeLoaded(n *syntax.LoadStmt) {
	m := p.loader.modules[n.ModuleName()]
	for i, id := range n.To {
		if m != nil && m.globals[n.From[i].Name] != nil {
			p.globals[id.Name] = m.globals[n.From[i].Name]
		}
	}
}

// End ends the run.
func (p *Prompt) End() error {
	defer p.run.leave(p.book)
	return p.run.end(nil)
}

// promptName is what errors and traces call the place where statements are typed.
const promptName = "prompt"

var promptDialect = &syntax.FileOptions{Set: true, TopLevelControl: true, GlobalReassign: true, LoadBindsGlobally: true}

// A Statement is what Read has read.
type Statement struct{ file *syntax.File }

// Eval executes a statement. The value of an expression is returned as text, "" if it is None or the result of a
// builtin, which the run's sink has shown. ctx ends what is under way.
func (p *Prompt) Eval(ctx context.Context, s Statement) (value string, err error) {
	f := s.file
	if len(f.Stmts) == 0 {
		return "", nil
	}
	r := p.run
	r.ctx = context.WithValue(ctx, runKey{}, r)
	r.meter = newMeter(ctx, r.gaveUp())
	p.loader.meter = r.meter
	defer r.meter.watch()()
	r.step, r.user, r.misuse, r.unmet = "", "", nil, nil
	r.newThread(promptName)
	r.thread.Load = p.load
	v, err := p.exec(f)
	if err == nil && r.misuse != nil {
		err = r.misuse
	}
	if err == nil {
		err = r.flush()
	}
	if err != nil {
		return "", r.located(err)
	}
	return p.shown(v), nil
}

// shown is a value as people see it.
func (p *Prompt) shown(v starlark.Value) string {
	switch v := v.(type) {
	case nil, *result, starlark.NoneType:
		return ""
	case *starlark.Builtin:
		if b, err := p.loader.rt.Builtin(v.Name()); err == nil {
			return fmt.Sprintf("%s will %s; more: runbook builtins %[1]s", b.Name, strings.TrimRight(b.Summary, ". "))
		}
	}
	return shortened(p.run.vault.Show(v.String()))
}

const longestValue = 10_000 // bytes of a value that is shown

func shortened(text string) string {
	if len(text) <= longestValue {
		return text
	}
	short := strings.ToValidUTF8(text[:longestValue], "")
	return fmt.Sprintf("%s... (%d more characters)", short, utf8.RuneCountInString(text[len(short):]))
}

// Read reads one statement, line by line. A block ends with an empty line or, as in a file, with one that is not set
// in.
// The error is that of readline, such as io.EOF, if a line is missing.
func (p *Prompt) Read(readline func() ([]byte, error)) (s Statement, err error) {
	first := p.ahead
	if p.ahead = nil; first == nil {
		first, err = readline()
	}
	if err != nil {
		return s, err
	}
	var lines [][]byte
	ended := false
	f, perr := promptDialect.ParseCompoundStmt(promptName, func() ([]byte, error) {
		line := first
		if first = nil; line == nil && !ended {
			line, err = readline()
		}
		if ended = ended || errors.Is(err, io.EOF); ended && line == nil {
			line, err = []byte("\n"), nil // which ends the block
		}
		lines = append(lines, line)
		return line, err
	})
	if err != nil {
		return s, err
	}
	if perr != nil {
		return s, located("", Mistake, syntaxError(slices.Concat(lines...), perr))
	}
	last := len(lines) - 1
	if last > 0 && len(f.Stmts) > 0 && strings.TrimSpace(string(lines[last])) != "" {
		if _, end := f.Stmts[len(f.Stmts)-1].Span(); int(end.Line) <= last {
			p.ahead = lines[last]
		}
	}
	return Statement{f}, nil
}

// exec executes a statement; of an expression it returns the value.
func (p *Prompt) exec(f *syntax.File) (starlark.Value, error) {
	pre := p.loader.pre
	if err := refusedNames(f, pre); err != nil {
		return nil, err
	}
	own := func(name string) bool { return p.globals.Has(name) && !pre.Has(name) }
	if err := resolve.REPLChunk(f, own, pre.Has, starlark.Universe.Has); err != nil {
		return nil, parseError(err, slices.Concat(p.globals.Keys(), starlark.Universe.Keys()), false)
	}
	if err := p.loading(func() error { return p.loader.heresOf(f, false) }); err != nil {
		return nil, err
	}
	if err := p.loader.rt.constantConditions(f, pre); err != nil {
		return nil, err
	}
	guard(f)
	limit(f)
	if s, ok := f.Stmts[0].(*syntax.ExprStmt); ok && len(f.Stmts) == 1 {
		return starlark.EvalExprOptions(promptDialect, p.run.thread, s.X, p.globals)
	}
	return nil, starlark.ExecREPLChunk(f, p.run.thread, p.globals)
}

func isNameRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// load answers load(): the file is loaded as a runbook loads it.
func (p *Prompt) load(t *starlark.Thread, name string) (globals starlark.StringDict, err error) {
	err = p.loading(func() error {
		globals, err = p.loader.loadStatement(false)(t, name)
		return err
	})
	return globals, err
}

// loading does what belongs to loading, between the statements of the run.
func (p *Prompt) loading(do func() error) error {
	l := p.loader
	run, stack := l.run, l.stack
	l.run, l.stack = nil, []string{promptName}
	defer func() { l.run, l.stack = run, stack }()
	return do()
}

// Complete returns the names that begin as the end of a text does, and where in it that begins.
func (p *Prompt) Complete(text string) (names []string, from int) {
	from = len(strings.TrimRightFunc(text, isNameRune))
	word, before := text[from:], text[:from]
	all := append(p.arguments(before), p.Names()...)
	if before, ok := strings.CutSuffix(before, "."); ok {
		space := before[len(strings.TrimRightFunc(before, isNameRune)):]
		v, ok := p.globals[space].(starlark.HasAttrs)
		if all = nil; ok {
			all = v.AttrNames()
		}
	}
	for _, name := range all {
		if strings.HasPrefix(name, word) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), from
}

// arguments returns the names of the arguments of the builtin whose call is being typed.
func (p *Prompt) arguments(text string) (names []string) {
	open := strings.LastIndexByte(text, '(')
	for open > 0 && strings.Count(text[open:], ")") >= strings.Count(text[open:], "(") {
		open = strings.LastIndexByte(text[:open], '(')
	}
	if open < 0 {
		return nil
	}
	before := text[:open]
	callee := before[len(strings.TrimRightFunc(before, func(r rune) bool { return r == '.' || isNameRune(r) })):]
	for _, b := range p.loader.rt.builtins {
		if b.Name == callee {
			names = argNames(b.Params())
		}
	}
	return names
}

// Names returns all names that can be typed.
func (p *Prompt) Names() []string {
	names := append(p.globals.Keys(), starlark.Universe.Keys()...)
	return slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "(") })
}

// A promptStep is a step that can be called.
type promptStep struct {
	run *Run
	Step
}

var _ starlark.Callable = promptStep{}

func (s promptStep) String() string        { return "<step " + trace.Quote(s.Step.Name) + ">" }
func (s promptStep) Type() string          { return "step" }
func (s promptStep) Freeze()               {}
func (s promptStep) Truth() starlark.Bool  { return true }
func (s promptStep) Hash() (uint32, error) { return 0, errors.New("unhashable: step") }
func (s promptStep) Name() string          { return s.Step.Name }

// CallInternal does the step, whatever its condition is.
func (s promptStep) CallInternal(t *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (
	starlark.Value, error,
) {
	if len(args)+len(kwargs) > 0 {
		return nil, fmt.Errorf("step %s: got arguments, want none", s.Step.Name)
	}
	r := s.run
	step, user := r.step, r.user
	r.step, r.user = s.Step.Name, s.User
	defer func() { r.step, r.user = step, user }()
	err := r.emit(trace.Event{Kind: trace.Step, Title: s.Title, Text: s.Doc, State: trace.Begin, Site: s.Site,
		Controls: s.Controls})
	if err == nil {
		err = r.doBody(s.Step, t)
	}
	if err != nil {
		return nil, err
	}
	return starlark.None, r.emit(trace.Event{Kind: trace.Step, Title: s.Title, State: trace.Ended})
}
