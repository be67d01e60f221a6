package trace

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote returns s as it may be shown: on one line, and without a character that
// a terminal would obey rather than print. Such are written as \n, \x1b, \u202e.
// All that comes from outside passes here before a person sees it.
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

// hidden tells characters that do not show as themselves.
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

// columnsOf is how wide a terminal may show r: two columns for the scripts from
// Hangul on. Too many only cuts early.
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
