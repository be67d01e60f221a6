package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Verify reads a trace and computes all hashes and counts in it anew, from its
// bytes. It returns an error only if reading fails; what is wrong with the trace
// is in the report. A trace that stops without an end event is incomplete, not
// broken.
func Verify(r io.Reader) (Report, error) {
	v := &verifier{in: newLines(r)}
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
	seq     int     // of the line under way, 0 if it cannot be read
	ended   bool    // an end event was read
	op      *Event  // under way
	effects []Event // of op
}

func (v *verifier) broken(format string, args ...any) {
	if len(v.Broken) < mostProblems {
		v.Broken = append(v.Broken, Problem{v.in.n, v.seq, fmt.Sprintf(format, args...)})
	}
}

func (v *verifier) line(line []byte) {
	v.Events++
	v.seq = 0
	e, err := decode(line)
	if err != nil {
		v.broken("is no event: %s", err)
		e.Seq = v.Seq + 1
	} else {
		v.seq = e.Seq
		v.event(e, line)
	}
	if what := unclean(line); what != "" {
		v.broken("%s", what)
	}
	if v.Seq = e.Seq; v.ended && e.Kind != End {
		v.broken("stands after the end event")
	}
	v.Head = hash(line)
}

// unclean says which bytes a line has that no trace is written with, "" if none.
func unclean(line []byte) string {
	switch {
	case bytes.HasPrefix(line, []byte("\xef\xbb\xbf")):
		return "begins with a byte order mark"
	case bytes.IndexByte(line, '\r') >= 0:
		return "has a carriage return"
	case bytes.IndexByte(line, 0) >= 0:
		return "has a NUL byte"
	case !utf8.Valid(line):
		return "is not UTF-8"
	}
	return ""
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
		v.Run = e.Run
		if e.Run.V != version {
			v.broken("got format version %d, want %d", e.Run.V, version)
		}
	case Op:
		v.unfinished()
		v.op = &e
	case Effect:
		v.effects = append(v.effects, e)
	case Result:
		v.result(e)
	case End:
		v.end(e, line)
	}
}

func (v *verifier) result(e Event) {
	switch {
	case v.op == nil:
		v.broken("is a result without an op")
	case v.op.Op != e.Op || v.op.Target != e.Target || v.op.Step != e.Step && e.Step != "":
		v.broken("is the result of %s %q, want that of %s %q", e.Op, e.Target, v.op.Op, v.op.Target)
	}
	switch e.Outcome {
	case Same, Changed, Failed, Skipped:
	default:
		v.broken("got outcome %q, want same, changed, failed or skipped", e.Outcome)
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
	v.unfinished()
	if v.ended {
		v.broken("is another end event")
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
