package runtime

import (
	"errors"
	"fmt"

	"go.starlark.net/starlark"

	"runbook/runtime/host"
)

// A result is what a changing builtin returns. As a condition it would be
// ambiguous (did it change, did it succeed?), so that is an error.
type result struct {
	run     *Run
	op      string
	changed bool
	last    *host.Result // of the last command, nil if there was none
}

var _ starlark.HasAttrs = (*result)(nil)

func (r *result) String() string        { return "<result of " + r.op + ">" }
func (r *result) Type() string          { return "result" }
func (r *result) Freeze()               {}
func (r *result) Hash() (uint32, error) { return 0, errors.New("unhashable: result") }
func (r *result) AttrNames() []string   { return []string{"changed", "code", "stderr", "stdout"} }

// Attr fails where a dry run cannot know the answer.
func (r *result) Attr(name string) (starlark.Value, error) {
	switch name {
	case "changed":
		return starlark.Bool(r.changed), nil
	case "code", "stdout", "stderr":
	default:
		return nil, nil
	}
	switch {
	case r.last == nil && name == "code":
		return starlark.MakeInt(0), nil
	case r.last == nil:
		return starlark.String(""), nil
	case r.last.Unknown:
		return nil, Hint(fmt.Errorf("%s: .%s is unknown in a dry run, which does not run the command", r.op, name),
			"read with query(...), which runs in a dry run too, or state what may be assumed with its assume=")
	case name == "code":
		return starlark.MakeInt(r.last.Code), nil
	case name == "stdout":
		return starlark.String(r.last.Stdout), nil
	}
	return starlark.String(r.last.Stderr), nil
}

// Truth cannot fail, so it stops the thread that runs now: not the one that
// made the result, which may have been an earlier step's.
func (r *result) Truth() starlark.Bool {
	r.run.misuse = r.misuse()
	r.run.thread.Cancel(r.run.misuse.Error())
	return false
}

func (r *result) misuse() error {
	return ruled("result-as-value",
		Hint(errors.New("a result is no condition and no value"), "write .changed, .code or .stdout after it"))
}
