package runtime

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"go.starlark.net/starlark"

	"runbook/runtime/trace"
)

// Spoken returns err with the names of files that it is about, and those of names, as
// trace.Quote writes them: a name must not end the line of an error, or begin one that
// looks like another message.
func Spoken(err error, names ...string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, name := range append(filesIn(err), names...) {
		if quoted := trace.Quote(name); quoted != name && len(name) > 2 {
			text = strings.ReplaceAll(text, name, quoted)
		}
	}
	if text == err.Error() {
		return err
	}
	return spoken{err, text}
}

// A spoken error has another text than the error in it.
type spoken struct {
	err  error
	text string
}

func (s spoken) Error() string { return s.text }
func (s spoken) Unwrap() error { return s.err }

// filesIn returns the names that errors of the operating system carry.
func filesIn(err error) (names []string) {
	switch e := err.(type) {
	case *fs.PathError:
		names = []string{e.Path}
	case *os.LinkError:
		names = []string{e.Old, e.New}
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			names = append(names, filesIn(one)...)
		}
	} else if one := errors.Unwrap(err); one != nil {
		names = append(names, filesIn(one)...)
	}
	return names
}

// texts returns the texts in the arguments of a call, also those in lists.
func (c *Call) texts() (all []string) {
	add := func(v starlark.Value) {
		if s, ok := starlark.AsString(v); ok {
			all = append(all, s)
		}
	}
	for _, v := range c.given {
		add(v)
		if l, ok := v.(*starlark.List); ok {
			for i := range l.Len() {
				add(l.Index(i))
			}
		}
	}
	return all
}

// stringsIn returns the texts in the arguments of an op.
func stringsIn(v any) (all []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, x := range v {
			all = append(all, stringsIn(x)...)
		}
	case map[string]any:
		for k, x := range v {
			all = append(append(all, k), stringsIn(x)...)
		}
	}
	return all
}
