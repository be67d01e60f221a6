package runtime

import (
	"fmt"
	"strings"
	"unicode"

	"go.starlark.net/starlark"
)

// A Step is a named function of a runbook, or what a person must do.
type Step struct {
	Name  string
	Title string
	Doc   string // its manual text
	User  string // account that its commands run as and that owns what it makes
	Tags  []string
	// Controls are what it is evidence for, such as CM-3 of NIST SP 800-53.
	Controls []string
	// When is "" for a step that always runs, "no" for one that never does, and
	// "function" for one that a function decides about during the run.
	When   string
	Manual bool
	Pos    string
	Site   string // what the site's file has done with it, and where; "" if nothing

	depends []string          // vars of its condition
	because string            // what they are, in a run
	skipped string            // why the site leaves it out
	beside  string            // of a step that the site adds: "after mongodb"
	fn      starlark.Callable // of a manual step: done=, or nil
	when    starlark.Callable
}

func declareStep(l *loader, _ *starlark.Thread, c *Call) (starlark.Value, error) {
	var s Step
	var fn, when starlark.Value
	if err := c.Unpack("fn", &fn, "name", &s.Name, "title", &s.Title, "user", &s.User, "when", &when,
		"tags", &s.Tags, "controls", &s.Controls); err != nil {
		return nil, err
	}
	f, err := stepFunction("step", fn, 0)
	if err != nil {
		return nil, err
	}
	if s.Name == "" {
		s.Name = f.Name()
	}
	s.fn, s.Doc, s.Pos = f, dedent(f.Doc()), f.Position().String()
	return starlark.None, l.addStep(s, when, c.pos())
}

func declareManual(l *loader, _ *starlark.Thread, c *Call) (starlark.Value, error) {
	s := Step{Manual: true, Pos: c.pos()}
	var done, when starlark.Value
	if err := c.Unpack("name", &s.Name, "text", &s.Doc, "done", &done, "when", &when); err != nil {
		return nil, err
	}
	s.Doc = dedent(s.Doc)
	if done != nil {
		f, ok := done.(starlark.Callable)
		if !ok {
			return nil, fmt.Errorf("manual %s: done: got %s, want a function", s.Name, done.Type())
		}
		s.fn = f
	}
	return starlark.None, l.addStep(s, when, c.pos())
}

func (l *loader) addStep(s Step, when starlark.Value, pos string) error {
	if err := checkName("step", s.Name); err != nil {
		return err
	}
	for _, tag := range s.Tags {
		if err := checkName("tag", tag); err != nil {
			return fmt.Errorf("step %s: %w", s.Name, err)
		}
	}
	for _, control := range s.Controls {
		if err := checkName("control", control); err != nil {
			return fmt.Errorf("step %s: %w", s.Name, err)
		}
		if strings.ContainsFunc(control, unicode.IsSpace) {
			return Hint(fmt.Errorf("step %s: control: got %q, want one name in each text", s.Name, control),
				`write controls = ["CM-3", "AC-2"]`)
		}
	}
	if err := l.first("step "+s.Name, pos); err != nil {
		return err
	}
	builtin := map[bool]string{true: "manual", false: "step"}[s.Manual]
	switch w := when.(type) {
	case nil:
	case starlark.Bool:
		if !w {
			s.When = "no"
		}
	case starlark.Callable:
		s.When, s.when = "function", w
	default:
		return fmt.Errorf("%s: argument \"when\": %w", builtin, wantType(when, "a bool or a function"))
	}
	for _, r := range l.reasons {
		s.depends = append(s.depends, r.of(pos)...)
	}
	l.book.Steps = append(l.book.Steps, s)
	return nil
}

// unmet says that the condition of a step does not hold, which function said so, and what the vars are that decide it.
func (s Step) unmet(function string) string {
	why := "its condition does not hold"
	for _, reason := range []string{function, s.because} {
		if reason != "" {
			why += ": " + reason
		}
	}
	return why
}

// first returns an error if what has a name, such as a step, was declared before.
func (l *loader) first(what, pos string) error {
	if at, twice := l.declared[what]; twice {
		return ruled("declared-twice", Hint(fmt.Errorf("%s: declared twice, first at %s", what, at),
			"give one of them another name, or delete it"))
	}
	l.declared[what] = pos
	return nil
}

// dedent drops the white space that all lines of a docstring but the first share.
func dedent(doc string) string {
	lines := strings.Split(strings.TrimSpace(doc), "\n")
	indent := -1
	for _, s := range lines[1:] {
		if t := strings.TrimLeft(s, " \t"); t != "" && (indent < 0 || len(s)-len(t) < indent) {
			indent = len(s) - len(t)
		}
	}
	for i, s := range lines[1:] {
		lines[i+1] = strings.TrimRight(s[min(len(s), max(indent, 0)):], " \t")
	}
	return strings.Join(lines, "\n")
}
