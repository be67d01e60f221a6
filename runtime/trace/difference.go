package trace

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Difference is how two traces compare.
type Difference struct {
	Equal   bool
	Assumed int // ops that differ, but only as an op may that rested on a guess

	// The rest is about the first difference.
	A, B  *Event // nil where a trace has nothing to set against the other
	Step  string
	Op    string // the op under way and its target; may be empty
	Field string // in which A and B differ, such as "detail.mode" or "changes[0].to"
	InA   string // what the field holds, as JSON; empty if there is none
	InB   string
}

// String returns one line if the traces are equal, else three: where, A, B.
func (d Difference) String() string {
	if d.Equal && d.Assumed > 0 {
		return fmt.Sprintf("equal, %d assumed differ", d.Assumed)
	}
	if d.Equal {
		return "equal"
	}
	where := "different"
	if d.Step != "" {
		where += " in step " + Quote(d.Step)
	}
	if d.Op != "" {
		where += ", " + Quote(d.Op)
	}
	if d.Field != "" {
		where += fmt.Sprintf(": %s of the %s", Quote(d.Field), d.A.Kind)
	}
	return fmt.Sprintf("%s\n  A  %s\n  B  %s", where, d.side(d.A, d.InA), d.side(d.B, d.InB))
}

func (d Difference) side(e *Event, value string) string {
	if e == nil {
		return "has nothing here"
	}
	s := fmt.Sprintf("event %d  %s", e.Seq, cut(Quote(describe(*e)), 100))
	if d.Field != "" {
		s += "\n       " + cut(Quote(cmp.Or(value, "(nothing)")), 300)
	}
	return s
}

func (g *gap) difference(a, b unit) Difference {
	d := Difference{A: g.a, B: g.b}
	u := a
	if u.head.Kind == "" {
		u = b
	}
	if d.Step = u.head.Step; u.head.Kind == Op {
		d.Op = strings.TrimSpace(u.head.Op + " " + u.head.Target)
	}
	if g.a != nil && g.b != nil {
		d.Field, d.InA, d.InB = differing(compared(*g.a), compared(*g.b))
	}
	if d.Field == "kind" { // the events say so themselves
		d.Field = ""
	}
	return d
}

// differing returns the first field in which two events differ, and both values.
func differing(a, b []field) (name, inA, inB string) {
	for _, f := range slices.Concat(a, b) {
		va, vb := member(a, f.name), member(b, f.name)
		if !bytes.Equal(va, vb) {
			return inside(f.name, decoded(va), decoded(vb))
		}
	}
	return "", "", ""
}

func member(fs []field, name string) json.RawMessage {
	for _, f := range fs {
		if f.name == name {
			return f.raw
		}
	}
	return nil
}

func decoded(raw json.RawMessage) (v any) {
	if raw != nil {
		unmarshal("", raw, &v) // our own writing
	}
	return v
}

// inside goes down to the first part in which two values differ.
func inside(path string, a, b any) (name, inA, inB string) {
	ma, isMap := a.(map[string]any)
	mb, areMaps := b.(map[string]any)
	if isMap && areMaps {
		for _, k := range slices.Sorted(maps.Keys(union(ma, mb))) {
			if text(ma[k]) != text(mb[k]) {
				return inside(path+"."+k, ma[k], mb[k])
			}
		}
	}
	la, isList := a.([]any)
	lb, areLists := b.([]any)
	if isList && areLists {
		for i := range min(len(la), len(lb)) {
			if text(la[i]) != text(lb[i]) {
				return inside(fmt.Sprintf("%s[%d]", path, i), la[i], lb[i])
			}
		}
	}
	return path, text(a), text(b)
}

func union(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func text(v any) string {
	if v == nil {
		return ""
	}
	b, _ := marshal(v) // was JSON before
	return string(b)
}

// spaced joins words; those that would not be seen to be one are quoted.
func spaced(argv []string) string {
	words := slices.Clone(argv)
	for i, a := range words {
		if a == "" || strings.ContainsAny(a, " \t\n'\"") {
			words[i] = fmt.Sprintf("%q", a)
		}
	}
	return strings.Join(words, " ")
}

// describe returns an event in a few words, not yet fit to be shown.
func describe(e Event) string {
	var words []string
	switch e.Kind {
	case Step:
		words = []string{"step", e.Step, e.State}
	case Op:
		words = []string{"op", e.Op, e.Target}
	case Effect:
		words = append([]string{e.Call}, cmp.Or(e.Path, spaced(e.Argv)))
	case Result:
		words = []string{"result", string(e.Outcome), e.Op, e.Target}
	default:
		words = []string{string(e.Kind)}
	}
	return strings.TrimSpace(strings.Join(words, " "))
}
