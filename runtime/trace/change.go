package trace

import (
	"fmt"
	"slices"
	"strings"

	"runbook/runtime/host"
)

// A changeLine is a line of a change as people see it.
type changeLine struct {
	sign byte // '-' or '+' for lines of a text that are removed or added, else ' '
	text string
}

// changeLines returns the lines that show changes: one for a value, those that
// differ for a text.
// At most limit lines of each text are shown, and width columns of each line.
func changeLines(changes []host.Change, limit, width int) (all []changeLine) {
	column := 0
	for _, c := range changes {
		if !isText(c) && len(c.What) <= 16 {
			column = max(column, len(c.What))
		}
	}
	for _, c := range changes {
		if !isText(c) {
			line := strings.TrimSpace(pad(Quote(c.What), column) + "  " + fromTo(c))
			all = append(all, changeLine{' ', cut(line, width)})
			continue
		}
		at, lines := textDiff(c.From, c.To, limit)
		head := Quote(c.What)
		if at > 1 {
			head += fmt.Sprintf(", from line %d", at)
		}
		all = append(all, changeLine{' ', cut(head, width)})
		for _, l := range lines {
			all = append(all, changeLine{l[0], cut(Quote(l), width)})
		}
	}
	return all
}

func isText(c host.Change) bool {
	return strings.Contains(c.From+c.To, "\n")
}

func fromTo(c host.Change) string {
	from, to := Quote(c.From), Quote(c.To)
	switch {
	case from == "":
		return to
	case to == "":
		return from + " -> (none)"
	}
	return from + " -> " + to
}

// textDiff returns the lines between what two texts have in common at their
// beginning and end, at most limit removed and limit added ones, and the number
// of the first.
func textDiff(from, to string, limit int) (at int, lines []string) {
	a, b := linesOf(from), linesOf(to)
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	a, b = a[same:], b[same:]
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return same + 1, slices.Concat(signed("-", a, limit), signed("+", b, limit))
}

func linesOf(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

func signed(sign string, lines []string, limit int) (out []string) {
	for i, l := range lines {
		if i == limit {
			return append(out, fmt.Sprintf("%s (%d more)", sign, len(lines)-i))
		}
		out = append(out, sign+" "+l)
	}
	return out
}
