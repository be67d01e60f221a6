package trace

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"runbook/runtime/host"
)

// A changeLine is a line of a change as people see it. It has passed Quote.
type changeLine struct {
	sign byte // '-' or '+' for lines of a text that are removed or added, else ' '
	text string
}

// changesOf returns the changes of op, as people should see them: with what its
// command reads.
func changesOf(op Event) []host.Change {
	input, _ := op.Args["stdin"].(string)
	if input == "" || len(op.Changes) == 0 {
		return op.Changes
	}
	return append(slices.Clone(op.Changes), host.Change{What: "input", To: input})
}

// changeLines returns the lines that show changes: one for a value, unified hunks
// for a text. Of the hunks of each text at most limit lines are shown, the first and
// the last ones, with a line that counts those left out and says where they are; all
// if limit is 0.
func changeLines(changes []host.Change, limit int, where string) (all []changeLine) {
	column := 0
	for _, c := range changes {
		if !isText(c) && len(c.What) <= 16 {
			column = max(column, len(c.What))
		}
	}
	for _, c := range changes {
		if !isText(c) {
			line := strings.TrimSpace(pad(Quote(c.What), column) + "  " + fromTo(c))
			all = append(all, changeLine{' ', line})
			continue
		}
		head, lines := hunks(c)
		all = append(append(all, changeLine{' ', head}), shortened(lines, limit, where)...)
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

// hunks returns how a text changes, and a head for that. What stands in the place of
// a text, such as how long it was, is in the head.
func hunks(c host.Change) (head string, lines []changeLine) {
	head = Quote(c.What)
	from, to := c.From, c.To
	if from != "" && !strings.Contains(from, "\n") {
		head, from = head+", from "+Quote(from), ""
	}
	if to == "(empty)" {
		head, to = head+", to "+to, ""
	}
	texts := unified(from, to)
	if from != "" && to != "" {
		if other := unified(numbered(from), numbered(to)); len(other) < len(texts) {
			texts = unnumbered(other)
		}
	} else if len(texts) > 0 {
		texts = texts[1:] // there is one hunk, which has all
	}
	for _, l := range texts {
		sign := l[0]
		if sign != '-' && sign != '+' {
			sign = ' '
		}
		if sign != ' ' {
			l = blanks(l)
		}
		lines = append(lines, changeLine{sign, Quote(l)})
	}
	return head, lines
}

// blanks returns a changed line with the white space seen that a page does not show: tabs, and what is at its end.
func blanks(line string) string {
	body := strings.TrimRight(line[1:], " \t\r")
	end := strings.ReplaceAll(line[1+len(body):], " ", `\x20`)
	return line[:1] + strings.ReplaceAll(strings.ReplaceAll(body+end, "\t", `\t`), "\r", `\r`)
}

// unified returns the lines of the hunks between two texts.
func unified(from, to string) []string {
	_, text, _ := strings.Cut(string(diff.Diff("a", []byte(from), "b", []byte(to))), "\n+++ b\n")
	return linesOf(text)
}

// numbered ends the first, second, ... line of those that are equal in a number.
// Package diff takes hold of unique lines only: it finds none in a list of equal ones.
func numbered(text string) string {
	seen := map[string]int{}
	lines := strings.SplitAfter(text, "\n")
	for i, l := range lines {
		if body, newline := strings.CutSuffix(l, "\n"); l != "" {
			seen[body]++
			lines[i] = fmt.Sprintf("%s\x00%d%s", body, seen[body], map[bool]string{true: "\n"}[newline])
		}
	}
	return strings.Join(lines, "")
}

func unnumbered(lines []string) []string {
	for i, l := range lines {
		if end := strings.LastIndexByte(l, 0); end >= 0 { // heads of hunks have none
			lines[i] = l[:end]
		}
	}
	return lines
}

// shortened returns the first and the last of lines, and between them how many are
// not shown.
func shortened(lines []changeLine, limit int, where string) []changeLine {
	if limit == 0 || len(lines) <= limit {
		return lines
	}
	tail := len(lines) - limit/4
	head := limit - limit/4
	count := map[byte]int{}
	for _, l := range lines[head:tail] {
		count[l.sign]++
	}
	text := fmt.Sprintf("(%d lines left out: %d added, %d removed; %s)", tail-head, count['+'], count['-'], where)
	return slices.Concat(lines[:head], []changeLine{{' ', text}}, lines[tail:])
}

func linesOf(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// describe returns an event in a few words, which have not passed Quote.
func describe(e Event) string {
	var words []string
	switch e.Kind {
	case Run:
		if words = []string{"run"}; e.Run != nil {
			words = append(words, "of", e.Run.Runbook)
		}
	case Step:
		words = []string{"step", e.Step, e.State}
	case Op:
		words = []string{"op", e.Op, e.Target}
	case Effect:
		words = append([]string{e.Call}, cmp.Or(e.Path, Spaced(e.Argv)))
	case Probe:
		words = []string{cmp.Or(e.Asker, "probe"), cmp.Or(e.URL, Spaced(e.Argv))}
	case Result:
		words = []string{"result", string(e.Outcome), e.Op, e.Target}
	default:
		words = []string{string(e.Kind)}
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

// Spaced joins words; those that would not look like one word are quoted.
func Spaced(argv []string) string {
	words := slices.Clone(argv)
	for i, a := range words {
		if a == "" || strings.ContainsAny(a, " \t\n'\"") {
			words[i] = fmt.Sprintf("%q", a)
		}
	}
	return strings.Join(words, " ")
}

// aspects says of an effect what its name does not: as whom a command runs, and
// where, and with what; whose signatures it checks; mode and owner of what is written. It leaves out what changes
// say, and runner, who runs all else.
func aspects(e Event, runner string, changes ...host.Change) string {
	var parts []string
	add := func(format, value string) {
		told := func(c host.Change) bool {
			return c.What == strings.TrimSuffix(format, " %s") && c.To == value ||
				c.What == e.Path && strings.Contains(c.To, value)
		}
		if value != "" && !slices.ContainsFunc(changes, told) {
			parts = append(parts, fmt.Sprintf(format, value))
		}
	}
	text := func(key string) string { return detailText(e.Detail, key) }
	if e.Call == "exec" && e.User != runner {
		add("as %s", e.User)
	}
	add("in %s", text("cwd"))
	env := environment(e)
	for _, k := range slices.Sorted(maps.Keys(env)) {
		add("%s", k+"="+env[k])
	}
	add("confined to %s", heldTo(e))
	if strings.HasPrefix(e.Stdin, "<secret:") {
		add("input %s", e.Stdin)
	} else {
		add("input sha256 %s", trimTo(e.Stdin, 16))
	}
	for _, key := range []string{"mode", "owner", "group", "from", "target"} {
		add(key+" %s", text(key))
	}
	add("signatures %s", text("signatures"))
	if n := text("files"); n != "1" {
		add("files %s", n)
	}
	return Quote(strings.Join(parts, ", "))
}

// readings says which files of the machine an effect reads, and what they hold.
func readings(e Event) (lines []string) {
	for _, in := range e.Inputs {
		line := "reads " + in.Path
		if in.SHA256 != "" {
			line += ", sha256 " + in.SHA256
		}
		if in.MD5 != "" {
			line += ", md5 " + in.MD5
		}
		lines = append(lines, Quote(line))
	}
	return lines
}

// exposure warns of secrets that the command of an effect shows to everybody; "" if
// it shows none.
func exposure(e Event) string {
	var names []string
	switch v := e.Detail["argv_exposed"].(type) {
	case []string:
		names = v
	case []any: // of an event that was read from a file
		for _, name := range v {
			names = append(names, fmt.Sprint(name))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return Quote("argv_exposed: while it runs, every account can see the secret " + strings.Join(names, ", "))
}

// targets reports whether the line of op names already what e acts on.
func targets(op, e Event) bool {
	if e.Call == "exec" {
		return op.Target == Spaced(e.Argv) || op.Target == shellWords(e.Argv)
	}
	return op.Target == e.Path
}

// maxText is how many bytes of a text a change in a trace holds, and keptText how
// many of the beginning and of the end of a longer one.
const (
	maxText  = 1 << 20
	keptText = 64 << 10
)

// Shorten cuts the long texts of a change. It returns the hex SHA-256 of the whole new
// text if that was one, else "".
func Shorten(c *host.Change) (sha256 string) {
	if len(c.To) > maxText {
		sha256 = hash([]byte(c.To))
	}
	c.From, c.To = headAndTail(c.From), headAndTail(c.To)
	return sha256
}

func headAndTail(s string) string {
	if len(s) <= maxText {
		return s
	}
	head, tail := strings.ToValidUTF8(s[:keptText], ""), strings.ToValidUTF8(s[len(s)-keptText:], "")
	return fmt.Sprintf("%s\n[... %d bytes left out ...]\n%s", head, len(s)-len(head)-len(tail), tail)
}

// wholeTexts says where the texts of op are of which a trace holds only head and tail.
func wholeTexts(op Event) (lines []string) {
	for _, sum := range op.Whole {
		lines = append(lines, "all of it, if the trace is kept in a file: TRACE.blobs/"+Quote(sum))
	}
	return lines
}
