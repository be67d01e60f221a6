package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A sketch is what Check knows of a call without running anything.
type sketch struct {
	exprs   map[string]syntax.Expr // of arguments, by name
	unknown bool                   // an argument's value is not known
	found   []wrongArgument
}

// A wrongArgument is what is wrong with an argument of a call.
type wrongArgument struct {
	name string
	err  error
}

// settle gathers what is wrong with an argument: a call is looked at to its end.
func (s *sketch) settle(name string, err error) {
	if err != nil && !errors.Is(err, errSketched) {
		s.found = append(s.found, wrongArgument{name, err})
	}
}

// place is where an error about an argument belongs: at the element of a list or dict
// that it names, if that stands there.
func (s *sketch) place(name string, err error) (span, bool) {
	x := s.exprs[name]
	switch {
	case x == nil:
		return span{}, false
	case err == nil:
		return spanOf(x), true
	}
	_, rest, _ := strings.Cut(err.Error(), fmt.Sprintf("argument %q: ", name))
	key, _, _ := strings.Cut(rest, ": ")
	number, isElement := strings.CutPrefix(key, "element ")
	switch l := x.(type) {
	case *syntax.ListExpr:
		if i, err := strconv.Atoi(number); err == nil && isElement && i < len(l.List) {
			return spanOf(l.List[i]), true
		}
	case *syntax.DictExpr:
		for _, e := range l.List {
			entry := e.(*syntax.DictEntry)
			if lit, ok := entry.Key.(*syntax.Literal); ok && lit.Value == key {
				return spanOf(entry.Value), true
			}
		}
	}
	return spanOf(x), true
}

// where is place of the argument that an error names, else that of the call.
func (s *sketch) where(b *Builtin, err error, call span) span {
	if at, ok := s.place(s.about(b.Name, err), err); ok {
		return at
	}
	return call
}

// about returns the argument that an error names: "argument "x": ...", or "x ..." at its beginning.
func (s *sketch) about(builtin string, err error) string {
	text := strings.TrimPrefix(err.Error(), builtin+": ")
	if _, quoted, ok := strings.Cut(text, `argument "`); ok {
		name, _, _ := strings.Cut(quoted, `"`)
		return name
	}
	name, _, _ := strings.Cut(text, " ")
	if name = strings.TrimSuffix(name, ":"); s.exprs[name] != nil {
		return name
	}
	return ""
}

// errSketched ends a call of which only the arguments were looked at.
var errSketched = errors.New("only looked at")

// An unknown is a value of which Check knows at most the type and how it begins.
type unknown struct {
	typ    string // of the language, or "" if not known
	prefix string // of a string
}

func (u unknown) String() string        { return "unknown" }
func (u unknown) Type() string          { return u.typ }
func (u unknown) Freeze()               {}
func (u unknown) Truth() starlark.Bool  { return true }
func (u unknown) Hash() (uint32, error) { return 0, errors.New("unhashable: unknown") }

// look returns what is known of an argument's value; nil if that is too little for a
// conversion.
func (s *sketch) look(arg Arg, v starlark.Value) (starlark.Value, error) {
	if u, ok := v.(unknown); ok {
		s.unknown = true
		if strings.HasPrefix(arg.Type, "path") && u.prefix != "" && u.prefix[0] != '/' {
			return nil, relative(u.prefix + "...")
		}
		return nil, fits(u.typ, arg.Type, v)
	}
	if arg.Type == boolOrFunction || arg.Type == "function" {
		return v, fits(v.Type(), arg.Type, v)
	}
	if lit, ok := s.exprs[arg.Name].(*syntax.Literal); ok && arg.Name == "mode" {
		if err := octal(lit.Raw); err != nil {
			return nil, err
		}
	}
	if text, ok := v.(starlark.String); ok && arg.isPath() {
		return v, literalPath(string(text))
	}
	if d, ok := v.(*starlark.Dict); ok && arg.Name == "env" {
		return s.env(d)
	}
	if d, ok := v.(*starlark.Dict); ok && slices.ContainsFunc(keysAndValues(d), isUnknown) {
		s.unknown = true
		if arg.Type == Values && !slices.ContainsFunc(d.Keys(), isUnknown) {
			return d, nil
		}
		return nil, nil
	}
	l, ok := v.(starlark.Iterable)
	if _, dict := v.(*starlark.Dict); !ok || dict {
		return v, nil
	}
	return s.elements(arg, l)
}

// env returns what is known of an environment, with examples for what is not.
func (s *sketch) env(d *starlark.Dict) (starlark.Value, error) {
	known := starlark.NewDict(d.Len())
	for _, item := range d.Items() {
		for i, v := range item {
			u, ok := v.(unknown)
			if !ok {
				continue
			}
			s.unknown = true
			if err := fits(u.typ, "string", v); err != nil {
				return nil, fmt.Errorf("%s: %w", string(stringOf(item[0])), err)
			}
			item[i] = starlark.String("x")
		}
		if err := known.SetKey(item[0], item[1]); err != nil {
			return nil, err
		}
	}
	return known, nil
}

// elements returns a list with examples in the place of what is not known, so that the others keep their places.
func (s *sketch) elements(arg Arg, l starlark.Iterable) (starlark.Value, error) {
	of, _ := strings.CutPrefix(arg.Type, "list of ")
	example := map[string]starlark.Value{"string": starlark.String("x"), "path": starlark.String("/x"),
		"int": starlark.MakeInt(1)}[of]
	if len(arg.Choices) > 0 {
		example = starlark.String(arg.Choices[0])
	}
	var all []starlark.Value
	known := false
	for x := range starlark.Elements(l) {
		u, ok := x.(unknown)
		if !ok {
			all, known = append(all, x), true
			continue
		}
		s.unknown = true
		if err := fits(u.typ, of, x); err != nil {
			return nil, fmt.Errorf("element %d: %w", len(all), err)
		}
		if example != nil {
			all = append(all, example)
		}
	}
	if s.unknown && !known {
		return nil, nil
	}
	return starlark.NewList(all), nil
}

// look has a builtin convert and check the arguments of a call of which nothing is run.
func (c *Call) look() (err error) {
	defer func() {
		if recover() != nil { // a builtin that expects more than it gets here
			err = errSketched
		}
	}()
	b := c.Builtin
	switch {
	case b == varBuiltin:
		err = c.looksRight()
	case b.declare != nil:
		for _, a := range b.Args {
			var v starlark.Value
			err := c.unpack(a.Name, &v)
			if err == nil {
				err = fits(typeName(v), a.Type, v)
				err = c.named(a.Name, err)
			}
			c.sketch.settle(a.Name, err)
		}
	case b.Pure != nil:
		_, err = b.Pure(c)
	case b.Read != nil:
		_, err = b.Read(c, nil)
	default:
		_, _, err = b.New(c)
	}
	if b.RunsAs {
		c.sketch.settle("user", c.unpack("user", Account(&c.user)))
	}
	if b.New != nil {
		c.sketch.settle("", new(again).unpack(c))
	}
	return err
}

func typeName(v starlark.Value) string {
	if v == nil {
		return ""
	}
	return v.Type()
}

// octal returns an error about a mode whose digits are meant to be octal but do not
// say so.
func octal(digits string) error {
	if strings.Trim(digits, "01234567") != "" || len(digits) < 3 {
		return nil
	}
	return Hint(fmt.Errorf("got %s, which is decimal, want an octal number", digits), "write 0o"+digits)
}

const boolOrFunction = "bool or function" // type of an argument

// fits returns an error if no value of a type of the language is one of an argument.
func fits(typ, arg string, v starlark.Value) error {
	want, takes := "", ""
	switch arg {
	case "string", "path", "pattern", "regexp":
		want, takes = "a string", "string secret"
	case "int":
		want, takes = "an int", "int"
	case PathOrHere, TextOrHere:
		want, takes = "a "+arg, "string secret here"
	case DataOrHere:
		want, takes = "a "+arg, "string bytes secret here"
	case "bool":
		want, takes = "a bool", "bool"
	case "function":
		want, takes = "a function", "function builtin_function_or_method"
	case boolOrFunction:
		want, takes = "a bool or a function", "bool function builtin_function_or_method"
	case "dict", Values:
		want, takes = "a dict", "dict"
	case "list of string", "list of int", "list of path":
		want, takes = "a list", "list tuple set string secret int"
	}
	if typ == "" || want == "" || slices.Contains(strings.Fields(takes), typ) {
		return nil
	}
	if typ == "result" {
		return (*result)(nil).misuse()
	}
	return wantType(v, want)
}
