package trace

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote returns s in a form that can be shown: on one line, and with characters
// that a terminal would obey rather than print written as \n, \x1b, \u202e.
// Everything that comes from outside passes through it before a person sees it.
func Quote(s string) string {
	if strings.IndexFunc(s, hidden) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\t':
			b.WriteString("    ")
		case r == '\n':
			b.WriteString(`\n`)
		case !hidden(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		s = s[n:]
	}
	return b.String()
}

// hidden reports whether r does not show as itself.
func hidden(r rune) bool { return !unicode.IsPrint(r) }

// cut returns at most width columns of s, which has passed Quote.
func cut(s string, width int) string {
	columns := 0
	for i, r := range s {
		if columns += columnsOf(r); columns > width {
			return trimTo(s[:i], width-1) + "…"
		}
	}
	return s
}

func trimTo(s string, width int) string {
	columns := 0
	for i, r := range s {
		if columns += columnsOf(r); columns > width {
			return s[:i]
		}
	}
	return s
}

// columnsOf is how wide a terminal may show r: two columns from Hangul on. Where
// that is too many, lines are cut early.
func columnsOf(r rune) int {
	if r >= 0x1100 {
		return 2
	}
	return 1
}

// pad returns s with spaces up to width columns.
func pad(s string, width int) string {
	for _, r := range s {
		width -= columnsOf(r)
	}
	return s + strings.Repeat(" ", max(width, 0))
}
