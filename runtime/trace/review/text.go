package review

import (
	"fmt"
	"io"

	"runbook/runtime/trace"
)

// Text writes the trace as a terminal of so many columns shows it (see [trace.Show]), with what is relevant to
// security, assumed or unknown before the steps.
func (r *Report) Text(w io.Writer, columns int) error {
	shown, first := trace.NewTerminal(w, trace.Options{Whole: true, Width: columns}), true
	return r.each(func(e trace.Event) error {
		if err := shown.Emit(e); err != nil || !first {
			return err
		}
		first = false
		for i, c := range Classes() {
			r.textNotes(w, c.Title, list{r.Findings[i], r.more[i]})
		}
		r.textNotes(w, "Assumed", r.Assumed)
		r.textNotes(w, "Unknown", r.Unknown)
		return nil
	})
}

func (r *Report) textNotes(w io.Writer, title string, l list) {
	if l.Len() == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, n := range l.Notes {
		mark := map[bool]string{true: "look"}[n.Warn]
		fmt.Fprintf(w, "  %-6s %s  (%s)\n", mark, n.Text, trace.Quote(n.Step+prefixed(" ", n.Pos)))
	}
	if l.More > 0 {
		fmt.Fprintf(w, "         %d more are not in this list; each stands at its op in the steps below\n", l.More)
	}
}
