package trace

import (
	"bytes"
	"strings"
	"time"
)

const (
	column = len("changed") // width of markers
	below  = "           "  // indent of what belongs to an op's line
)

// line adds a line, which has passed Quote, to what is shown next.
func (t *Terminal) line(indent, text string) {
	if t.heading != "" { // of a quiet step, which now has something to say
		t.out.WriteString(t.heading + "\n")
		t.heading = ""
	}
	t.out.WriteString(strings.TrimRight(indent+text, " ") + "\n")
}

// block adds lines that have not passed Quote.
func (t *Terminal) block(indent, text string) {
	for s := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if s != "" {
			t.line(indent, Quote(s))
		}
	}
}

// flush writes what was added, above the live line.
func (t *Terminal) flush() {
	var b bytes.Buffer
	if t.drawn {
		b.WriteString("\r\x1b[K") // to the beginning, erase to the end: every terminal's
	}
	t.out.WriteTo(&b)
	if t.drawn = t.opts.Live && (t.op.Kind != "" || t.progress != ""); t.drawn {
		b.WriteString(t.paint.dim.Sprint(cut(t.live(), t.opts.Width-1)))
	}
	if b.Len() > 0 {
		t.w.Write(b.Bytes())
	}
}

// live is the line of the op under way. Before it has begun it looks at the machine.
func (t *Terminal) live() string {
	if t.op.Kind == "" {
		return "  " + pad("...", column) + inWords("  ", t.progress)
	}
	s := "  " + pad("...", column) + "  " + t.name(t.op) + inWords("  ", t.progress)
	if len(t.tail) > 0 {
		s += inWords("  | ", t.tail[len(t.tail)-1])
	}
	return s
}

// name is builtin and target of an op or a result.
func (t *Terminal) name(e Event) string { return pad(Quote(e.Op), 10) + " " + Quote(e.Target) }

func (t *Terminal) marker(o Outcome) string {
	switch {
	case o == Same:
		return "ok"
	case o == Changed && t.dry:
		return "would"
	}
	return Quote(string(o))
}

// inWords puts before between a text and what comes before it, if there is a text.
func inWords(before, text string) string {
	if text == "" {
		return ""
	}
	return before + Quote(text)
}

// spent returns d as people say it.
func spent(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}
