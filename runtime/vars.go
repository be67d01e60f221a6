package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
)

// ErrMissing is what Load's error wraps for each required var without a value.
var ErrMissing = errors.New("missing")

// Inputs is what a person gave for the vars of a runbook.
type Inputs struct {
	Flags map[string]string // --var; goes before the others
	Env   map[string]string // of RUNBOOK_VAR_NAME, by NAME in the var's own spelling
	Files map[string]any    // --vars
	Dir   string            // what relative paths are relative to
	First Source            // a file that is read before the runbook, so that its steps come first; none if it is empty

	site    map[string]any // defaults() of the site's file
	siteDir string         // what relative paths among these are relative to
}

// A Source is a file that is not in a library.
type Source struct{ Name, Text string }

// A Var is a value that the person running a runbook may set.
type Var struct {
	Name     string
	Type     string // string, bool, int, path or list
	Default  any    // nil if it is required
	Help     string
	Choices  []string
	Pattern  string // regular expression that the whole value must match
	Value    any    // string, bool, int64 or []string
	From     string // flag, environment, file, site or default
	Required bool
}

var names = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func declareVar(l *loader, _ *starlark.Thread, c *Call) (starlark.Value, error) {
	v, def, err := unpackVar(c)
	if err != nil {
		return nil, err
	}
	if err := l.first("var "+v.Name, c.pos()); err != nil {
		return nil, err
	}
	if err := v.declare(def); err != nil {
		return nil, fmt.Errorf("var %s: %w", v.Name, err)
	}
	if err := v.take(l.in); err != nil {
		l.wrong = append(l.wrong, l.wrongVar(v, err, c.pos()))
		v.Value = cmp.Or[any](v.Default, zero(v.Type))
	}
	l.book.Vars = append(l.book.Vars, v)
	return v.starlark(), nil
}

// wrongVar is the error about the value of a var, where it was given if a file of the site gave it.
func (l *loader) wrongVar(v Var, err error, pos string) *Error {
	e := &Error{Class: Input, Pos: pos, Err: fmt.Errorf("var %s: %w", v.Name, err), Advice: v.hint()}
	if v.From == "site" {
		for _, t := range l.tweaks {
			if t.Kind == "default" && t.Name == v.Name {
				e.Pos, e.Advice = t.Pos, cmp.Or(HintOf(err), v.Help)
			}
		}
	}
	return e
}

func unpackVar(c *Call) (v Var, def starlark.Value, err error) {
	err = c.Unpack("name", &v.Name, "default", &def, "help", &v.Help, "type", &v.Type, "choices", &v.Choices,
		"pattern", &v.Pattern)
	if err == nil || errors.Is(err, errSketched) {
		err = cmp.Or(checkVarName("var", v.Name), err)
	}
	return v, def, err
}

func checkVarName(kind, name string) error {
	if names.MatchString(name) {
		return nil
	}
	err := fmt.Errorf("%s: got name %q, want letters, digits and _", kind, name)
	if near := strings.Map(nameRune, name); names.MatchString(near) {
		return Hint(err, fmt.Sprintf("write %q", near))
	}
	return Hint(err, `it begins with a letter, such as "data_dir"`)
}

func nameRune(r rune) rune {
	if r < 0x80 && names.MatchString("_"+string(r)) {
		return r
	}
	return '_'
}

// looksRight returns what is wrong with the var that a call declares, of which nothing is run.
func (c *Call) looksRight() error {
	v, def, err := unpackVar(c)
	if !errors.Is(err, errSketched) || c.sketch.unknown {
		return err
	}
	if err := v.declare(def); err != nil {
		return fmt.Errorf("var %s: %w", v.Name, err)
	}
	if v.Value = v.Default; v.Value == nil {
		return nil
	}
	if err := v.allowed(); err != nil {
		return Hint(fmt.Errorf("var %s: default: %w", v.Name, err), "a default must be a value that a person may give")
	}
	return nil
}

// declare settles v's type and default.
func (v *Var) declare(def starlark.Value) (err error) {
	if _, err := wholePattern(v.Pattern); err != nil {
		return err
	}
	if def == nil {
		v.Required, v.Type = true, cmp.Or(v.Type, "string")
	} else {
		v.Default = plainValue(def)
		v.Type = cmp.Or(v.Type, typeOf(v.Default))
	}
	if def != nil {
		v.Default, err = v.parse(v.Default, "")
	}
	return err
}

func typeOf(v any) string {
	switch v.(type) {
	case bool:
		return "bool"
	case int64:
		return "int"
	case []any:
		return "list"
	}
	return "string"
}

var varTypes = []string{"string", "bool", "int", "path", "list"}

// zero is what a missing var counts as while loading goes on.
func zero(typ string) any {
	switch typ {
	case "string":
		return ""
	case "path":
		return "/"
	case "bool":
		return false
	case "int":
		return int64(0)
	case "list":
		return []string{}
	}
	return nil
}

// take finds v's value: a flag goes before the environment, that before a file.
func (v *Var) take(in Inputs) (err error) {
	given, from := v.Default, "default"
	if s, ok := in.Flags[v.Name]; ok {
		given, from = s, "flag"
	} else if s, ok := in.Env[v.Name]; ok {
		given, from = s, "environment"
	} else if x, ok := in.Files[v.Name]; ok {
		given, from = x, "file"
	} else if x, ok := in.site[v.Name]; ok {
		given, from, in.Dir = x, "site", in.siteDir
		if _, text := x.(string); !text && (v.Type == "string" || v.Type == "path") {
			v.From = from
			return Hint(fmt.Errorf("got %v, want %s", x, wants[v.Type]), "write it in quotes")
		}
	} else if v.Required {
		return ErrMissing
	}
	v.From = from
	if v.Value, err = v.parse(given, in.Dir); err != nil {
		return err
	}
	return v.allowed()
}

// parse turns what was given into v's type. Text is read as a command line gives it.
func (v *Var) parse(given any, dir string) (any, error) {
	s, isText := given.(string)
	bad := fmt.Errorf("got %v, want %s", show(given), wants[v.Type])
	switch v.Type {
	case "bool":
		if b, ok := given.(bool); ok {
			return b, nil
		}
		switch strings.ToLower(s) {
		case "true", "yes", "1", "on":
			return true, nil
		case "false", "no", "0", "off":
			return false, nil
		}
		return nil, bad
	case "int":
		switch n := given.(type) {
		case int64:
			return n, nil
		case int:
			return int64(n), nil
		}
		if n, err := strconv.ParseInt(s, 0, 64); err == nil {
			return n, nil
		}
		return nil, bad
	case "list":
		return v.parseList(given, bad)
	}
	if !isText {
		if _, deep := given.([]any); deep || given == nil {
			return nil, bad
		}
		s = fmt.Sprint(given)
	}
	if v.Type == "path" && s != "" && dir != "" && !filepath.IsAbs(s) {
		s = filepath.Join(dir, s)
	}
	if v.Type == "path" && s != "" {
		s = filepath.Clean(s)
	}
	return s, nil
}

var wants = map[string]string{"string": "text", "path": "a path", "bool": "true or false", "int": "a whole number",
	"list": "a list, on the command line with commas"}

func (v *Var) parseList(given any, bad error) (any, error) {
	out := []string{}
	switch given := given.(type) {
	case string:
		for s := range strings.SplitSeq(given, ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
	case []string:
		return given, nil
	case []any:
		for _, x := range given {
			out = append(out, fmt.Sprint(x))
		}
	default:
		return nil, bad
	}
	return out, nil
}

func show(v any) string {
	if s, ok := v.(string); ok {
		return strconv.Quote(s)
	}
	return fmt.Sprint(v)
}

// allowed checks choices and pattern, of a list each element.
func (v *Var) allowed() error {
	values, ok := v.Value.([]string)
	if !ok {
		values = []string{fmt.Sprint(v.Value)}
	}
	re, _ := wholePattern(v.Pattern)
	for _, s := range values {
		if len(v.Choices) > 0 && !slices.Contains(v.Choices, s) {
			return Nearest(fmt.Errorf("got %q, want one of %s", s, strings.Join(v.Choices, ", ")), s, v.Choices)
		}
		if v.Pattern != "" && !re.MatchString(s) {
			return fmt.Errorf("got %q, want a match of %s", s, v.Pattern)
		}
	}
	return nil
}

func wholePattern(p string) (*regexp.Regexp, error) { return regexp.Compile(`^(?:` + p + `)$`) }

func (v *Var) hint() string {
	hint := "give it with --var " + v.Name + "=..."
	if v.Help != "" {
		hint += " (" + v.Help + ")"
	}
	return hint
}

func (v *Var) starlark() starlark.Value {
	switch x := v.Value.(type) {
	case bool:
		return starlark.Bool(x)
	case int64:
		return starlark.MakeInt64(x)
	case []string:
		elems := make([]starlark.Value, len(x))
		for i, s := range x {
			elems[i] = starlark.String(s)
		}
		return starlark.NewList(elems)
	}
	return starlark.String(v.Value.(string))
}

// problems returns what is wrong with the inputs: unknown names before others.
// What else went wrong while loading may follow from a missing var.
func (l *loader) problems(loadErr error) error {
	var unknown Errors
	var declared []string
	for _, v := range l.book.Vars {
		declared = append(declared, v.Name)
	}
	given := slices.Sorted(maps.Keys(l.in.Flags))
	for _, name := range append(given, slices.Sorted(maps.Keys(l.in.Files))...) {
		if slices.Contains(declared, name) {
			continue
		}
		e := &Error{Class: Mistake,
			Err: l.book.Lacks("var", name, declared, "the vars are listed by: runbook show "+l.book.Name)}
		if slices.ContainsFunc(l.book.Secrets, func(d SecretDecl) bool { return d.Name == name }) {
			e.Err, e.Advice = fmt.Errorf("%s is a secret, not a var", name), "give it with --secret "+name+"=file:PATH"
		}
		unknown = append(unknown, e)
	}
	switch {
	case loadErr != nil && len(l.wrong) == 0:
		return nil // the file may not have got as far as all its vars
	case len(unknown) > 0:
		return unknown
	case len(l.wrong) > 0:
		return Errors(l.wrong)
	}
	return nil
}
