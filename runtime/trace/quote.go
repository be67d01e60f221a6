package trace

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Brief is Quote of a name, which may be long but not endless: words of a command, for example.
func Brief(s string) string {
	const most, shown = 2000, 500 // bytes
	if len(s) <= most {
		return Quote(s)
	}
	return Quote(strings.ToValidUTF8(s[:shown], "")) + fmt.Sprintf("... (%d bytes)", len(s))
}

// Quote returns s in a form that can be shown: on one line, and with characters
// that a terminal would obey rather than print written as \n, \x1b, \u202e.
// Everything that comes from outside passes through it before a person sees it.
func Quote(s string) string {
	if strings.IndexFunc(s, suspect) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	pile := 0
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if pile++; !unicode.In(r, unicode.Mn, unicode.Me) {
			pile = 0
		}
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\t':
			b.WriteString("    ")
		case r == '\n':
			b.WriteString(`\n`)
		case !hidden(r) && pile <= accents:
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

// Continued returns a line of an error after its first one, set off if it begins like
// something that the program itself says.
func Continued(line string) string {
	for _, own := range strings.Fields("runbook: hint: called assumed: does at argv_exposed: | ==") {
		if strings.HasPrefix(strings.TrimSpace(line), own) {
			return "    " + line
		}
	}
	return line
}

// accents is how many marks may stand on a letter. More would cover what is around it.
const accents = 2

// hidden reports whether r does not show as itself: it is a control, or blank.
func hidden(r rune) bool {
	if r >= ' ' && r < 0x7f {
		return false
	}
	switch r {
	case '\u2800', '\U0001d159':
		return true
	case '\ufe0e', '\ufe0f': // behind an emoji: text or picture
		return false
	}
	return !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// suspect reports whether r may have to be escaped.
func suspect(r rune) bool { return r > 0xff && unicode.In(r, unicode.Mn, unicode.Me) || hidden(r) }

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
	if r >= 0x1100 && r != '…' { // which this package writes itself
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
