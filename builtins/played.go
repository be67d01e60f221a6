package builtins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	starlarkjson "go.starlark.net/lib/json"
	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/trace"
)

// run is machine.run: it runs a runbook and returns what became of it.
func (m *machineValue) run(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (
	starlark.Value, error) {
	var name string
	var vars, secrets *starlark.Dict
	var steps *starlark.List
	var site starlark.Value = starlark.None
	known := []string{"runbook", "vars", "secrets", "steps", "site"}
	for _, kw := range kwargs {
		if key, _ := starlark.AsString(kw[0]); !slices.Contains(known, key) {
			return nil, runtime.Nearest(fmt.Errorf("%s: no argument %q", b.Name(), key), key, known)
		}
	}
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "runbook", &name, "vars?", &vars, "secrets?", &secrets,
		"steps?", &steps, "site?", &site); err != nil {
		return nil, err
	}
	v, err := m.suite.Apart(func() (starlark.Value, error) { return m.play(name, vars, secrets, steps, site) })
	if many := (runtime.Errors{}); errors.As(err, &many) { // of a runbook; a test fails at the line that runs it
		err = runtime.Hint(errors.New(err.Error()), hintsOf(err))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return v, nil
}

func (m *machineValue) play(name string, vars, secrets *starlark.Dict, steps *starlark.List, site starlark.Value) (
	starlark.Value, error) {
	file, err := m.siteFile(site)
	if err != nil {
		return nil, err
	}
	given, err := stringKeys("vars", vars)
	if err != nil {
		return nil, err
	}
	book, err := m.suite.Load(name, given, file)
	if err != nil && runtime.ClassOf(err) == runtime.Input {
		return &playedRun{nil, err, m.Hide}, nil
	}
	if err != nil {
		return nil, err
	}
	o := runtime.Options{}
	if o.Secrets, err = secretsFor(book, secrets); err == nil {
		o.Select, err = selecting(book, steps)
	}
	if err != nil {
		return nil, err
	}
	events, err := m.Run(context.Background(), book, o)
	if err != nil {
		m.suite.RunFailed(strings.TrimSpace(book.Name + ": " + m.Hide(err.Error()+"\n"+hintsOf(err))))
	}
	for _, e := range events {
		if m.suite.Watch != nil {
			m.suite.Watch(e)
		}
	}
	return &playedRun{events, err, m.Hide}, nil
}

// siteFile returns the name of the site's own file. It returns "" if there is none.
func (m *machineValue) siteFile(v starlark.Value) (string, error) {
	const usual = "runbook.star"
	switch v := v.(type) {
	case starlark.NoneType:
		if m.suite.Has(usual) {
			return usual, nil
		}
		return "", nil
	case starlark.String:
		return string(v), nil
	case starlark.Bool:
		if !v {
			return "", nil
		}
	}
	return "", fmt.Errorf("argument \"site\": got %s, want the name of a file, or False for none", v)
}

func stringKeys(arg string, d *starlark.Dict) (map[string]starlark.Value, error) {
	all := map[string]starlark.Value{}
	if d == nil {
		return all, nil
	}
	for _, item := range d.Items() {
		name, ok := starlark.AsString(item[0])
		if !ok {
			return nil, fmt.Errorf("argument %q: got the name %s, want text", arg, item[0])
		}
		all[name] = item[1]
	}
	return all, nil
}

func secretsFor(book *runtime.Runbook, d *starlark.Dict) (map[string]string, error) {
	given, err := stringKeys("secrets", d)
	if err != nil {
		return nil, err
	}
	var known []string
	for _, s := range book.Secrets {
		known = append(known, s.Name)
	}
	values := map[string]string{}
	for name, v := range given {
		text, ok := starlark.AsString(v)
		switch {
		case !slices.Contains(known, name):
			return nil, runtime.Nearest(fmt.Errorf("no secret %q in %s", name, book.Name), name, known)
		case !ok:
			return nil, fmt.Errorf("secret %s: got %s, want text", name, v.Type())
		case len(text) < 4:
			return nil, fmt.Errorf("secret %s: got %d characters, want at least 4: a shorter one cannot be told from "+
				"other text", name, len(text))
		}
		values[name] = text
	}
	return values, nil
}

// selecting returns what chooses the steps; all if none is named.
func selecting(book *runtime.Runbook, steps *starlark.List) (func(runtime.Step) (bool, string), error) {
	if steps == nil || steps.Len() == 0 {
		return nil, nil
	}
	names, err := runtime.StringList(steps)
	if err != nil {
		return nil, fmt.Errorf("argument \"steps\": %w", err)
	}
	var known []string
	for _, s := range book.Steps {
		known = append(known, s.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			err := fmt.Errorf("no step %q in %s", name, book.Name)
			hint := runtime.HintOf(runtime.Nearest(err, name, known))
			return nil, runtime.Hint(err, cmp.Or(hint, "its steps are: "+strings.Join(known, ", ")))
		}
	}
	return func(s runtime.Step) (bool, string) { return slices.Contains(names, s.Name), "not chosen" }, nil
}

// A playedRun is a run as tests have it. What most tests do not look at is made when it is asked for.
type playedRun struct {
	events []trace.Event
	err    error
	hide   func(string) string
}

var _ starlark.HasAttrs = (*playedRun)(nil)

func (*playedRun) String() string        { return "<run>" }
func (*playedRun) Type() string          { return "run" }
func (*playedRun) Freeze()               {}
func (*playedRun) Truth() starlark.Bool  { return true }
func (*playedRun) Hash() (uint32, error) { return 0, errors.New("unhashable: run") }
func (*playedRun) AttrNames() []string {
	return []string{"assumed", "changed", "effects", "error", "hint", "logs", "ops", "outcome", "same", "skipped", "steps"}
}

// Attr returns what is known of the run.
func (p *playedRun) Attr(name string) (starlark.Value, error) {
	switch name {
	case "outcome":
		if p.err != nil {
			return starlark.String(trace.Failed), nil
		}
		return starlark.String(trace.Done), nil
	case "error":
		if p.err == nil {
			return starlark.String(""), nil
		}
		return starlark.String(p.hide(p.err.Error())), nil
	case "hint":
		return starlark.String(p.hide(hintsOf(p.err))), nil
	case "same":
		return p.count(trace.Same), nil
	case "changed":
		return p.count(trace.Changed), nil
	case "effects":
		return p.list(func(e trace.Event) ([]starlark.Value, error) { return eventOf(e, trace.Effect) })
	case "ops":
		return p.list(func(e trace.Event) ([]starlark.Value, error) { return eventOf(e, trace.Op) })
	case "steps":
		return p.texts(func(e trace.Event) []string {
			return textIf(e.Kind == trace.Step && e.State == trace.Begin, e.Step)
		})
	case "logs":
		return p.texts(func(e trace.Event) []string { return textIf(e.Kind == trace.Log, e.Text) })
	case "assumed":
		return p.texts(func(e trace.Event) []string {
			if e.Kind == trace.Result {
				return e.Assumed
			}
			return nil
		})
	case "skipped":
		return p.skipped()
	}
	return nil, nil
}

func textIf(ok bool, text string) []string {
	if ok {
		return []string{text}
	}
	return nil
}

func (p *playedRun) count(o trace.Outcome) starlark.Value {
	n := 0
	for _, e := range p.events {
		if e.Kind == trace.Result && e.Outcome == o {
			n++
		}
	}
	return starlark.MakeInt(n)
}

func (p *playedRun) list(of func(trace.Event) ([]starlark.Value, error)) (starlark.Value, error) {
	all := []starlark.Value{}
	for _, e := range p.events {
		some, err := of(e)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return starlark.NewList(all), nil
}

func (p *playedRun) texts(of func(trace.Event) []string) (starlark.Value, error) {
	return p.list(func(e trace.Event) (all []starlark.Value, _ error) {
		for _, text := range of(e) {
			all = append(all, starlark.String(text))
		}
		return all, nil
	})
}

func (p *playedRun) skipped() (starlark.Value, error) {
	all := starlark.NewDict(0)
	for _, e := range p.events {
		if e.Kind == trace.Step && e.State == trace.LeftOut {
			if err := all.SetKey(starlark.String(e.Step), starlark.String(e.Why)); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// hintsOf returns all advice in an error, one a line.
func hintsOf(err error) string {
	var hints []string
	for many := (interface{ Unwrap() []error })(nil); errors.As(err, &many); {
		for _, e := range many.Unwrap() {
			if hint := runtime.HintOf(e); hint != "" && !slices.Contains(hints, hint) {
				hints = append(hints, hint)
			}
		}
		break
	}
	if len(hints) == 0 {
		return runtime.HintOf(err) // "" if err is nil
	}
	return strings.Join(hints, "\n")
}

// eventOf is an event of a kind as a dict; nothing if it is of another.
func eventOf(e trace.Event, kind trace.Kind) ([]starlark.Value, error) {
	if e.Kind != kind {
		return nil, nil
	}
	text, err := e.JSON()
	if err != nil {
		return nil, err
	}
	v, err := starlark.Call(&starlark.Thread{Name: "event"}, starlarkjson.Module.Members["decode"],
		starlark.Tuple{starlark.String(text)}, nil)
	return []starlark.Value{v}, err
}
