package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// maxLine is how many bytes a line may have. Writers and readers refuse more, so
// that every trace that is written can be read.
const maxLine = 64 << 20

// zeroHash is the hash that the first line gives for the line before it.
const zeroHash = "0000000000000000000000000000000000000000000000000000000000000000"

// A field is a member of a line's JSON object.
type field struct {
	name string
	raw  json.RawMessage
}

// encode returns the line of e without its newline. An end event gets its seal:
// the hash of all that stands before it in the line.
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
	if line = append(line, '}'); len(line) > maxLine {
		return nil, fmt.Errorf("trace %s: got a line of %d bytes, want at most %d", e.Kind, len(line), maxLine)
	}
	return line, nil
}

// fields returns the members of a line after seq, prev and kind: first those that
// every line of that kind has, then others that are set.
func fields(e Event) ([]field, error) {
	info := RunInfo{}
	if e.Run != nil {
		info = *e.Run
	}
	info.V = version
	e.Run, e.Time = &info, e.Time.UTC()

	table, keys := e.slots(), requiredKeys(e.Kind)
	required := len(keys)
	for _, s := range table {
		if !slices.Contains(keys, s.key) {
			keys = append(keys, s.key)
		}
	}
	var fs []field
	for i, key := range keys {
		raw, err := marshal(table.find(key))
		if err != nil {
			return nil, fmt.Errorf("trace %s: %s: %w", e.Kind, key, err)
		}
		if i < required || !empty(raw) {
			fs = append(fs, field{key, orEmpty(key, raw)})
		}
	}
	return fs, nil
}

// requiredKeys returns the keys that every line of a kind has, in their order. A key
// that is added to the format need not be among them: older traces lack it.
func requiredKeys(k Kind) []string {
	switch k {
	case Run:
		return strings.Fields("v time mode runbook sources vars binary host user ticket previous")
	case Step:
		return strings.Fields("time step title text state why")
	case Op:
		return strings.Fields("time step op target pos user args changes")
	case Effect:
		return strings.Fields("time step call inputs argv path user stdin sets detail")
	case Probe:
		return strings.Fields("time argv code")
	case Result:
		return strings.Fields("time op target outcome assumed observed error hint elapsed_ms")
	case End:
		return strings.Fields("time outcome same changed failed skipped")
	case Log:
		return strings.Fields("time step text")
	}
	return []string{"time"}
}

// Keys returns the names of all fields that a line of this kind may have.
func (k Kind) Keys() []string {
	e := Event{Kind: k, Run: &RunInfo{}}
	keys := []string{"kind"}
	for _, s := range e.slots() {
		keys = append(keys, s.key)
	}
	return keys
}

// A slot is where an event holds the value of a key of its line.
type slot struct {
	key  string
	at   any  // a pointer to the value
	only Kind // the one kind whose lines have the key, if not all may have it
}

type slots []slot

// slots returns where e holds the values of its line, in the order in which
// those keys are written that are not required. e.Run is not nil.
func (e *Event) slots() slots {
	r, c, user := e.Run, &e.Counts, any(&e.User)
	if e.Kind == Run {
		user = &r.User
	}
	return slices.DeleteFunc(slots{
		{"v", &r.V, Run}, {"mode", &r.Mode, Run}, {"runbook", &r.Runbook, Run}, {"sources", &r.Sources, Run},
		{"vars", &r.Vars, Run}, {"binary", &r.Binary, Run}, {"host", &r.Host, Run}, {"ticket", &r.Ticket, Run},
		{"previous", &r.Previous, Run}, {"follows", &r.Follows, Run}, {"undo", &r.Undo, Run}, {"other_sources", &r.Edited, Run},
		{"approvals", &r.Approvals, Run}, {"policy", &r.Policy, Run}, {"confine", &r.Confine, Run}, {"snapshot", &r.Snapshot, Run},

		{"time", &e.Time, ""}, {"step", &e.Step, ""}, {"title", &e.Title, ""}, {"text", &e.Text, ""},
		{"state", &e.State, ""}, {"site", &e.Site, ""}, {"controls", &e.Controls, Step}, {"why", &e.Why, ""}, {"op", &e.Op, ""}, {"target", &e.Target, ""},
		{"pos", &e.Pos, ""}, {"user", user, ""}, {"args", &e.Args, ""}, {"read", &e.Read, ""}, {"changes", &e.Changes, ""},

		{"call", &e.Call, ""}, {"inputs", &e.Inputs, ""}, {"argv", &e.Argv, ""}, {"path", &e.Path, ""}, {"stdin", &e.Stdin, ""},
		{"sets", &e.Sets, ""}, {"detail", &e.Detail, ""}, {"fidelity", &e.Fidelity, Effect}, {"before", &e.Before, Effect}, {"whole", &e.Whole, ""},
		{"url", &e.URL, ""}, {"code", &e.Code, ""}, {"asker", &e.Asker, ""},

		{"outcome", &e.Outcome, ""}, {"assumed", &e.Assumed, ""}, {"observed", &e.Observed, ""},
		{"error", &e.Error, ""}, {"hint", &e.Hint, ""}, {"elapsed_ms", (*millis)(&e.Elapsed), Result},

		{"same", &c.Same, End}, {"changed", &c.Changed, End}, {"failed", &c.Failed, End}, {"skipped", &c.Skipped, End},
	}, func(s slot) bool { return s.only != "" && s.only != e.Kind })
}

// find returns the pointer of a key, nil if there is none.
func (table slots) find(key string) any {
	for _, s := range table {
		if s.key == key {
			return s.at
		}
	}
	return nil
}

// millis is a duration that a line holds in whole milliseconds.
type millis time.Duration

func (m millis) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, time.Duration(m).Milliseconds(), 10), nil
}

func (m *millis) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(string(b), 10, 64)
	*m = millis(time.Duration(n) * time.Millisecond)
	return err
}

// marshal returns v as JSON that is safe to look at: characters that a terminal
// or an editor would obey rather than show are escaped.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return Escape(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// Escape returns JSON without white space with hidden characters, such as DEL, C1
// controls and bidirectional controls, written as \uXXXX. JSON has them only inside
// strings, so the whole text is treated alike; package json has already escaped those below U+0020, and invalid
// UTF-8 as \ufffd. So U+FFFD itself is escaped too: an event that was read from a
// file is written with the same bytes.
func Escape(b []byte) []byte {
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
	b, _ := marshal(s) // every string has a JSON form
	return b
}

func empty(raw []byte) bool {
	return slices.Contains([]string{`""`, "[]", "{}", "0", "false", "null"}, string(raw))
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

// JSON returns what a line of a trace says of e, but for what depends on other lines and on when it happened.
func (e Event) JSON() ([]byte, error) {
	fs, err := fields(e)
	if err != nil {
		return nil, err
	}
	line := fmt.Appendf(nil, `{"kind":%s`, quoteJSON(string(e.Kind)))
	for _, f := range fs {
		if f.name != "time" && f.name != "elapsed_ms" {
			line = fmt.Appendf(line, ",%q:%s", f.name, f.raw)
		}
	}
	return append(line, '}'), nil
}
