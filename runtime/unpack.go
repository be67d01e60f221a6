package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.starlark.net/starlark"
)

// A Path is an absolute, clean name of a file; Unpack refuses others.
type Path string

// Unpack implements starlark.Unpacker.
func (p *Path) Unpack(v starlark.Value) (err error) {
	*p, err = absolute(v)
	return err
}

// convert stores v in the variable that p points to.
func convert(v starlark.Value, p any) (err error) {
	switch p := p.(type) {
	case starlark.Unpacker:
		return p.Unpack(v)
	case *starlark.Value:
		*p = v
	case *string:
		*p, err = text(v)
	case *bool:
		b, ok := v.(starlark.Bool)
		if !ok {
			return wantType(v, "a bool")
		}
		*p = bool(b)
	case *[]string:
		*p, err = list(v, text)
	case *[]Path:
		*p, err = list(v, absolute)
	case *[]int:
		*p, err = list(v, integer)
	case *map[string]string:
		*p, err = stringMap(v)
	case *time.Duration:
		*p, err = duration(v)
	default:
		return convertNumber(v, p)
	}
	return err
}

func convertNumber(v starlark.Value, p any) error {
	if mode, ok := p.(*fs.FileMode); ok {
		return convertMode(v, mode)
	}
	n, err := integer(v)
	switch p := p.(type) {
	case *int:
		*p = n
	case *int64:
		*p = int64(n)
	default:
		panic(fmt.Sprintf("runtime: cannot unpack into %T", p))
	}
	return err
}

// Account returns what unpacks the name or the number of one account or group.
func Account(p *string) starlark.Unpacker { return &account{p} }

type account struct{ name *string }

// Unpack implements starlark.Unpacker.
func (a *account) Unpack(v starlark.Value) (err error) {
	if *a.name, err = text(v); err != nil {
		return err
	}
	user, group, both := strings.Cut(*a.name, ":")
	switch {
	case both:
		return Hint(fmt.Errorf("got %q, want one account", *a.name),
			fmt.Sprintf("write %q; where a group can be given it is group=%q", user, group))
	case strings.ContainsAny(*a.name, " \t\n/,"):
		return fmt.Errorf("got %q, want one account", *a.name)
	}
	return nil
}

// choose returns an error unless v, or each element of a list, is one of the words.
func choose(v starlark.Value, words []string) error {
	given, err := list(v, text)
	if err != nil {
		return nil // what is no text was refused already, or is not known
	}
	for _, have := range given {
		if !slices.Contains(words, have) {
			return notChosen(have, words)
		}
	}
	return nil
}

func notChosen(have string, words []string) error {
	last := len(words) - 1
	err := fmt.Errorf("got %q, want %s or %s", have, strings.Join(words[:last], ", "), words[last])
	for _, w := range words {
		if have != "" && strings.HasPrefix(w, have) {
			return Hint(err, fmt.Sprintf("did you mean %q?", w))
		}
	}
	return Nearest(err, have, words)
}

// convertMode takes permission bits. Digits that were meant to be octal are told from
// others by what they would be.
func convertMode(v starlark.Value, p *fs.FileMode) error {
	if text, ok := v.(starlark.String); ok && strings.Trim(string(text), "01234567o") == "" {
		return Hint(fmt.Errorf("got string, want an int"), "write it without quotes: 0o"+strings.TrimLeft(string(text), "0o"))
	}
	if v.Type() == "string" {
		return Hint(fmt.Errorf("got string, want an int"), "write modes in octal, without quotes: 0o644")
	}
	n, err := integer(v)
	if err == nil && (n < 0 || n > 0o777) {
		if err := octal(v.String()); err != nil && n < 1000 {
			return err
		}
		if n > 0o777 && n <= 0o7777 {
			return fmt.Errorf("got mode %#o, want 0 to 0o777: set-user-ID, set-group-ID and sticky bits are not taken", n)
		}
		return Hint(fmt.Errorf("got mode %#o, want 0 to 0o777", n), "write modes in octal: 0o644")
	}
	*p = fs.FileMode(n)
	return err
}

// Text returns the text that v is, for types that unpack themselves. A secret stands in
// it as its placeholder.
func Text(v starlark.Value) (string, error) { return text(v) }

// StringList returns the elements of v, which is a list or one string, for types
// that unpack themselves. Secrets stand in it as their placeholders.
func StringList(v starlark.Value) ([]string, error) { return list(v, text) }

// text also takes a secret, as the placeholder that only the door resolves.
func text(v starlark.Value) (string, error) {
	switch v := v.(type) {
	case secretValue:
		return v.placeholder, nil
	case starlark.String:
		return string(v), nil
	}
	return "", wantType(v, "a string")
}

func absolute(v starlark.Value) (Path, error) {
	s, err := text(v)
	if err != nil {
		return "", err
	}
	if !path.IsAbs(s) {
		return "", relative(s)
	}
	return Path(path.Clean(s)), nil
}

// relative is the error about a path that does not begin with a slash.
func relative(s string) error {
	hint := "begin it with /"
	switch {
	case strings.HasPrefix(s, "here("):
		hint = "give the value itself, not its text"
	case s == "":
		return Hint(errors.New("got an empty path, want an absolute one"), hint)
	case s[0] == '~':
		hint = "no shell expands ~: write the home itself, /root or /home/NAME"
	case strings.HasPrefix(s, "$"):
		hint = noShell
	}
	return Hint(fmt.Errorf("got relative path %q, want an absolute one", s), hint)
}

const noShell = `no shell expands variables: write the path itself, or take it from var("dir", type="path")`

var (
	shellVariable = regexp.MustCompile(`\$(\{|[A-Z_]{2})`)
	namePattern   = regexp.MustCompile(`[*?]|\[[^/]+\]`)
)

// literalPath returns an error if a path in the text of a runbook is one that only a
// shell would understand.
func literalPath(name string) error {
	if shellVariable.MatchString(name) {
		return Hint(fmt.Errorf("got %q, want a path without variables", name), noShell)
	}
	return NoPattern(name)
}

// NoPattern returns an error if a name, which is that of no file, is a pattern.
func NoPattern(name string) error {
	if !namePattern.MatchString(name) {
		return nil
	}
	return Hint(fmt.Errorf("got pattern %q, want one name", name),
		fmt.Sprintf("a loop takes each file that matches: for name in glob(%q)", name))
}

func integer(v starlark.Value) (int, error) {
	i, ok := v.(starlark.Int)
	if !ok {
		return 0, wantType(v, "an int")
	}
	n, ok := i.Int64()
	if !ok {
		return 0, fmt.Errorf("got %s, want a smaller number", i)
	}
	return int(n), nil
}

func list[T any](v starlark.Value, one func(starlark.Value) (T, error)) ([]T, error) {
	switch v.(type) {
	case starlark.String, starlark.Int, secretValue:
		x, err := one(v)
		return []T{x}, err
	}
	seq, ok := v.(starlark.Iterable)
	if _, dict := v.(*starlark.Dict); !ok || dict {
		return nil, wantType(v, "a list")
	}
	it := seq.Iterate()
	defer it.Done()
	out := []T{}
	for x := starlark.Value(nil); it.Next(&x); {
		y, err := one(x)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", len(out), err)
		}
		out = append(out, y)
	}
	return out, nil
}

func stringMap(v starlark.Value) (map[string]string, error) {
	d, ok := v.(*starlark.Dict)
	if !ok {
		return nil, wantType(v, "a dict")
	}
	m := map[string]string{}
	for _, item := range d.Items() {
		k, err := text(item[0])
		if err != nil {
			return nil, err
		}
		if m[k], err = text(item[1]); err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
	}
	return m, nil
}

func duration(v starlark.Value) (time.Duration, error) {
	var d time.Duration
	var err error
	switch v := v.(type) {
	case starlark.String:
		d, err = time.ParseDuration(string(v))
	case starlark.Float:
		d = time.Duration(float64(v) * float64(time.Second))
	default:
		n := 0
		n, err = integer(v)
		d = time.Duration(n) * time.Second
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("got %s, want seconds or text such as \"10m\"", v)
	}
	return d, nil
}

func wantType(v starlark.Value, want string) error {
	if r, ok := v.(*result); ok {
		return r.misuse()
	}
	err := fmt.Errorf("got %s, want %s", v.Type(), want)
	if hint := typeHint(v, want); hint != "" {
		return Hint(err, hint)
	}
	return err
}

// typeHint is how a value becomes one of the type that is wanted.
func typeHint(v starlark.Value, want string) string {
	text, isText := starlark.AsString(v)
	number := isText && text != "" && strings.Trim(text, "0123456789") == ""
	switch {
	case v.Type() == "here":
		return "a file beside the runbook is taken by copy, write, extract, template and read: copy() it first"
	case v.Type() == "NoneType":
		return "a function that returns nothing returns None"
	case want == "an int" && number:
		return "write it without quotes: " + text
	case want == "an int" && v.Type() == "float":
		return "a whole number is divided with //, and int(x) cuts one"
	case want == "an int" && v.Type() == "string":
		return "make it a number first: int(x)"
	case strings.HasPrefix(want, "a bool") && (strings.EqualFold(text, "true") || strings.EqualFold(text, "false")):
		return "write it without quotes: " + strings.ToUpper(text[:1]) + strings.ToLower(text[1:])
	case want == "a function" && names.MatchString(text):
		return "write its name without quotes: " + text
	case want == "a function":
		return "write the name of a function, without quotes and parentheses"
	case want == "a bool" && v.Type() == "string":
		return "write the condition: x == \"yes\", or x != \"\""
	case want != "a string":
		return ""
	case v.Type() == "int" || v.Type() == "float" || v.Type() == "bool":
		if isUnknown(v) {
			return "make it text first: str(x)"
		}
		return fmt.Sprintf("write it in quotes, %q, or as str(x)", strings.ToLower(v.String()))
	case v.Type() == "list" || v.Type() == "tuple":
		return "one text is wanted here: join them, or take one of them with [0]"
	}
	return ""
}

// plainValue returns v as Go values that JSON can hold.
func plainValue(v starlark.Value) any {
	switch v := v.(type) {
	case starlark.String:
		return string(v)
	case starlark.Bytes:
		return fmt.Sprintf("%d bytes", len(v))
	case *Here:
		m := map[string]any{"here": v.Name, "sha256": v.SHA256}
		if v.Site {
			m["site"] = true
		}
		return m
	case secretValue:
		return v.placeholder
	case starlark.Bool:
		return bool(v)
	case starlark.Int:
		n, _ := v.Int64()
		return n
	case starlark.Float:
		return float64(v)
	case *starlark.Dict:
		m := map[string]any{}
		for _, item := range v.Items() {
			k, err := text(item[0])
			if err != nil {
				k = item[0].String()
			}
			m[k] = plainValue(item[1])
		}
		return m
	case starlark.NoneType:
		return nil
	case starlark.Iterable:
		all, _ := list(v, func(x starlark.Value) (any, error) { return plainValue(x), nil })
		return all
	}
	return v.String()
}
