package trace

import (
	"bytes"
	"io"
)

// Output returns a writer that gives each line written to it to Tail. A carriage
// return ends a line too: programs draw their progress with it. What follows the
// last line end is kept until there is another.
func (t *Terminal) Output() io.Writer { return &tailWriter{tail: t.Tail} }

// longest is how many bytes without a line end are kept.
const longest = 4096

type tailWriter struct {
	tail func(line string)
	rest []byte
}

// Write never errs.
func (w *tailWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		i, next := bytes.IndexAny(w.rest, "\r\n"), 0
		switch {
		case i >= 0:
			next = i + 1
		case len(w.rest) > longest:
			i, next = longest, longest
		default:
			return len(p), nil
		}
		if i > 0 {
			w.tail(string(w.rest[:i]))
		}
		w.rest = w.rest[next:]
	}
}
