package builtins

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"runbook/runtime"
)

// unpackWords unpacks a call in which the arguments numbered at are commands: a
// list of words, or one string that is split as a shell splits words, without
// expanding anything. Their variables are []string.
func unpackWords(c *runtime.Call, at []int, vars ...any) error {
	if err := c.Unpack(vars...); err != nil {
		return err
	}
	raw := slices.Clone(vars)
	for _, i := range at {
		raw[i] = new(starlark.Value)
	}
	if err := c.Unpack(raw...); err != nil {
		return err
	}
	for _, i := range at {
		if err := split(*raw[i].(*starlark.Value), vars[i].(*[]string)); err != nil {
			return fmt.Errorf("argument %q: %w", c.Builtin.Args[i].Name, err)
		}
	}
	return nil
}

// split splits what was given as one string. Only then does *argv need it: a
// list is what its author means, blanks or not.
func split(given starlark.Value, argv *[]string) (err error) {
	if _, ok := given.(starlark.String); ok {
		if *argv, err = SplitWords((*argv)[0]); err != nil {
			return fmt.Errorf("got %s, want words with balanced quotes", given)
		}
	}
	if given != nil && len(*argv) == 0 {
		return errors.New("got no words, want a command")
	}
	return nil
}

// quote writes argv as a POSIX shell would read it back.
func quote(argv []string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_"
	quoted := make([]string, len(argv))
	for i, w := range argv {
		quoted[i] = w
		if w == "" || strings.Trim(w, plain) != "" {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
