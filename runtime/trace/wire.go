package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxLine is how many bytes a line may have. Writers and readers refuse more,
// so that no trace can be written that cannot be read.
const MaxLine = 64 << 20

// zeroHash is prev of the first line.
const zeroHash = "0000000000000000000000000000000000000000000000000000000000000000"

// A field is a member of a line's JSON object.
type field struct {
	name string
	raw  json.RawMessage
}

// encode returns the line of e without its newline. The seal of an end event
// is computed here, over all that stands before it.
func encode(e Event) ([]byte, error) {
	fs, err := fields(e)
	if err != nil {
		return nil, err
	}
	line := fmt.Appendf(nil, `{"seq":%d,"prev":%q,"kind":%s`, e.Seq, e.Prev, quoteJSON(string(e.Kind)))
	for _, f := range fs {
		line = fmt.Appendf(line, ",%q:%s", f.name, f.raw)
	}
	if e.Kind == End {
		line = fmt.Appendf(line, `,"seal":%q`, hash(line))
	}
	if line = append(line, '}'); len(line) > MaxLine {
		return nil, fmt.Errorf("trace %s: got a line of %d bytes, want at most %d", e.Kind, len(line), MaxLine)
	}
	return line, nil
}

// fields returns what a line says after seq, prev and kind: first what every
// line of that kind has, then what else is set.
func fields(e Event) ([]field, error) {
	info := RunInfo{}
	if e.Run != nil {
		info = *e.Run
	}
	info.V = Version
	e.Run, e.Time = &info, e.Time.UTC()

	must := always(e.Kind)
	var fs []field
	for i, name := range append(must, sometimes()...) {
		raw, err := marshal(e.slot(name))
		if err != nil {
			return nil, fmt.Errorf("trace %s: %s: %w", e.Kind, name, err)
		}
		if i < len(must) || !slices.Contains(must, name) && !empty(raw) {
			fs = append(fs, field{name, orEmpty(name, raw)})
		}
	}
	return fs, nil
}

// always returns the keys that every line of a kind has, in their order.
func always(k Kind) []string {
	switch k {
	case Run:
		return []string{"v", "time", "mode", "runbook", "sources", "vars", "binary", "host", "user", "ticket", "previous"}
	case Step:
		return []string{"time", "step", "title", "text", "state", "why"}
	case Op:
		return []string{"time", "step", "op", "target", "pos", "user", "args", "changes"}
	case Effect:
		return []string{"time", "step", "call", "argv", "path", "user", "stdin", "sets", "detail"}
	case Probe:
		return []string{"time", "argv", "code"}
	case Result:
		return []string{"time", "op", "target", "outcome", "assumed", "observed", "error", "hint", "elapsed_ms"}
	case End:
		return []string{"time", "outcome", "same", "changed", "failed", "skipped"}
	case Log:
		return []string{"time", "step", "text"}
	}
	return []string{"time"}
}

// sometimes returns the keys that a line of any kind has after those if they are set.
func sometimes() []string {
	return []string{
		"step", "title", "text", "state", "why", "op", "target", "pos", "user", "args", "changes",
		"call", "argv", "path", "stdin", "sets", "detail", "volatile", "url", "code",
		"outcome", "assumed", "observed", "error", "hint",
	}
}

// slot returns where e keeps the value of a key, nil for a key that it does not
// know. e.Run is not nil.
func (e *Event) slot(name string) any {
	if e.Kind == Run {
		if p := e.Run.slot(name); p != nil {
			return p
		}
	}
	for _, part := range []func(string) any{e.textSlot, e.effectSlot, e.resultSlot} {
		if p := part(name); p != nil {
			return p
		}
	}
	return nil
}

func (r *RunInfo) slot(name string) any {
	return map[string]any{
		"v": &r.V, "mode": &r.Mode, "runbook": &r.Runbook, "sources": &r.Sources, "vars": &r.Vars, "binary": &r.Binary,
		"host": &r.Host, "user": &r.User, "ticket": &r.Ticket, "previous": &r.Previous,
	}[name]
}

func (e *Event) textSlot(name string) any {
	switch name {
	case "time":
		return &e.Time
	case "step":
		return &e.Step
	case "title":
		return &e.Title
	case "text":
		return &e.Text
	case "state":
		return &e.State
	case "why":
		return &e.Why
	case "op":
		return &e.Op
	case "target":
		return &e.Target
	case "pos":
		return &e.Pos
	case "user":
		return &e.User
	case "args":
		return &e.Args
	case "changes":
		return &e.Changes
	}
	return nil
}

func (e *Event) effectSlot(name string) any {
	switch name {
	case "call":
		return &e.Call
	case "argv":
		return &e.Argv
	case "path":
		return &e.Path
	case "stdin":
		return &e.Stdin
	case "sets":
		return &e.Sets
	case "detail":
		return &e.Detail
	case "volatile":
		return &e.Volatile
	case "url":
		return &e.URL
	case "code":
		return &e.Code
	}
	return nil
}

func (e *Event) resultSlot(name string) any {
	switch name {
	case "outcome":
		return &e.Outcome
	case "assumed":
		return &e.Assumed
	case "observed":
		return &e.Observed
	case "error":
		return &e.Error
	case "hint":
		return &e.Hint
	case "elapsed_ms":
		return (*millis)(&e.Elapsed)
	case "same":
		return &e.Counts.Same
	case "changed":
		return &e.Counts.Changed
	case "failed":
		return &e.Counts.Failed
	case "skipped":
		return &e.Counts.Skipped
	case "seal":
		return &e.Seal
	}
	return nil
}

// millis is a duration that a line tells in whole milliseconds.
type millis time.Duration

func (m millis) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, time.Duration(m).Milliseconds(), 10), nil
}

func (m *millis) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(string(b), 10, 64)
	*m = millis(time.Duration(n) * time.Millisecond)
	return err
}

// marshal returns v as JSON that is safe to look at: what a terminal or an
// editor would obey rather than show is escaped.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return escape(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// escape writes what does not show as itself, such as DEL, C1 controls and
// bidirectional controls, as \uXXXX. JSON has such only
// inside strings, so the whole text may be treated alike; package json has
// already seen to those below U+0020 and to invalid UTF-8, which becomes \ufffd.
// So U+FFFD itself is escaped too: an event read from a file is written as before.
func escape(b []byte) []byte {
	if bytes.IndexFunc(b, escaped) < 0 {
		return b
	}
	out := make([]byte, 0, len(b)+16)
	for _, r := range string(b) {
		switch hi, lo := utf16.EncodeRune(r); {
		case !escaped(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

func escaped(r rune) bool { return hidden(r) || r == utf8.RuneError }

func quoteJSON(s string) []byte {
	b, _ := marshal(s) // a string has no way not to be JSON
	return b
}

func empty(raw []byte) bool {
	return slices.Contains([]string{`""`, "[]", "{}", "0", "null"}, string(raw))
}

// orEmpty turns the null of a nil slice or map into its empty form.
func orEmpty(name string, raw []byte) []byte {
	switch {
	case string(raw) != "null":
		return raw
	case slices.Contains([]string{"args", "sets", "detail", "observed"}, name):
		return []byte("{}")
	}
	return []byte("[]")
}
