package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"runbook/runtime"
	"runbook/runtime/trace"
)

// longestExcerpt is how many columns of a line are shown around a mistake where no terminal has fewer.
const longestExcerpt = 100

// excerpt writes the line in which a diagnostic starts, and marks what is meant below it. At most so many columns of it
// are shown.
func excerpt(w io.Writer, d runtime.Diagnostic, most int) {
	if d.Start.Line == 0 || strings.TrimSpace(d.Line) == "" {
		return
	}
	line := []rune(d.Line)
	from := min(d.Start.Column-1, len(line))
	to := len(line)
	if d.End.Line == d.Start.Line {
		to = min(max(d.End.Column-1, from), len(line))
	}
	before, marked, after := string(line[:from]), string(line[from:to]), string(line[to:])
	before, marked, after = trace.Quote(before), trace.Quote(strings.TrimRight(marked, " \t")), trace.Quote(after)
	if width(before) > most/2 && width(before+marked+after) > most {
		before = "..." + lastColumns(before, most/4)
	}
	shown := firstColumns(before+marked+after, most)
	carets := min(max(width(marked), 1), max(width(shown)-width(before), 1))
	fmt.Fprintf(w, "  | %s\n  | %s%s\n", shown, strings.Repeat(" ", width(before)), strings.Repeat("^", carets))
}

// firstColumns cuts a text that is too long.
func firstColumns(s string, most int) string {
	if width(s) <= most {
		return s
	}
	n := 0
	for i, r := range s {
		if n += width(string(r)); n > most-3 {
			return s[:i] + "..."
		}
	}
	return s
}

// lastColumns returns the end of a text.
func lastColumns(s string, most int) string {
	runes := []rune(s)
	n := 0
	for i := len(runes) - 1; i >= 0; i-- {
		if n += width(string(runes[i])); n > most {
			return string(runes[i+1:])
		}
	}
	return s
}

// wide are the characters that take two columns of a terminal.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{{0x1100, 0x115f, 1}, {0x2e80, 0x303e, 1}, {0x3041, 0xa4cf, 1}, {0xac00, 0xd7a3, 1},
		{0xf900, 0xfaff, 1}, {0xfe30, 0xfe6f, 1}, {0xff00, 0xff60, 1}, {0xffe0, 0xffe6, 1}},
	R32: []unicode.Range32{{0x1f300, 0x1f64f, 1}, {0x1f900, 0x1f9ff, 1}, {0x20000, 0x3fffd, 1}},
}

// width returns how many columns a text takes.
func width(s string) (columns int) {
	for _, r := range s {
		switch {
		case unicode.In(r, wide):
			columns += 2
		case !unicode.In(r, unicode.Mn, unicode.Me):
			columns++
		}
	}
	return columns
}
