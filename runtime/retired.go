package runtime

import (
	"errors"
	"fmt"
	"slices"

	"go.starlark.net/starlark"

	"runbook/runtime/nearest"
)

// A Retired is a name that a runbook once had for a var, a secret or a step.
type Retired struct {
	Name    string
	Version string // in which it went
	Instead string // what there is in its place; "" if nothing
	Pos     string
}

var retiredBuiltin = &Builtin{
	Name:    "retired",
	Summary: "say which var, secret or step a runbook had once, for sites that still name it",
	Detail: []string{
		"Whoever names it, in --var, a vars file, runbook.star or --step, is told when it went and what there is instead.",
	},
	Args: []Arg{
		arg("name", "string", "", "what it was called"),
		arg("version", "string", "", "of the runbook, in which it went"),
		arg("instead", "string", `""`, "name of the var, secret or step in its place"),
	},
	Example: `pass`, declare: declareRetired,
}

func declareRetired(l *loader, _ *starlark.Thread, c *Call) (starlark.Value, error) {
	r := Retired{Pos: c.pos()}
	if err := c.Unpack("name", &r.Name, "version", &r.Version, "instead", &r.Instead); err != nil {
		return nil, err
	}
	if r.Name == "" || r.Version == "" {
		return nil, errors.New("retired: name and version must not be empty")
	}
	if err := l.first("retired "+r.Name, r.Pos); err != nil {
		return nil, err
	}
	l.book.Retired = append(l.book.Retired, r)
	return starlark.None, nil
}

// checkRetired refuses a retired name that is still there, and a successor that is not.
func (l *loader) checkRetired() error {
	var wrong Errors
	names := slices.Concat(l.varNames(), l.stepNames())
	for _, r := range l.book.Retired {
		switch {
		case slices.Contains(names, r.Name):
			wrong = append(wrong, &Error{Class: Mistake, Pos: r.Pos, Err: fmt.Errorf("retired: %s is still there", r.Name),
				Advice: "delete this line, or what it names"})
		case r.Instead != "" && !slices.Contains(names, r.Instead):
			err := Nearest(fmt.Errorf("retired: no var, secret or step %q", r.Instead), r.Instead, names)
			wrong = append(wrong, &Error{Class: Mistake, Pos: r.Pos, Err: err})
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

// Lacks returns the error about a name that no var or step of the runbook has; what is which of them. names are those
// that there are. all is the advice where none of them is near.
func (b *Runbook) Lacks(what, name string, names []string, all string) error {
	message := fmt.Sprintf("no %s %q", what, name)
	for _, r := range b.Retired {
		if r.Name != name {
			continue
		}
		message += ": it went in version " + r.Version
		if r.Instead != "" {
			return Hint(errors.New(message), fmt.Sprintf("use %q", r.Instead))
		}
		return Hint(errors.New(message), "nothing takes its place: leave it out")
	}
	if near := nearest.Of(name, names); near != "" {
		return Hint(errors.New(message), fmt.Sprintf("did you mean %q?", near))
	}
	return Hint(errors.New(message), all)
}
