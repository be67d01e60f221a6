package iptables

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Ruleset holds the chains of a machine by table and name.
type Ruleset map[string]map[string]*Chain

// A Chain is a list of rules.
type Chain struct {
	Name   string
	Policy string   // ACCEPT or DROP of a built-in chain, else "-"
	Rules  []string // in normal form, in order

	lines []string // as printed, without counters
	set   Ruleset
	table string
}

// Parse reads what iptables-save prints. Counters, comments and the order of
// tables are ignored. A line that fits nowhere is an error.
func Parse(text string) (Ruleset, error) {
	set := Ruleset{}
	table := ""
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '*':
			table = line[1:]
			if set[table] == nil {
				set[table] = map[string]*Chain{}
			}
		case line == "COMMIT":
			table = ""
		case table == "":
			return nil, fmt.Errorf("line %d: got %q, want a table before it", n, line)
		default:
			if err := set.line(table, line); err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
		}
	}
	if table != "" {
		return nil, fmt.Errorf("the rules end early: got no COMMIT of table %s", table)
	}
	return set, nil
}

// line takes a chain's declaration, ":NAME POLICY [COUNTERS]", or a rule,
// "[COUNTERS] -A NAME SPEC".
func (s Ruleset) line(table, line string) error {
	if rest, ok := strings.CutPrefix(line, ":"); ok {
		f := strings.Fields(rest)
		if len(f) < 2 {
			return fmt.Errorf("got %q, want a chain and its policy", line)
		}
		s[table][f[0]] = &Chain{Name: f[0], Policy: f[1], set: s, table: table}
		return nil
	}
	if line[0] == '[' {
		_, rest, ok := strings.Cut(line, "] ")
		if !ok {
			return fmt.Errorf("got %q, want a rule behind its counters", line)
		}
		line = rest
	}
	words := split(line)
	if len(words) < 2 || words[0] != "-A" && words[0] != "--append" {
		return fmt.Errorf("got %q, want -A", line)
	}
	if len(words) > 2 && !isOption(words, 2) {
		return fmt.Errorf("got %q, want an option behind the chain", words[2])
	}
	c := s[table][words[1]]
	if c == nil {
		return fmt.Errorf("got a rule of chain %q, which is not declared", words[1])
	}
	c.Rules = append(c.Rules, normal(words[2:]))
	c.lines = append(c.lines, line)
	return nil
}

// Chain returns a chain of a table, "" meaning filter. One that is not printed
// is empty: a table appears when it is first used.
func (s Ruleset) Chain(table, name string) *Chain {
	table = Rule{Table: table}.table()
	if c := s[table][name]; c != nil {
		return c
	}
	return &Chain{Name: name, Policy: "-", set: s, table: table}
}

// String is the chain as one text: the rules in order, one a line.
func (c *Chain) String() string { return strings.Join(c.Rules, "\n") }

// Index returns the first place of the rule in the chain, from 0, or -1.
func (c *Chain) Index(r Rule) int { return slices.Index(c.Rules, r.String()) }

// Shadow returns the text of the rule that keeps r, at place at, from having its
// effect: an earlier one that sends all packets of r elsewhere, also from a chain
// that is jumped to. "" means that r has its effect.
func (c *Chain) Shadow(r Rule, at int) string {
	list := units(split(r.String()))
	return c.shadow(unitTexts(matches(list)), effectOf(list), at, 0)
}

// shadow looks for a rule that takes all packets which meet the conditions and has another effect on them.
func (c *Chain) shadow(conditions []string, effect string, at, depth int) string {
	const maxDepth = 16 // chains that jump to each other are refused by the kernel
	for _, text := range c.Rules[:min(at, len(c.Rules))] {
		list := units(split(text))
		m := unitTexts(matches(list))
		if slices.ContainsFunc(m, func(s string) bool { return !slices.Contains(conditions, s) }) {
			continue // it takes only some of these packets, or others
		}
		target := targetOf(list)
		if effectOf(list) == effect {
			continue
		}
		if target == "RETURN" && depth > 0 {
			return ""
		}
		if target == "RETURN" || terminates(target) {
			return text
		}
		if next := c.set[c.table][target]; next != nil && depth < maxDepth {
			if s := next.shadow(conditions, effect, len(next.Rules), depth+1); s != "" {
				return s
			}
		}
	}
	return ""
}

// matches are the conditions of a rule, without its comment and target.
func matches(list []unit) []unit {
	end := slices.IndexFunc(list, func(u unit) bool { return u.option == "-j" || u.option == "-g" })
	if end < 0 {
		end = len(list)
	}
	return slices.DeleteFunc(slices.Clone(list[:end]), func(u unit) bool { return u.option == "--comment" })
}

func unitTexts(list []unit) []string {
	texts := make([]string, len(list))
	for i, u := range list {
		texts[i] = u.String()
	}
	return texts
}

func targetOf(list []unit) string {
	for _, u := range list {
		if (u.option == "-j" || u.option == "-g") && len(u.values) > 0 {
			return u.values[0]
		}
	}
	return ""
}

// effectOf is the target with what it is told, such as the ports of REDIRECT; not what REJECT answers, which Rule
// leaves to the kernel.
func effectOf(list []unit) string {
	target := targetOf(list)
	at := slices.IndexFunc(list, func(u unit) bool { return u.option == "-j" || u.option == "-g" })
	if at < 0 || target == "REJECT" {
		return target
	}
	return strings.Join(unitTexts(list[at:]), " ")
}

// terminates reports whether a target ends the way of a packet through a table.
func terminates(target string) bool {
	switch target {
	case "ACCEPT", "DROP", "REJECT", "REDIRECT", "DNAT", "SNAT", "MASQUERADE":
		return true
	}
	return false
}

// Save returns the rules of text, which iptables-save printed, in a form that
// iptables-restore reads: without counters, comments and times, tables and chains
// sorted by name. Untouched tables are left out: whether iptables-save prints them
// depends on the backend and on who has looked. So the same rules give equal text.
func Save(text string) (string, error) {
	set, err := Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, table := range slices.Sorted(maps.Keys(set)) {
		chains := set[table]
		if !used(chains) {
			continue
		}
		fmt.Fprintf(&b, "*%s\n", table)
		names := slices.Sorted(maps.Keys(chains))
		for _, name := range names {
			fmt.Fprintf(&b, ":%s %s [0:0]\n", name, chains[name].Policy)
		}
		for _, name := range names {
			for _, line := range chains[name].lines {
				b.WriteString(line + "\n")
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String(), nil
}

// used reports whether a table has a rule or a policy that was set.
func used(chains map[string]*Chain) bool {
	for _, c := range chains {
		if len(c.lines) > 0 || c.Policy != "ACCEPT" {
			return true
		}
	}
	return false
}
