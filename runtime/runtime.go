// Package runtime loads runbooks and runs them against a host.
//
// A runbook is a Starlark file. [Runtime.Load] executes its top level, which
// declares vars, secrets and steps and touches nothing. [Run.Do] calls the
// steps in order; inside a step, builtins act at once. One adapter turns calls
// into ops, and one function checks an op, does what differs and emits events.
//
// Two things to know: a dry run is the same run on another [host.Host], chosen by
// [Predicted] in the place of [OnMachine]; and every effect passes a door that
// emits it first.
//
// Package cmd/runbook and other programs call it; package builtins fills it.
//
// # Glossary
//
// These words have one meaning in the whole project.
//
//	action       a change and the deed that makes it
//	assume       go on with a guess and list it in the trace
//	builtin      a function that runbooks call
//	call         one call of a builtin
//	change       one line of a diff: what, from, to
//	check        read and compare, without changing anything
//	content      what a file holds, opened only when somebody reads it
//	deed         the function that makes a change
//	door         the host that emits effects before it lets them happen
//	effect       one change to a machine, declared as data
//	emit         hand an event to a sink
//	entry        one file of a manifest
//	fact         something known about a host that is not a file
//	host         what can be read and changed: a machine, or a prediction of one
//	kind         a kind of facts, with the probe that asks for them
//	manifest     the entries that will lie below a directory
//	marker       a small file in the state directory that remembers
//	mask         put a placeholder in the place of a secret
//	note         a line for people in the trace
//	observe      record what is known only afterwards
//	op           one thing that a runbook wants to be true
//	overlay      the copy-on-write host of a dry run
//	owner        a user and a group
//	placeholder  the text that stands for a secret
//	predicted    of an overlay: not done
//	probe        a question to the machine
//	prompt       where statements are typed
//	resolve      put a secret in the place of its placeholder, or what a name stands for in its place
//	settle       wait until what was declared holds
//	show         write a text as people and traces see it, without secrets
//	simulated    of a machine: it is data, and reads nothing of this one
//	sink         what takes events
//	step         a named function of a runbook
//	suite        a file of tests
//	unknown      what only a real run could know
//	vault        the secrets of a run
package runtime

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"runbook/runtime/host"
)

// A Runtime knows the builtins that runbooks can call.
type Runtime struct {
	// GiveUp, if not nil, is called when a file that is loaded uses too much memory or time and cannot be stopped. Load
	// does not return then: the program must end.
	GiveUp   func(error)
	builtins []*Builtin
	digests  host.Digests // of files beside runbooks
}

// New returns a Runtime with the given builtins and those that belong to every
// run: var, secret, step, manual, require, confirm, log and here.
// Two builtins of one name are a mistake of the program: New panics.
func New(builtins ...*Builtin) *Runtime {
	rt := &Runtime{builtins: slices.Concat(coreBuiltins(), siteBuiltins, builtins)}
	seen := map[string]bool{}
	for _, b := range rt.builtins {
		if seen[b.Name] {
			panic("runtime: two builtins are called " + b.Name)
		}
		seen[b.Name] = true
	}
	return rt
}

// Builtins returns all builtins in the order in which they are documented.
func (rt *Runtime) Builtins() []*Builtin { return rt.builtins }

// Universe returns the names that Starlark itself has.
func (rt *Runtime) Universe() []string { return starlark.Universe.Keys() }

// Builtin returns the builtin called name, or an error with the nearest name.
func (rt *Runtime) Builtin(name string) (*Builtin, error) {
	var names []string
	for _, b := range rt.builtins {
		if b.Name == name {
			return b, nil
		}
		names = append(names, b.Name)
	}
	return nil, Nearest(fmt.Errorf("no builtin %q", name), name, names)
}

// predeclared returns what a file sees besides Starlark's own names.
func (rt *Runtime) predeclared(l *loader) starlark.StringDict {
	pre := l.limited()
	l.guards(pre)
	for _, b := range rt.builtins {
		if !b.site {
			l.add(pre, b)
		}
	}
	return pre
}

// add makes b one of the names that a file sees.
func (l *loader) add(pre starlark.StringDict, b *Builtin) {
	fn := starlark.NewBuiltin(b.Name, l.adapt(b))
	space, member, dotted := strings.Cut(b.Name, ".")
	old, _ := pre[space].(*namespace)
	switch {
	case !dotted && old != nil:
		old.call = fn
	case !dotted:
		pre[b.Name] = fn
	case old == nil:
		old = &namespace{name: space, members: map[string]*starlark.Builtin{}, property: map[string]bool{}, loader: l}
		old.call, _ = pre[space].(*starlark.Builtin)
		pre[space] = old
		fallthrough
	default:
		old.members[member], old.property[member] = fn, b.Property
	}
}

// predeclaredForSite returns what a site's file sees: besides the rest, what tweaks a runbook.
func (rt *Runtime) predeclaredForSite(l *loader) starlark.StringDict {
	pre := maps.Clone(l.pre)
	for _, b := range rt.builtins {
		if b.site {
			pre[b.Name] = starlark.NewBuiltin(b.Name, l.adapt(b))
		}
	}
	for _, name := range []string{"step", "manual"} {
		pre[name] = starlark.NewBuiltin(name, notInSite)
	}
	pre["vars"], pre["here"] = siteVars{l}, starlark.NewBuiltin("here", l.adapt(hereOf(l.lib.Site != nil)))
	return pre
}

func notInSite(_ *starlark.Thread, b *starlark.Builtin, _ starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return nil, Hint(fmt.Errorf("%s: a site's file declares no steps by itself", b.Name()),
		"say where the step belongs: after(\"STEP\", fn) or before(\"STEP\", fn)")
}

// A namespace is what stands before the dot of "conda.install". It may be
// called itself, as iptables can beside iptables.save.
type namespace struct {
	name     string
	call     *starlark.Builtin // or nil
	members  map[string]*starlark.Builtin
	property map[string]bool
	loader   *loader
}

var (
	_ starlark.HasAttrs = (*namespace)(nil)
	_ starlark.Callable = (*namespace)(nil)
)

func (n *namespace) String() string        { return "<" + n.name + ">" }
func (n *namespace) Type() string          { return "module" }
func (n *namespace) Freeze()               {}
func (n *namespace) Truth() starlark.Bool  { return true }
func (n *namespace) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: %s", n.name) }
func (n *namespace) Name() string          { return n.name }
func (n *namespace) AttrNames() []string   { return slices.Sorted(maps.Keys(n.members)) }

// Attr returns a builtin, or the value of a property at this moment of the run.
func (n *namespace) Attr(name string) (starlark.Value, error) {
	fn, ok := n.members[name]
	if !ok {
		return nil, nil
	}
	if !n.property[name] {
		return fn, nil
	}
	if n.loader.suite != nil {
		return nil, n.loader.suite.refuse(n.name + "." + name)
	}
	if n.loader.run == nil {
		return nil, propertyWhileLoading(n.name + "." + name)
	}
	return starlark.Call(n.loader.run.thread, fn, nil, nil)
}

// CallInternal calls the builtin of the same name.
func (n *namespace) CallInternal(t *starlark.Thread, args starlark.Tuple,
	kwargs []starlark.Tuple) (starlark.Value, error) {
	if n.call == nil {
		return nil, Hint(fmt.Errorf("%s is not a function", n.name), "its functions are: "+strings.Join(n.AttrNames(), ", "))
	}
	return starlark.Call(t, n.call, args, kwargs)
}
