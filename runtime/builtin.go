package runtime

import (
	"go.starlark.net/starlark"

	"runbook/runtime/host"
)

// A Builtin is a function that runbooks can call inside a step. Exactly one of
// New, Read, Pure and Test is set.
type Builtin struct {
	Name    string // may have one dot: "conda.install"
	Args    []Arg  // in order
	Summary string // completes the sentence "NAME will ..."
	Detail  []string
	Example string // a step body; the tests run it against an overlay

	// Positional is how many of Args may be given without their names; 0 means all.
	Positional int
	// Secrets names those of Args that may hold secrets. In others, such as paths and
	// names, a secret is refused: they are shown.
	Secrets []string
	// RunsAs adds user=, the account that runs the commands.
	RunsAs bool
	// Property makes it a value without parentheses: host.os. It has Read and no Args.
	Property bool

	// New turns a call into an op and names the target for the trace.
	// The runtime adds timeout=, retries= and delay= to such builtins.
	New func(*Call) (op Op, target string, err error)
	// Private says that what Read answers may be somebody's secret: a trace has its size and digest only.
	Private bool
	// Read answers a call that changes nothing.
	Read func(*Call, host.Reader) (starlark.Value, error)
	// Pure answers a call that touches no host; it may be called while loading.
	Pure func(*Call) (starlark.Value, error)
	// Test answers a call in a file of tests; other files do not see such a builtin. See LoadSuite.
	Test func(*Call) (starlark.Value, error)

	// declare answers the runtime's own builtins: var, step, require and so on.
	declare  func(*loader, *starlark.Thread, *Call) (starlark.Value, error)
	site     bool // for a site's own file only
	anytime  bool // unlike other declarations it may be called in a step, too
	anyNames bool // besides Args it takes any argument by name
}

// An Arg is a parameter of a builtin.
type Arg struct {
	Name    string
	Type    string // for people: "string", "list of string", "int", "bool", "path", "dict"
	Default string // as written in a script; "" means required
	Help    string // what it means, its unit, its limits
	// Choices are the only texts that it, or each element of a list, may be; Unpack refuses others. Empty: any.
	Choices []string
}

func arg(name, typ, def, help string) Arg {
	return Arg{Name: name, Type: typ, Default: def, Help: help}
}

// OneOf returns a with the only texts that it may be.
func (a Arg) OneOf(words ...string) Arg {
	a.Choices = words
	return a
}

// Kind is what a call of b is: an "op" looks first and changes what differs, a "read" only looks, what is "pure"
// touches no host and may be called while loading, "declare" says what the runbook consists of, and a "test" is for
// files of tests.
func (b *Builtin) Kind() string {
	switch {
	case b.New != nil:
		return "op"
	case b.Read != nil || b == requireBuiltin:
		return "read"
	case b.Pure != nil || b.anytime:
		return "pure"
	case b.Test != nil:
		return "test"
	}
	return "declare"
}

// ForSite reports whether only a site's own file can call b.
func (b *Builtin) ForSite() bool { return b.site }

// TakesAnyName reports whether b takes, besides Args, arguments of any name.
func (b *Builtin) TakesAnyName() bool { return b.anyNames }

// MayBePositional is how many of Params may be given without their names.
func (b *Builtin) MayBePositional() int { return b.positional() }

// Types of arguments: those that also take what here() returns, and names with values.
const (
	PathOrHere = "path or here()"
	TextOrHere = "string or here()"
	DataOrHere = "string, bytes or here()"
	Values     = "dict of values" // of which Check hands on the names, whatever the values are
)

// isPath reports whether an argument is the name of one file of the machine.
func (a Arg) isPath() bool { return a.Type == "path" || a.Type == PathOrHere }
