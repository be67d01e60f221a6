package trace

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Verify reads a trace and computes all hashes and counts in it anew, from its
// bytes. It returns an error only if reading fails; what is wrong with the trace
// is in the report. A trace that stops without an end event is incomplete, not
// broken.
func Verify(r io.Reader) (Report, error) { return Scan(r, nil) }

// Scan is Verify that hands each event to f, up to the first line that is none.
func Scan(r io.Reader, f func(Event)) (Report, error) {
	v := &verifier{in: newLines(r), begun: map[string]bool{}, each: f, keys: map[Kind][]string{}}
	v.Head = zeroHash
	for {
		line, whole, err := v.in.next()
		switch {
		case errors.Is(err, errLong):
			v.broken("is longer than %d bytes", maxLine)
			err = io.EOF
		case err == nil && whole:
			v.line(line)
		case err == nil:
			v.torn(line)
		}
		if err == io.EOF {
			v.finish()
			return v.Report, nil
		}
		if err != nil {
			return v.Report, err
		}
	}
}

const mostProblems = 100

// A verifier reads one trace. Problems do not stop it: after each it goes on as
// if the line were right, so that one change is not reported a thousand times.
type verifier struct {
	Report
	in      *lines
	each    func(Event)     // takes what was read; nil from the first line that is no event
	seq     int             // of the line under way, 0 if it cannot be read
	ended   bool            // an end event was read
	step    string          // under way
	begun   map[string]bool // steps
	op      *Event          // under way
	effects []Event         // of op
	keys    map[Kind][]string
	failed  *Event // the result of the first op that failed
}

func (v *verifier) broken(format string, args ...any) {
	if len(v.Broken) < mostProblems {
		v.Broken = append(v.Broken, Problem{v.in.n, v.seq, fmt.Sprintf(format, args...)})
	}
}

func (v *verifier) line(line []byte) {
	v.Events++
	v.seq = 0
	e, members, err := decode(line)
	if err != nil {
		v.broken("is no event: %s", err)
		v.each = nil
		e.Seq = v.Seq + 1
	} else {
		v.seq = e.Seq
		for _, key := range v.keysOf(e.Kind) {
			if members.of(key) == nil && !laterKey(key) {
				v.broken("lacks %q", key)
			}
		}
		if v.event(e, line); v.each != nil {
			v.each(e)
		}
	}
	if what := unclean(line); what != "" {
		v.broken("%s", what)
	}
	if v.Seq = e.Seq; v.ended && e.Kind != End {
		v.broken("stands after the end event")
	}
	v.Head = hash(line)
}

// keysOf is requiredKeys, worked out once for each kind.
func (v *verifier) keysOf(k Kind) []string {
	keys, ok := v.keys[k]
	if !ok {
		keys = requiredKeys(k)
		if len(v.keys) < len(everyKind()) {
			v.keys[k] = keys
		}
	}
	return keys
}

// unclean says which bytes a line has that no trace is written with, "" if none.
func unclean(line []byte) string {
	if shows(line) {
		return ""
	}
	switch {
	case bytes.HasPrefix(line, []byte("\xef\xbb\xbf")):
		return "begins with a byte order mark"
	case bytes.IndexByte(line, '\r') >= 0:
		return "has a carriage return"
	case bytes.IndexByte(line, 0) >= 0:
		return "has a NUL byte"
	case !utf8.Valid(line):
		return "is not UTF-8"
	case bytes.ContainsFunc(line, func(r rune) bool { return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) }):
		return "has characters that are hidden, and not escaped"
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, line); err == nil && compact.Len() != len(line) {
		return "has white space between its members"
	}
	return ""
}

// shows reports whether a line has nothing but what shows in ASCII, and no white space outside of its strings.
func shows(line []byte) bool {
	inside := false
	for i, c := range line {
		switch {
		case c < ' ' || c >= 0x7f || c == ' ' && !inside:
			return false
		case c == '"' && (!inside || !escapes(line[:i])):
			inside = !inside
		}
	}
	return true
}

// escapes reports whether what follows b is escaped: an odd number of backslashes stand at its end.
func escapes(b []byte) bool {
	return (len(b)-len(bytes.TrimRight(b, `\\`)))%2 == 1
}

func (v *verifier) event(e Event, line []byte) {
	if e.Seq != v.Seq+1 {
		v.broken("got seq %d, want %d", e.Seq, v.Seq+1)
	}
	if e.Prev != v.Head {
		v.broken("prev is not the hash of the line before")
	}
	if first := v.Events == 1; first != (e.Kind == Run) {
		v.broken("got kind %q, want one run event, and that first", e.Kind)
	}
	v.Counts.Add(e)
	switch e.Kind {
	case Run:
		v.run(e)
	case Step:
		v.unfinished()
		v.inStep(e)
	case Op:
		v.unfinished()
		v.begin(e)
	case Effect:
		v.effect(e)
	case Result:
		v.result(e)
	case End:
		v.unfinished()
		v.end(e, line)
	case Probe, Log:
	default:
		v.broken("got kind %q, which no run writes", e.Kind)
	}
}

func (v *verifier) run(e Event) {
	v.Run = e.Run
	if e.Run.V != version {
		v.broken("got format version %d, want %d", e.Run.V, version)
	}
	if !slices.Contains([]string{RealRun, DryRun, Rehearsal}, e.Run.Mode) {
		v.broken("got mode %q, want %s, %s or %s", e.Run.Mode, RealRun, DryRun, Rehearsal)
	}
	if len(e.Run.Sources) == 0 {
		v.broken("names no sources, want the files that the runbook was read from")
	}
}

// inStep takes the beginning or the end of a step: one is under way at a time, and
// each only once.
func (v *verifier) inStep(e Event) {
	switch e.State {
	case Begin, LeftOut:
		if v.step != "" {
			v.broken("comes before the end of step %q", v.step)
		}
		if v.begun[e.Step] {
			v.broken("is step %q once more", e.Step)
		}
		if v.failed != nil {
			v.broken("comes after %s %q, which failed", v.failed.Op, v.failed.Target)
		}
		v.begun[e.Step] = true
	case Ended:
		if v.step != e.Step {
			v.broken("ends step %q, which is not under way", e.Step)
		}
		if v.failed != nil {
			v.broken("ends a step in which %s %q failed", v.failed.Op, v.failed.Target)
		}
	default:
		v.broken("got state %q, want %s, %s or %s", e.State, Begin, Ended, LeftOut)
	}
	if v.step = ""; e.State == Begin {
		v.step = e.Step
	}
}

// begin takes an op. What fails ends the run, but for requirements, which gather.
func (v *verifier) begin(e Event) {
	if e.Step != v.step || e.Step == "" {
		v.broken("is an op of step %q, which is not under way", e.Step)
	}
	if v.failed != nil && (e.Op != "require" || v.failed.Op != "require") {
		v.broken("comes after %s %q, which failed", v.failed.Op, v.failed.Target)
	}
	v.op = &e
}

func (v *verifier) effect(e Event) {
	switch calls := calls(); {
	case v.op == nil:
		v.broken("is an effect outside of an op: %s", describe(e))
	case v.op.Step != e.Step:
		v.broken("is an effect of step %q, want step %q of %s %q", e.Step, v.op.Step, v.op.Op, v.op.Target)
	case !slices.Contains(calls, e.Call):
		v.broken("got call %q, want one of %s", e.Call, strings.Join(calls, ", "))
	}
	v.effects = append(v.effects, e)
}

func (v *verifier) result(e Event) {
	switch {
	case v.op == nil:
		v.broken("is a result without an op")
	case v.op.Op != e.Op || v.op.Target != e.Target || v.op.Step != e.Step && e.Step != "":
		v.broken("is the result of %s %q, want that of %s %q", e.Op, e.Target, v.op.Op, v.op.Target)
	case (e.Outcome == Same || e.Outcome == Skipped) && len(v.effects)+len(v.op.Changes) > 0:
		v.broken("is %s, but the op has %d changes and %d effects", e.Outcome, len(v.op.Changes), len(v.effects))
	}
	switch e.Outcome {
	case Same, Skipped:
	case Changed:
		if v.op != nil && len(v.effects)+len(v.op.Changes) == 0 {
			v.broken("is %s, but the op has no changes and no effects", e.Outcome)
		}
	case Failed:
		v.failed = cmp.Or(v.failed, &e)
	default:
		v.broken("got outcome %q, want same, changed, failed or skipped", e.Outcome)
	}
	if e.Elapsed < 0 {
		v.broken("took %s", e.Elapsed)
	}
	v.op, v.effects = nil, nil
}

// unfinished reports an op without a result that other events follow.
func (v *verifier) unfinished() {
	if v.op != nil {
		v.broken("comes before the result of event %d, %s %q", v.op.Seq, v.op.Op, v.op.Target)
	}
	v.op, v.effects = nil, nil
}

func (v *verifier) end(e Event, line []byte) {
	if v.ended {
		v.broken("is another end event")
	}
	switch e.Outcome {
	case Failed, Interrupted:
	case Done:
		if v.failed != nil {
			v.broken("is done, although %s %q failed", v.failed.Op, v.failed.Target)
		}
		if v.step != "" {
			v.broken("is done before the end of step %q", v.step)
		}
		if e.Error != "" {
			v.broken("is done, with an error")
		}
	default:
		v.broken("got outcome %q, want done, failed or interrupted", e.Outcome)
	}
	if e.Counts != v.Counts {
		v.broken("counts %s; the lines before have %s", e.Counts, v.Counts)
	}
	if !sealed(line) {
		v.broken("does not carry its seal")
	}
	v.ended, v.Outcome = true, e.Outcome
}

// sealed reports whether a line ends in the hash of what stands before it.
func sealed(line []byte) bool {
	i := bytes.LastIndex(line, []byte(`,"seal"`))
	return i >= 0 && string(line[i:]) == fmt.Sprintf(`,"seal":%q}`, hash(line[:i]))
}

// torn takes a last line without a newline: a write or a copy was cut off.
func (v *verifier) torn(line []byte) {
	if v.seq = 0; v.ended {
		v.broken("%d bytes stand after the end event", len(line))
	}
	v.ended = false
}

func (v *verifier) finish() {
	v.Complete = v.ended
	if !v.ended {
		v.Begun = v.effects
	}
	v.conclude()
}
