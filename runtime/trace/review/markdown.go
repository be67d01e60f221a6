package review

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"runbook/runtime/trace"
)

// markdown writes the document of a trace, with what is relevant to security, assumed or unknown before the steps.
func (r *Report) markdown(w io.Writer) error {
	b := bufio.NewWriter(w)
	if r.Trouble != "" {
		fmt.Fprintf(b, "**%s**\n\n", trace.Prose(r.Trouble))
	}
	doc, first := trace.NewMarkdown(b), true
	err := r.each(func(e trace.Event) error {
		if err := doc.Emit(e); err != nil {
			return err
		}
		if first {
			first = false
			r.preface(b)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.Flush()
}

// preface writes what is told before the steps.
func (r *Report) preface(b *bufio.Writer) {
	head := r.Verified.Head
	fmt.Fprintf(b, "\nHead: %s, in short %s\n", trace.CodeSpan(head), trace.CodeSpan(trace.Short(head)))
	if r.beside != nil {
		r.beside.markdown(b)
	}
	fmt.Fprintf(b, "\n## Relevant to security\n")
	none := true
	for i, c := range Classes() {
		if len(r.Findings[i]) > 0 {
			none = false
			fmt.Fprintf(b, "\n### %s\n\n", c.Title)
			writeNotes(b, list{r.Findings[i], r.more[i]})
		}
	}
	if none {
		fmt.Fprintln(b, "\nNothing that this program knows of.")
	}
	for _, l := range []struct {
		title string
		list  list
	}{{"Assumed", r.Assumed}, {"Unknown", r.Unknown}, {"What people do", r.Persons}, {"Failed", r.Failed}} {
		if l.list.Len() > 0 {
			fmt.Fprintf(b, "\n## %s\n\n", l.title)
			writeNotes(b, l.list)
		}
	}
}

func writeNotes(b *bufio.Writer, l list) {
	for _, n := range l.Notes {
		look := map[bool]string{true: "**look:** "}[n.Warn]
		where := strings.TrimSpace(trace.Prose(n.Step) + " " + trace.CodeSpan(n.Pos))
		fmt.Fprintf(b, "- %s%s (%s)\n", look, trace.Prose(n.Text), where)
	}
	if l.More > 0 {
		fmt.Fprintf(b, "- **%d more are not in this list; each stands at its op in the steps below**\n", l.More)
	}
}
