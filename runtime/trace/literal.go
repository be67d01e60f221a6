package trace

import (
	"crypto/rand"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A literal is a text of the runbook that only looks like a secret as events show
// one: a file may hold "<secret:db>". The key "literal" of an effect's detail has
// the indexes of literals among all that look so in its argv, its environment in the
// order of names, and its content.

// literals are the literals of a shell script, which it must not take for secrets:
// mark makes their beginnings another text, which unmark puts back.
type literals struct{ mark string }

func newLiterals() literals { return literals{"<secret" + strings.ToLower(rand.Text())} }

// unmark puts the literals back into what is printed.
func (l literals) unmark(text string) string { return strings.ReplaceAll(text, l.mark, "<secret:") }

// in returns e with its literals marked, and its content, if there is any.
func (l literals) in(e Event, content string) (Event, string) {
	indexes := strings.Fields(strings.Trim(detailText(e.Detail, "literal"), "[]"))
	if len(indexes) == 0 {
		return e, content
	}
	n := 0
	marked := func(text string) string {
		return secretName().ReplaceAllStringFunc(text, func(m string) string {
			n++
			if slices.Contains(indexes, strconv.Itoa(n-1)) {
				return l.mark + strings.TrimPrefix(m, "<secret:")
			}
			return m
		})
	}
	e.Argv = slices.Clone(e.Argv)
	for i, a := range e.Argv {
		e.Argv[i] = marked(a)
	}
	if env := environment(e); len(env) > 0 {
		env = maps.Clone(env)
		for _, k := range slices.Sorted(maps.Keys(env)) {
			env[k] = marked(env[k])
		}
		e.Detail = maps.Clone(e.Detail)
		e.Detail["env"] = env
	}
	return e, marked(content)
}
