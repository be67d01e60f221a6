package runtime

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"runbook/runtime/trace"
)

// What a script reads decides what it does: the next op, or step event, says what that was.

const (
	mostLearned = 1000 // answers of one event; what is over is counted
	shownAnswer = 200  // bytes of an answer
)

// learn notes what a call of the script has read.
func (r *Run) learn(c *Call, v starlark.Value) {
	a := trace.Answer{By: c.Builtin.Name, Is: answerText(c.Builtin, v)}
	if args := c.Builtin.Args; len(args) > 0 {
		switch v := c.given[args[0].Name].(type) {
		case nil:
		case *Here:
			a.Of = v.String()
		default:
			a.Of = textOf(plainValue(v))
		}
	}
	switch {
	case slices.Contains(r.learned, a):
	case len(r.learned) < mostLearned:
		r.learned = append(r.learned, a)
	default:
		r.forgotten++
	}
}

// taught returns what was learned since the last time.
func (r *Run) taught() []trace.Answer {
	all := r.learned
	if r.forgotten > 0 {
		all = append(all, trace.Answer{By: "more", Is: fmt.Sprintf("%d answers that are not listed", r.forgotten)})
	}
	r.learned, r.forgotten = nil, 0
	return all
}

// answerText returns an answer as the trace shows it: what files hold and commands print may be private, or long, and
// is known by its size and digest.
func answerText(b *Builtin, v starlark.Value) string {
	text := ""
	switch v := v.(type) {
	case starlark.Bool, starlark.Int:
		return strings.ToLower(v.String())
	case starlark.String:
		text = string(v)
	case *starlark.List:
		text = textOf(plainValue(v))
	default:
		return digested(v.String())
	}
	if b.Private || len(text) > shownAnswer {
		return digested(text)
	}
	return cmp.Or(text, "nothing")
}

func digested(text string) string {
	return fmt.Sprintf("%d bytes, sha256 %x", len(text), sha256.Sum256([]byte(text)))
}

// textOf returns a plain value as text: the elements of a list behind one another.
func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		words := make([]string, len(v))
		for i := range v {
			words[i] = textOf(v[i])
		}
		return trace.Spaced(words)
	}
	return fmt.Sprint(v)
}
