package trace

import (
	"regexp"
	"strings"
)

// Wrap breaks a line between words so that none of what it returns is wider than width columns. All but the first begin
// with hang spaces. A line keeps its own indent and the spaces between words that stay together. A word that no line
// could hold, such as a long path or URL, stays whole: a terminal folds it, and it can be copied. The line must have
// passed Quote; colours of a palette take no column. A width of 0 breaks nothing.
func Wrap(line string, width, hang int) (lines []string) {
	if width <= 0 || widthOf(line) <= width {
		return []string{line}
	}
	line, hang = strings.TrimRight(line, " "), min(hang, width/2)
	var b strings.Builder
	column, words := 0, 0
	for line != "" {
		rest := strings.TrimLeft(line, " ")
		end := strings.IndexByte(rest, ' ')
		if end < 0 {
			end = len(rest)
		}
		gap, word := len(line)-len(rest), rest[:end]
		wide := widthOf(word)
		if over := column+gap+wide > width; over && words > 0 && column+gap > hang && wide <= width-hang {
			lines = append(lines, b.String())
			b.Reset()
			column, gap, words = 0, hang, 0
		}
		b.WriteString(strings.Repeat(" ", gap) + word)
		column += gap + wide
		words++
		line = rest[end:]
	}
	return append(lines, b.String())
}

// paints matches what a palette adds to a text.
var paints = regexp.MustCompile("\x1b\\[[0-9;]*m")

// widthOf is how many columns a terminal may show s in.
func widthOf(s string) (columns int) {
	if strings.IndexByte(s, '\x1b') >= 0 {
		s = paints.ReplaceAllString(s, "")
	}
	for _, r := range s {
		columns += columnsOf(r)
	}
	return columns
}
