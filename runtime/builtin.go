package runtime

import (
	"go.starlark.net/starlark"

	"runbook/runtime/host"
)

// A Builtin is a function that runbooks can call inside a step. Exactly one of
// New, Read and Pure is set.
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
	// Read answers a call that changes nothing.
	Read func(*Call, host.Reader) (starlark.Value, error)
	// Pure answers a call that touches no host; it may be called while loading.
	Pure func(*Call) (starlark.Value, error)

	// declare answers the runtime's own builtins: var, step, require and so on.
	declare func(*loader, *starlark.Thread, *Call) (starlark.Value, error)
}

// An Arg is a parameter of a builtin.
type Arg struct {
	Name    string
	Type    string // for people: "string", "list of string", "int", "bool", "path", "dict"
	Default string // as written in a script; "" means required
	Help    string // what it means, its unit, its limits
}
