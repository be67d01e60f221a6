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
			return fmt.Errorf("got %s, %w", v, err)
		}
	}
	switch {
	case len(list) == 0:
		return runtime.Hint(errors.New("got no words, want a command"), `such as ["systemctl", "daemon-reload"]`)
	case len(list) == 1 && strings.Contains(list[0], " ") && !strings.HasPrefix(list[0], "/") && v.Type() != "string":
		err := fmt.Errorf("got a program that is called %q, want a word in each element", runtime.Readable(list[0]))
		return runtime.Hint(err, "write it as one text, which is split into words, or each word by itself")
	}
	*w = list
	return nil
}

// SplitWords splits a command line as a shell splits words, without expanding
// anything. Unbalanced quotes are an error, and so is what a shell would do
// something with: nothing would be done with it here. The library is from 2019 and
// stays: the rules of quoting do not change.
func SplitWords(command string) ([]string, error) {
	if sign := shellSign(runtime.WithoutSecrets(command)); sign != "" {
		return nil, runtime.Hint(fmt.Errorf("want words: no shell runs it, so an unquoted %s would mean nothing", sign),
			fmt.Sprintf(`quote what is meant as it is; for a shell write ["sh", "-c", %q]`, runtime.Readable(command)))
	}
	words, err := shlex.Split(command)
	if err != nil {
		return nil, errors.New("want words with balanced quotes")
	}
	return words, nil
}

// shellSign returns the first sign of a command line that is not quoted and means
// something to a shell other than where a word ends, "" if there is none.
func shellSign(command string) string {
	quote := rune(0)
	escaped, begins := false, true // the character; a word
	for _, r := range strings.TrimSpace(command) {
		switch {
		case escaped:
			escaped = false
		case r == '\\' && quote != '\'':
			escaped = true
		case quote != 0 || r == '\'' || r == '"':
			quote = toggled(quote, r)
		case strings.ContainsRune("|><&;$*?`()", r), r == '~' && begins:
			return string(r)
		case r == '\n':
			return "end of line"
		}
		begins = quote == 0 && (r == ' ' || r == '\t')
	}
	return ""
}

// toggled returns the quote that is open after r, where quote was before.
func toggled(quote, r rune) rune {
	switch quote {
	case 0:
		return r
	case r:
		return 0
	}
	return quote
}

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
