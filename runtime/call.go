package runtime

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"runbook/runtime/secret"
)

// A Call is one call of a builtin from a runbook.
type Call struct {
	Builtin *Builtin

	given        map[string]starlark.Value // by name, without None
	user         string
	placeholders *secret.Placeholders
	run          *Run    // nil while loading
	at           string  // position of the call
	sketch       *sketch // if nothing is run: see Checker

	thread *starlark.Thread // of a test
	suite  *Suite           // nil in a runbook
}

// Literal reports whether only the text of a runbook is looked at, to find mistakes.
func (c *Call) Literal() bool { return c.sketch != nil }

// The parameters that the runtime adds to builtins that change something.
var common = []Arg{
	arg("timeout", "duration", "0", "end it after this many seconds, or \"10m\"; 0 means never"),
	arg("retries", "int", "0", "how often to try again after a failure"),
	arg("delay", "duration", "5", "seconds between tries"),
}

var userArg = arg("user", "string", "the step's", "account that runs the command")

// Params returns all parameters of b, with those that the runtime adds.
func (b *Builtin) Params() []Arg {
	args := slices.Clone(b.Args)
	if b.RunsAs {
		args = append(args, userArg)
	}
	for _, a := range common {
		if b.New != nil && !b.has(a.Name) {
			args = append(args, a)
		}
	}
	return args
}

// has reports whether a parameter of the builtin itself is called name.
func (b *Builtin) has(name string) bool {
	return slices.ContainsFunc(b.Args, func(a Arg) bool { return a.Name == name })
}

// param returns the parameter called name.
func (b *Builtin) param(name string) Arg {
	params := b.Params()
	return params[slices.IndexFunc(params, func(a Arg) bool { return a.Name == name })]
}

// bind matches the arguments of a call with b's parameters. Those that are there are returned also if others are
// missing.
func (b *Builtin) bind(args starlark.Tuple, kwargs []starlark.Tuple) (map[string]starlark.Value, error) {
	params := b.Params()
	if most := b.positional(); len(args) > most {
		err := fmt.Errorf("%s: got %d arguments without a name, want at most %d", b.Name, len(args), most)
		if most < len(params) {
			err = Hint(err, "name the others: "+strings.Join(argNames(params[most:]), "=, ")+"=")
		} else {
			err = Hint(err, "it is "+b.Name+"("+strings.Join(argNames(params), ", ")+")")
		}
		return nil, ruled("surplus-argument", err)
	}
	given := map[string]starlark.Value{}
	for i, a := range args {
		given[params[i].Name] = a
	}
	for _, kw := range kwargs {
		name := string(kw[0].(starlark.String))
		if !b.anyNames && !slices.ContainsFunc(params, func(a Arg) bool { return a.Name == name }) {
			return nil, ruled("unknown-argument",
				b.unknownArgument(name))
		}
		if _, dup := given[name]; dup {
			return nil, ruled("repeated-argument", Hint(fmt.Errorf("%s: two values for %q", b.Name, name),
				"it is given by its place and by its name: leave one of the two out"))
		}
		given[name] = kw[1]
	}
	var missing []string
	for _, p := range params {
		v, ok := given[p.Name]
		switch {
		case v == starlark.None && p.Default == "":
			return nil, b.noValue(p)
		case v == starlark.None:
			delete(given, p.Name)
		case !ok && p.Default == "":
			missing = append(missing, strconv.Quote(p.Name))
		}
	}
	return given, b.missing(missing)
}

// unknownArgument is the error about the name of an argument that b does not have.
func (b *Builtin) unknownArgument(name string) error {
	return noArgument(b.Name, name, argNames(b.Params()))
}

// noArgument is the error about an argument called name, which what is called does not have among names.
func noArgument(called, name string, names []string) error {
	err := Nearest(fmt.Errorf("%s: no argument %q", called, name), name, names)
	switch {
	case HintOf(err) != "":
		return err
	case len(names) == 0:
		return Hint(err, "it takes none")
	}
	return Hint(err, "it takes: "+strings.Join(names, ", "))
}

// missing is the error about arguments that must be given.
func (b *Builtin) missing(names []string) error {
	if len(names) == 0 {
		return nil
	}
	err := fmt.Errorf("%s: argument %s is missing", b.Name, names[0])
	if len(names) > 1 {
		err = fmt.Errorf("%s: arguments %s are missing", b.Name, strings.Join(names, ", "))
	}
	return ruled("missing-argument", Hint(err, "see: runbook builtins "+b.Name))
}

// noValue is the error about None for an argument that must be given.
func (b *Builtin) noValue(p Arg) error {
	err := fmt.Errorf("%s: argument %q is None, want a value", b.Name, p.Name)
	if p.Type == "function" {
		return Hint(err, "give the function itself: "+b.Name+"(install), not "+b.Name+"(install())")
	}
	return Hint(err, "a function without return gives None; see: runbook builtins "+b.Name)
}

// positional is how many arguments may be given without their names.
func (b *Builtin) positional() int {
	if b.Positional > 0 {
		return b.Positional
	}
	return len(b.Args)
}

func argNames(args []Arg) []string {
	names := make([]string, len(args))
	for i, a := range args {
		names[i] = a.Name
	}
	return names
}

// Unpack stores the call's arguments in variables: pairs are the name of each of
// Builtin.Args and a pointer to its variable. One that was not given leaves its
// variable as it is; None counts as not given. Pointers may be to string, bool,
// int, int64, fs.FileMode, Path, time.Duration (seconds, or text such as "10m"),
// []string (a list, or one string), []Path, []int, map[string]string,
// starlark.Value or a type that is a starlark.Unpacker.
// A name that Args lacks, or one of Args that is missing, is a fault of the
// builtin: Unpack panics.
func (c *Call) Unpack(pairs ...any) error {
	params := argNames(c.Builtin.Args)
	if len(pairs) != 2*len(params) {
		panic(fmt.Sprintf("%s: %d arguments declared, %d unpacked", c.Builtin.Name, len(params), len(pairs)/2))
	}
	for i := 0; i < len(pairs); i += 2 {
		name := pairs[i].(string)
		at := slices.Index(params, name)
		if at < 0 {
			panic(fmt.Sprintf("%s: argument %q is not declared, or unpacked twice", c.Builtin.Name, name))
		}
		params = slices.Delete(params, at, at+1)
		err := c.unpack(name, pairs[i+1])
		if c.sketch != nil {
			c.sketch.settle(name, err)
		} else if err != nil {
			return err
		}
	}
	if c.sketch != nil && (c.sketch.unknown || c.Builtin.New == nil || len(c.sketch.found) > 0) {
		return errSketched
	}
	return nil
}

func (c *Call) unpack(name string, v any) (err error) {
	given, ok := c.given[name]
	if !ok {
		return nil
	}
	if err := c.refuseSecret(name, given); err != nil {
		return err
	}
	param := c.Builtin.param(name)
	if c.sketch != nil {
		given, err = c.sketch.look(param, given)
	}
	if err == nil && given != nil {
		err = convert(given, v)
	}
	if err == nil && given != nil && len(param.Choices) > 0 {
		err = choose(given, param.Choices)
	}
	if env, ok := v.(*map[string]string); ok && err == nil && name == "env" {
		err = checkEnv(*env)
	}
	return c.named(name, err)
}

// named returns err as one about the argument called name.
func (c *Call) named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: argument %q: %w", c.Builtin.Name, name, err)
}

// checkEnv returns an error if a name is one that an environment cannot hold. What
// else a name may be, only shells mind.
func checkEnv(env map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("got the name %q, want one without =", name)
		}
	}
	return nil
}

// refuseSecret returns an error if a secret is in an argument that must not hold one.
func (c *Call) refuseSecret(name string, v starlark.Value) error {
	if d, ok := v.(*starlark.Dict); ok && c.Builtin.Pure == nil && holdsSecret(c.placeholders, starlark.Tuple(d.Keys())) {
		return ruled("secret-shown", Hint(fmt.Errorf("%s: argument %q: got a secret as the name of a value",
			c.Builtin.Name, name), "put it into the value"))
	}
	if slices.Contains(c.Builtin.Secrets, name) || !holdsSecret(c.placeholders, v) {
		return nil
	}
	hint := c.Builtin.Name + " takes secrets nowhere: they go into what commands read, and into what files hold"
	if len(c.Builtin.Secrets) > 0 {
		hint = c.Builtin.Name + " takes secrets in " + strings.Join(c.Builtin.Secrets, ", ")
	}
	return ruled("secret-shown",
		Hint(fmt.Errorf("%s: argument %q: got a secret, which everybody would see", c.Builtin.Name, name), hint))
}

// User is the account that runs the commands of this call: user= or the step's.
func (c *Call) User() string { return c.user }

// StateDir is where markers lie.
func (c *Call) StateDir() string { return c.run.State }

// Context is the context of the run, for builtins that only read.
func (c *Call) Context() context.Context { return c.run.ctx }

// paths returns the files that were given, but for programs.
func (c *Call) paths() (paths []string) {
	for _, a := range c.Builtin.Args {
		if v, ok := c.given[a.Name]; ok && a.isPath() {
			if p, err := absolute(v); err == nil {
				paths = append(paths, string(p))
			}
		}
	}
	return paths
}

// args returns what was given, for the trace.
func (c *Call) args() map[string]any {
	args := map[string]any{}
	for name, v := range c.given {
		args[name] = plainValue(v)
	}
	return args
}
