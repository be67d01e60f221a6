package runtime

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"runbook/runtime/secret"
	"runbook/runtime/trace"
)

// A Policy is a file of functions that judge what a run is about to do: op(e) each op before it begins, effect(e) each
// effect before it happens. It touches no machine, and what it cannot judge it denies.
type Policy struct {
	Name    string // of the file
	Sources []trace.Source

	loader *loader
	judges map[trace.Kind]*starlark.Function
}

// A Verdict is what a policy says of an event. The zero value lets it pass.
type Verdict struct {
	Denied   bool
	Approval bool   // it may happen if somebody has approved it
	Reason   string // of either
}

// LoadPolicy executes the top level of a policy, which sees what is pure besides allow, deny and approval.
func (rt *Runtime) LoadPolicy(lib Library, name string) (*Policy, error) {
	lib.Site = nil
	book := &Runbook{Name: path.Base(name), placeholders: secret.NewPlaceholders()}
	l := &loader{rt: rt, book: book, lib: lib, modules: map[string]*module{}, declared: map[string]string{}}
	l.meter = rt.meter(name)
	defer l.meter.watch()()
	l.book.loader, l.pre = l, rt.predeclaredForPolicy(l)
	globals, err := l.load(name, false)
	if err != nil {
		return nil, located("", Mistake, err)
	}
	p := &Policy{Name: name, Sources: l.book.Sources, loader: l, judges: map[trace.Kind]*starlark.Function{}}
	for _, kind := range []trace.Kind{trace.Op, trace.Effect} {
		fn, ok := globals[string(kind)].(*starlark.Function)
		if !ok {
			continue
		}
		if fn.NumParams() != 1 || fn.HasVarargs() || fn.HasKwargs() {
			return nil, &Error{Class: Mistake, Pos: fn.Position().String(),
				Err: fmt.Errorf("%s takes %s, want one: the event", kind, arguments(fn.NumParams()))}
		}
		p.judges[kind] = fn
	}
	if len(p.judges) == 0 {
		return nil, &Error{Class: Mistake, Pos: name, Err: errors.New("defines neither op(e) nor effect(e)"),
			Advice: "a policy is a function of one of these names that returns None, allow(), deny(REASON) or approval(REASON)"}
	}
	return p, nil
}

// predeclaredForPolicy are the names that a policy has.
func (rt *Runtime) predeclaredForPolicy(l *loader) starlark.StringDict {
	pre := l.limited()
	l.guards(pre)
	for _, b := range slices.Concat(policyBuiltins, rt.builtins) {
		if b.Pure != nil {
			l.add(pre, b)
		}
	}
	return pre
}

// isPolicy reports whether a file is a policy: it has a function op or effect of one parameter, and declares no steps.
func isPolicy(name string, src []byte) bool {
	f, err := dialect.Parse(name, src, 0)
	if err != nil || declaresSteps(f) {
		return false
	}
	return slices.ContainsFunc(f.Stmts, func(stmt syntax.Stmt) bool {
		def, ok := stmt.(*syntax.DefStmt)
		return ok && len(def.Params) == 1 && (def.Name.Name == string(trace.Op) || def.Name.Name == string(trace.Effect))
	})
}

func arguments(n int) string {
	if n == 1 {
		return "one argument"
	}
	return fmt.Sprintf("%d arguments", n)
}

// Judge asks the policy about an event. Other kinds than ops and effects pass. A function that fails, runs without an
// end, or returns something else denies.
func (p *Policy) Judge(e trace.Event) Verdict {
	fn := p.judges[e.Kind]
	if fn == nil {
		return Verdict{}
	}
	v, err := p.call(fn, e)
	if err != nil {
		reason := "the policy could not judge it: " + err.Error()
		if hint := HintOf(err); hint != "" {
			reason += " (" + hint + ")"
		}
		return Verdict{Denied: true, Reason: reason}
	}
	switch v := v.(type) {
	case starlark.NoneType:
		return Verdict{}
	case verdict:
		return v.Verdict
	}
	return Verdict{Denied: true, Reason: fmt.Sprintf("the policy could not judge it: %s returned %s, want None, allow(), "+
		"deny(REASON) or approval(REASON)", fn.Name(), wordFor(v))}
}

func wordFor(v starlark.Value) string {
	if v.Type() == "string" {
		return "a string"
	}
	return "a value of type " + v.Type()
}

func (p *Policy) call(fn *starlark.Function, e trace.Event) (starlark.Value, error) {
	text, err := e.JSON()
	if err != nil {
		return nil, err
	}
	fields, err := starlark.Call(&starlark.Thread{Name: "event"}, json.Module.Members["decode"],
		starlark.Tuple{starlark.String(text)}, nil)
	if err != nil {
		return nil, err
	}
	dict, ok := fields.(*starlark.Dict)
	if !ok {
		return nil, errors.New("internal error: an event is no object")
	}
	dict.Freeze()
	l := p.loader
	l.meter = newMeter(context.Background(), l.meter.giveUp)
	thread := l.meter.step(fn.Name())
	thread.Print = func(*starlark.Thread, string) {} // what it would say is the reason
	defer l.meter.watch()()
	v, err := starlark.Call(thread, fn, starlark.Tuple{judged{e.Kind, dict}}, nil)
	if err != nil {
		return nil, located("", Failed, err)
	}
	return v, nil
}

// judged is an event as a policy sees it: its fields are attributes, None where the event lacks one.
type judged struct {
	kind   trace.Kind
	fields *starlark.Dict
}

var _ starlark.HasAttrs = judged{}

func (j judged) String() string        { return j.fields.String() }
func (j judged) Type() string          { return string(j.kind) }
func (j judged) Freeze()               {}
func (j judged) Truth() starlark.Bool  { return true }
func (j judged) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: %s", j.kind) }
func (j judged) AttrNames() []string   { return j.kind.Keys() }
func (j judged) Attr(name string) (starlark.Value, error) {
	if v, ok, err := j.fields.Get(starlark.String(name)); ok || err != nil {
		return v, err
	}
	keys := j.kind.Keys()
	if slices.Contains(keys, name) {
		return starlark.None, nil
	}
	return nil, Nearest(fmt.Errorf("%s has no .%s", j.kind, name), name, keys)
}

// verdict is a Verdict as a value.
type verdict struct{ Verdict }

func (v verdict) String() string {
	switch {
	case v.Denied:
		return "deny(" + starlark.String(v.Reason).String() + ")"
	case v.Approval:
		return "approval(" + starlark.String(v.Reason).String() + ")"
	}
	return "allow()"
}
func (verdict) Type() string          { return "verdict" }
func (verdict) Freeze()               {}
func (verdict) Truth() starlark.Bool  { return true }
func (verdict) Hash() (uint32, error) { return 0, errors.New("unhashable: verdict") }

var policyBuiltins = []*Builtin{
	{
		Name: "allow", Summary: "in a policy: let the op or effect pass", Example: `pass`,
		Pure: func(*Call) (starlark.Value, error) { return verdict{}, nil },
	},
	{
		Name: "deny", Summary: "in a policy: refuse the op or effect", Example: `pass`, Args: reasonArg("for whoever wanted it"),
		Pure: reasoned(func(reason string) Verdict { return Verdict{Denied: true, Reason: reason} }),
	},
	{
		Name: "approval", Summary: "in a policy: refuse the op or effect unless the run follows an approved plan", Example: `pass`,
		Args: reasonArg("what the approver has to look at"),
		Pure: reasoned(func(reason string) Verdict { return Verdict{Approval: true, Reason: reason} }),
	},
}

func reasonArg(help string) []Arg { return []Arg{arg("reason", "string", "", help)} }

func reasoned(judge func(reason string) Verdict) func(*Call) (starlark.Value, error) {
	return func(c *Call) (starlark.Value, error) {
		var reason string
		if err := c.Unpack("reason", &reason); err != nil {
			return nil, err
		}
		if strings.TrimSpace(reason) == "" {
			return nil, errors.New("reason: got an empty one")
		}
		return verdict{judge(reason)}, nil
	}
}
