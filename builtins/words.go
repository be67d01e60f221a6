package builtins

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/shlex"
	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/host"
)

// words is a command: a list of words, or one string, which is split as SplitWords does.
type words []string

var _ starlark.Unpacker = (*words)(nil)

// Unpack implements starlark.Unpacker. It splits only a string: each element of a
// list is one word, with its blanks.
func (w *words) Unpack(v starlark.Value) error {
	list, err := runtime.StringList(v)
	if err != nil {
		return err
	}
	if _, ok := v.(starlark.String); ok {
		if list, err = SplitWords(list[0]); err != nil {
			return fmt.Errorf("got %s, want words with balanced quotes", v)
		}
	}
	if len(list) == 0 {
		return errors.New("got no words, want a command")
	}
	*w = list
	return nil
}

// SplitWords splits a command line as a shell splits words, without expanding
// anything. Unbalanced quotes are an error. The library is from 2019 and stays:
// the rules of quoting do not change.
func SplitWords(command string) ([]string, error) { return shlex.Split(command) }

// quote returns argv as a command line of a POSIX shell.
func quote(argv []string) string {
	quoted := make([]string, len(argv))
	for i, w := range argv {
		quoted[i] = host.ShellWord(w)
	}
	return strings.Join(quoted, " ")
}

// shorten joins names for a target; of many it leaves out the last.
func shorten(names []string) string {
	const limit = 60
	all := strings.Join(names, " ")
	if len(all) <= limit || len(names) < 3 {
		return all
	}
	n := 1
	for n < len(names) && len(strings.Join(names[:n+1], " ")) <= limit {
		n++
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], " "), len(names)-n)
}
