package iptables

import (
	"slices"
	"strings"
)

// Inserted returns the text that Save will return after r is inserted.
func Inserted(text string, r Rule) (string, error) { return added(text, r, false) }

// Appended returns the text that Save will return after r is appended.
func Appended(text string, r Rule) (string, error) { return added(text, r, true) }

// Deleted returns the text that Save will return after the first rule like r is deleted.
func Deleted(text string, r Rule) (string, error) {
	return Without(text, r.table(), r.Chain, r.String())
}

// Without is Deleted for a rule in the form of [Rule.String], in a chain of a table.
func Without(text, in, chain, rule string) (string, error) {
	table, done := "", false
	lines := slices.DeleteFunc(slices.Collect(strings.Lines(text)), func(l string) bool {
		if rest, ok := strings.CutPrefix(l, "*"); ok {
			table = strings.TrimSpace(rest)
		}
		words := split(strings.TrimSpace(l))
		this := !done && table == in && len(words) > 1 && words[0] == "-A" && words[1] == chain &&
			normal(words[2:]) == rule
		done = done || this
		return this
	})
	return Save(strings.Join(lines, ""))
}

// Builtin reports whether every table of that name has the chain.
func Builtin(table, chain string) bool { return slices.Contains(builtinChains(table), chain) }

// Tables are the names of all tables.
func Tables() []string { return []string{"filter", "nat", "mangle", "raw", "security"} }

// builtinChains returns the built-in chains of a table, as iptables(8) lists them;
// nil if there is no such table.
func builtinChains(table string) []string {
	switch table {
	case "filter":
		return []string{"INPUT", "FORWARD", "OUTPUT"}
	case "nat":
		return []string{"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}
	case "mangle":
		return []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
	case "raw":
		return []string{"PREROUTING", "OUTPUT"}
	case "security":
		return []string{"INPUT", "FORWARD", "OUTPUT"}
	}
	return nil
}

// added puts the line of r into text. A table that text lacks appears with its
// first rule.
func added(text string, r Rule, last bool) (string, error) {
	set, err := Parse(text)
	if err != nil {
		return "", err
	}
	table := r.table()
	if set[table] == nil {
		text += "*" + table + "\n"
		for _, c := range builtinChains(table) {
			text += ":" + c + " ACCEPT [0:0]\n"
		}
		text += "COMMIT\n"
	}
	lines := slices.Collect(strings.Lines(text))
	from := slices.Index(lines, "*"+table+"\n")
	end := from + slices.Index(lines[from:], "COMMIT\n")
	at := end
	first := slices.IndexFunc(lines[from:end], func(l string) bool { return strings.HasPrefix(l, "-A ") })
	if !last && first >= 0 {
		at = from + first // before all rules of the table; Save sorts them by chain
	}
	return Save(strings.Join(slices.Insert(lines, at, r.line()+"\n"), ""))
}

// line is how iptables-save will print the rule.
func (r Rule) line() string {
	var b strings.Builder
	b.WriteString("-A " + r.Chain)
	spec := r.spec()
	for i, w := range spec {
		if i > 0 && spec[i-1] == "--comment" {
			w = saved(w)
		}
		b.WriteString(" " + w)
	}
	if r.Jump == "REJECT" {
		b.WriteString(" --reject-with icmp-port-unreachable")
	}
	return b.String()
}

// saved writes a text as xtables_save_string of iptables does: in quotes unless
// it is letters, digits, "-" and "_".
func saved(s string) string {
	const plain = "_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`, `'`, `\'`).Replace(s) + `"`
}
