package trace

import (
	"fmt"
	"io"
	"strings"
)

// Formats returns the formats that Show takes.
func Formats() []string { return []string{"text", "sh", "json", "md"} }

// Show writes events as text, broken for a terminal of so many columns if there is one,
// as a shell script, as the lines of a trace file, or as a Markdown document. The lines
// are those of the file that the events were read from, byte for byte, if this version
// knows all their keys.
func Show(w io.Writer, events []Event, format string, columns int) error {
	var s Sink
	switch format {
	case "text":
		s = NewTerminal(w, Options{Whole: true, Width: columns})
	case "sh":
		s = NewShell(w)
	case "json":
		s = &jsonl{w: w}
	case "md":
		s = &markdown{w: w}
	default:
		return fmt.Errorf("format %s: want one of %s", format, strings.Join(Formats(), ", "))
	}
	for _, e := range events {
		if err := s.Emit(e); err != nil {
			return err
		}
	}
	if sh, ok := s.(*shell); ok {
		return sh.finish() // of a trace without an end, too
	}
	return nil
}
