package trace

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"runbook/runtime/host"
)

// In brief, a run has a line for each op that changed something: its name and as many facts as there is room for. What
// is left out is counted, in the line and in the summary; the trace has it.

const (
	leastFacts  = 44 // columns for facts, where lines have no end
	factText    = 40 // columns of one fact
	factSubject = 20 // of what it is about
)

// leftOut counts what a brief line does not show.
type leftOut struct {
	names int // that were shortened
	facts int
	lines int // of texts
}

func (l leftOut) add(m leftOut) leftOut {
	return leftOut{l.names + m.names, l.facts + m.facts, l.lines + m.lines}
}

// words are "" if nothing was left out.
func (l leftOut) words() string {
	var parts []string
	for _, p := range []struct {
		n         int
		one, many string
	}{
		{l.names, "full name", "full names"}, {l.facts, "fact", "facts"}, {l.lines, "line of text", "lines of text"},
	} {
		if p.n == 1 {
			parts = append(parts, "1 "+p.one)
		} else if p.n > 1 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.many))
		}
	}
	return strings.Join(parts, ", ")
}

// A fact is what a brief line says of a change.
type fact struct {
	text string
	cut  bool // it is not all that is known
	rows int  // lines of a text that it stands for
}

// factOf returns a change in a few words, which have passed Quote.
func factOf(op string, c host.Change) fact {
	if isText(c) {
		_, lines := hunks(c)
		count := map[byte]int{}
		for _, l := range lines {
			count[l.sign]++
		}
		f := fact{rows: count['+'] + count['-'], cut: true}
		for _, sign := range "+-" {
			if n := count[byte(sign)]; n > 0 {
				f.text += fmt.Sprintf("%c%d ", sign, n)
			}
		}
		if f.text += "line"; f.rows != 1 {
			f.text += "s"
		}
		if c.What != "content" {
			f.text = shortName(Quote(c.What), factSubject) + " " + f.text
		}
		return f
	}
	what, value := Quote(c.What), fromTo(c)
	short := clause(digests.ReplaceAllString(value, ""), factText)
	switch {
	case what == "directory" && value == "made", what == op && short != "":
	case strings.HasPrefix(what, "/"):
		short = "…" + what[strings.LastIndexByte(what, '/'):] + " " + short
	default:
		short = strings.TrimSpace(shortName(what, factSubject) + " " + short)
	}
	whole := []string{value, strings.TrimSpace(what + " " + value)}
	return fact{text: short, cut: !slices.Contains(whole, short)}
}

// clause returns at most so many columns of a text, up to a comma if there is one.
func clause(s string, width int) string {
	for widthOf(s) > width {
		i := strings.LastIndex(s, ", ")
		if i < 0 {
			return cut(s, width)
		}
		s = s[:i]
	}
	return s
}

// digests matches what nobody compares by eye.
var digests = regexp.MustCompile(`,? ?(sha256|md5) [0-9a-f]{32,}`)

// factsOf returns the facts about an op, those about itself before those about other files.
func factsOf(op string, changes []host.Change) (facts []fact) {
	var others []fact
	for _, c := range changes {
		f := factOf(op, c)
		if len(changes) == 1 && !isText(c) && strings.HasPrefix(c.What, "/") { // it goes without saying which
			f.text = clause(fromTo(c), factText)
		}
		if strings.HasPrefix(c.What, "/") {
			others = append(others, f)
		} else {
			facts = append(facts, f)
		}
	}
	return append(facts, others...)
}

// brief adds the line of an op that changed something; op is the one that began and e its result.
func (t *Terminal) brief(op, e Event, elapsed string) {
	const gap, least = "  ", 12
	head := t.paint.of(e.Outcome).Sprint(pad(t.marker(e.Outcome), column)) + "  " + pad(Quote(e.Op), 10) + " "
	target := Brief(e.Target)
	facts, more := factsOf(op.Op, changesBeside(op)), len(t.untold(op))
	room := t.columns() - widthOf("  "+head+elapsed)
	name := target
	if t.opts.Live {
		most := room
		if n := len(facts) + more; n > 0 { // they get what the name can spare, and at least two fifths
			most = max(room*3/5, room-widthOf(gap+joined(facts, len(facts), more)))
		}
		name = shortName(target, most)
	} else {
		room = max(room, widthOf(name)+leastFacts)
	}
	room -= widthOf(name + gap)
	n := len(facts)
	for n > 0 && widthOf(joined(facts, n, more)) > room {
		n--
	}
	if n == 0 && len(facts) > 0 { // a part of the first one, if there is room for it
		if rest := room - widthOf(joined(nil, 0, len(facts)-1+more)) - len(", "); rest >= least {
			facts[0].text, facts[0].cut = clause(facts[0].text, rest), true
			n = 1
		}
	}
	left := leftOut{facts: more}
	if name != target {
		left.names = 1
	}
	for i, f := range facts {
		left.lines += f.rows
		if f.rows == 0 && (i >= n || f.cut) {
			left.facts++
		}
	}
	t.left = t.left.add(left)
	t.item(head + name + t.paint.dim.Sprint(prefixed(gap, joined(facts, n, more))) + elapsed)
}

// joined returns the first n of facts, and how many more there are.
func joined(facts []fact, n, more int) string {
	var parts []string
	for _, f := range facts[:n] {
		parts = append(parts, f.text)
	}
	if more += len(facts) - n; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(parts, ", ")
}

// changesBeside returns the changes of op but those that its line tells.
func changesBeside(op Event) []host.Change {
	said := func(c host.Change) bool { return c.From == "" && c.To == op.Target }
	return slices.DeleteFunc(slices.Clone(changesOf(op)), said)
}

// nameIn is nameOf, shortened on a terminal if nothing differed, so that what follows has room on the line.
func (t *Terminal) nameIn(e Event, follows string) string {
	name, target := nameOf(e), targetOf(e)
	if e.Outcome != Same || !t.terse || !t.opts.Live {
		return name
	}
	short := shortName(target, t.columns()-len(below)-widthOf(strings.TrimSuffix(name, target)+follows))
	if short != target {
		t.left.names++
	}
	return strings.TrimSuffix(name, target) + short
}
