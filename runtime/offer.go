package runtime

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"runbook/runtime/trace"
)

// What programs around a run need of secrets and of names.

// ErrMissing is what Load's error wraps for each required var that nobody gave.
var ErrMissing = errors.New("missing")

// Nearest returns err with a hint that names the one of names that is closest
// to name; err itself if none is close.
func Nearest(err error, name string, names []string) error { return withNearest(err, name, names) }

var anyMark = regexp.MustCompile(`<secret:([A-Za-z0-9_]+)#[0-9a-f]{24}(:json|:line)?>`)

// Readable returns text with every secret's placeholder as people know it:
// <secret:NAME>.
func Readable(text string) string { return anyMark.ReplaceAllString(text, "<secret:$1>") }

// Leaks returns what tells whether a text holds a piece of a placeholder or one
// of values, for a last look before it is written. Values that are ordinary
// words of this run (in the runbook, its vars or names, or in info) or shorter
// than eight bytes are never a reason to stop.
func (b *Runbook) Leaks(values map[string]string, info trace.RunInfo) func(text string) bool {
	words := b.words(info)
	var guarded []string
	for _, v := range values {
		if len(v) >= 8 && !strings.Contains(words, v) {
			guarded = append(guarded, v)
		}
	}
	return func(text string) bool {
		return b.secrets.in(text) || slices.ContainsFunc(guarded, func(v string) bool { return strings.Contains(text, v) })
	}
}
