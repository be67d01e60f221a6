// Package runtime loads runbooks and runs them against a host.
//
// A runbook is a Starlark file. [Runtime.Load] executes its top level, which
// declares vars, secrets and steps and touches nothing. [Run.Do] calls the
// steps in order; inside a step, builtins act at once. One adapter turns calls
// into ops, and one function checks an op, applies what differs and tells the
// trace about it.
//
// Two things to know: a dry run is the same run on another [host.Host]; and
// every effect passes a door that writes it down first and alone knows secrets.
//
// Package cmd/runbook and other programs call it; package builtins fills it.
package runtime

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// A Runtime knows the builtins that runbooks can call.
type Runtime struct{ builtins []*Builtin }

// New returns a Runtime with the given builtins and those that belong to every
// run: var, secret, step, manual, require, confirm and log.
// Two builtins of one name are a mistake of the program: New panics.
func New(builtins ...*Builtin) *Runtime {
	rt := &Runtime{slices.Concat(own(), builtins)}
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

// Builtin returns the builtin called name, or an error with the nearest name.
func (rt *Runtime) Builtin(name string) (*Builtin, error) {
	var names []string
	for _, b := range rt.builtins {
		if b.Name == name {
			return b, nil
		}
		names = append(names, b.Name)
	}
	return nil, withNearest(fmt.Errorf("no builtin %q", name), name, names)
}

// predeclared returns what a file sees besides Starlark's own names.
func (rt *Runtime) predeclared(l *loader) starlark.StringDict {
	pre := starlark.StringDict{guardName: starlark.NewBuiltin("compare", l.compare)}
	for _, b := range rt.builtins {
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
	return pre
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
	if n.loader.run == nil {
		return nil, notWhileLoading(n.name + "." + name)
	}
	return starlark.Call(n.loader.run.thread, fn, nil, nil)
}

// CallInternal calls the builtin of the same name.
func (n *namespace) CallInternal(t *starlark.Thread, args starlark.Tuple,
	kwargs []starlark.Tuple) (starlark.Value, error) {
	if n.call == nil {
		return nil, Hint(fmt.Errorf("%s is no function", n.name), "its functions are: "+strings.Join(n.AttrNames(), ", "))
	}
	return starlark.Call(t, n.call, args, kwargs)
}
