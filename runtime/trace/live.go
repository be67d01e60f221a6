package trace

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"
)

// The live line is the last one of a terminal, while an op is under way: which op it is, how far it is, and what its
// command printed last. What does not fit is left out of the name first, then of what the command printed.

// Tail takes a line that the command under way has printed; with ended unset one that may still be written over, such
// as a bar of progress, which only a live line shows.
func (t *Terminal) Tail(line string, ended bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line = strings.TrimRight(line, "\r\n")
	t.last = Quote(line[strings.LastIndexByte(line, '\r')+1:]) // what a terminal would show of it
	if ended {
		if t.tail = append(t.tail, t.last); len(t.tail) > tailLines {
			t.tail = t.tail[1:]
		}
		if t.opts.Verbose {
			t.raw(below, t.paint.dim.Sprint("| "+t.last))
		}
	}
	t.flush()
}

// Progress takes how far the op under way is. Where no line is live it becomes
// a line now and then.
func (t *Terminal) Progress(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.progress = Quote(text)
	switch now := t.opts.Now(); {
	case t.opts.Live || t.opts.Quiet:
	case t.progressAt.IsZero():
		t.progressAt = now
	case now.Sub(t.progressAt) >= between:
		t.progressAt = now
		name := ""
		if t.op.Kind != "" {
			name = nameOf(t.op) + "  "
		}
		t.line("  ", t.paint.dim.Sprint(pad("...", column)+"  "+name+t.progress))
	}
	t.flush()
}

// flush writes what was added, above the live line.
func (t *Terminal) flush() {
	var b bytes.Buffer
	if t.drawn {
		b.WriteString("\r\x1b[K") // to the beginning, erase to the end: every terminal obeys this
	}
	t.out.WriteTo(&b)
	if t.drawn = t.opts.Live && (t.op.Kind != "" || t.progress != ""); t.drawn {
		b.WriteString(t.paint.dim.Sprint(t.live()))
	}
	if b.Len() > 0 {
		t.w.Write(b.Bytes())
	}
}

// tick keeps the time that the op under way takes on the live line, until it ends. Where a person may be asked nothing
// moves: what is typed would be written over.
func (t *Terminal) tick() {
	if !t.opts.Live || t.opts.Still || t.op.Op == "confirm" || t.op.Op == "manual" {
		return
	}
	t.clock = time.AfterFunc(time.Second, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.op.Kind != "" {
			t.flush()
			t.clock.Reset(time.Second)
		}
	})
}

// still ends what tick began.
func (t *Terminal) still() {
	if t.clock != nil {
		t.clock.Stop()
	}
}

const (
	leastName  = 12 // columns of the live line that a name gets, if it is shown
	leastTail  = 20 // and what a command printed
	elapsedMin = time.Second
)

// live is the line of the op under way. An op that still checks counts as not begun:
// then there is only its progress.
func (t *Terminal) live() string {
	const marker, bar = "  ...      ", "  | "
	room := t.columns() - 1 - len(marker)
	if t.op.Kind == "" {
		return marker + ending(t.progress, room)
	}
	far := t.progress
	if spent := t.opts.Now().Sub(t.began); far == "" && spent >= elapsedMin && spent < 1000*time.Hour {
		far = spent.Truncate(time.Second).String()
	}
	op, target, right, tail := Quote(t.op.Op), targetOf(t.op), prefixed("  ", far), t.last
	s := pad(op, 10) + " "
	left := room - widthOf(s+right)
	name := left
	if tail != "" { // which gets the half, if it needs that much
		name = max(leastName, left-len(bar)-min(widthOf(tail), max(leastTail, left/2)))
	}
	switch {
	case left >= min(leastName, widthOf(target)):
		s += shortName(target, min(name, left))
	case widthOf(op+right) <= room:
		s = op
	default:
		s, right = "", far
	}
	s = strings.TrimRight(s, " ") + ending(right, room-widthOf(s))
	if left = room - widthOf(s+bar); tail != "" && left >= min(widthOf(tail), leastTail/2) {
		s += bar + cut(tail, left)
	}
	return marker + s
}

// columns is the width of the live line.
func (t *Terminal) columns() int {
	if t.opts.Width > 0 {
		return t.opts.Width
	}
	return 80
}

// shortName returns a name in at most width columns: of a path the last parts, of words the first.
func shortName(s string, width int) string {
	if widthOf(s) <= width {
		return s
	}
	if !strings.HasPrefix(s, "/") || strings.Contains(s, " ") {
		return cut(s, width)
	}
	for i := 1; i < len(s); i++ {
		if s[i] == '/' && widthOf(s[i:]) < width {
			return "…" + s[i:]
		}
	}
	return ending(s, width)
}

// ending returns the end of s, in at most width columns: of what is told of progress it has the rate and the time left.
func ending(s string, width int) string {
	if widthOf(s) <= width {
		return s
	}
	columns, from := 1, len(s) // the ellipsis
	for from > 0 {
		r, size := utf8.DecodeLastRuneInString(s[:from])
		if columns += columnsOf(r); columns > width {
			break
		}
		from -= size
	}
	if width < 1 {
		return ""
	}
	return "…" + s[from:]
}
