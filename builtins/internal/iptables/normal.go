package iptables

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// A unit is an option with its values: "! -i lo", "--dport 80".
type unit struct {
	not    bool
	option string
	values []string
}

func (u unit) String() string {
	s := quote(u.option)
	if u.not {
		s = "! " + s
	}
	for _, v := range u.values {
		s += " " + quote(v)
	}
	return s
}

// units splits the words of a rule into options, in normal form and order.
func units(words []string) []unit {
	var list []unit
	for i := 0; i < len(words); {
		u := unit{}
		if words[i] == "!" && i+1 < len(words) {
			u.not = true
			i++
		}
		u.option = short(words[i])
		for i++; i < len(words) && !isOption(words, i); i++ {
			u.values = append(u.values, words[i])
		}
		// Versions before 1.4.3 print the "!" behind the option.
		if len(u.values) > 1 && u.values[0] == "!" {
			u.not, u.values = true, u.values[1:]
		}
		list = append(list, u)
	}
	return ordered(implied(list))
}

// isOption reports whether an option begins at word i. What follows --comment
// or --log-prefix is a value, whatever it looks like.
func isOption(words []string, i int) bool {
	if before := words[i-1]; before == "--comment" || before == "--log-prefix" {
		return false
	}
	w := words[i]
	if w == "!" {
		return i+1 < len(words) && len(words[i+1]) > 1 && words[i+1][0] == '-'
	}
	return len(w) > 1 && w[0] == '-' && (w[1] < '0' || w[1] > '9')
}

// short is the name that iptables-save prints for an option.
func short(option string) string {
	switch option {
	case "--in-interface":
		return "-i"
	case "--out-interface":
		return "-o"
	case "--protocol", "--proto":
		return "-p"
	case "--source", "--src":
		return "-s"
	case "--destination", "--dst":
		return "-d"
	case "--match":
		return "-m"
	case "--jump":
		return "-j"
	case "--goto":
		return "-g"
	case "--destination-port":
		return "--dport"
	case "--source-port":
		return "--sport"
	case "--to-port":
		return "--to-ports"
	}
	return option
}

// implied drops options that iptables adds or does not print, and gives values
// their printed form.
func implied(list []unit) []unit {
	protocol := ""
	for i, u := range list {
		switch {
		case len(u.values) == 0:
		case u.option == "-p":
			list[i].values = []string{protocolName(u.values[0])}
			protocol = list[i].values[0]
		case u.option == "-s" || u.option == "-d":
			list[i].values = []string{address(u.values[0])}
		}
	}
	return slices.DeleteFunc(list, func(u unit) bool {
		first := ""
		if len(u.values) > 0 {
			first = u.values[0]
		}
		switch u.option {
		case "-m":
			return first == protocol || first == "comment"
		case "-p":
			return first == "all" && !u.not
		case "-s", "-d":
			return first == "0.0.0.0/0" && !u.not
		case "--reject-with":
			return first == "icmp-port-unreachable"
		case "-c", "--set-counters":
			return true
		}
		return false
	})
}

func protocolName(s string) string {
	switch s = strings.ToLower(s); s {
	case "0":
		return "all"
	case "1":
		return "icmp"
	case "6":
		return "tcp"
	case "17":
		return "udp"
	}
	return s
}

// address returns an address with its prefix length, as iptables-save prints it.
func address(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()).String()
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked().String()
	}
	return s
}

// ordered sorts matches by their text and leaves the target and its options at the
// end, where they are printed.
func ordered(list []unit) []unit {
	target := slices.IndexFunc(list, func(u unit) bool { return u.option == "-j" || u.option == "-g" })
	if target < 0 {
		target = len(list)
	}
	rest := list[target:]
	var late []unit // matches that are written behind the target: -p, -m, --dport, --comment
	rest = slices.DeleteFunc(slices.Clone(rest), func(u unit) bool {
		if belongsToMatch(u.option) {
			late = append(late, u)
			return true
		}
		return false
	})
	matches := append(slices.Clone(list[:target]), late...)
	slices.SortStableFunc(matches, func(a, b unit) int { return cmp.Compare(a.String(), b.String()) })
	return append(matches, rest...)
}

func belongsToMatch(option string) bool {
	switch option {
	case "-i", "-o", "-p", "-s", "-d", "-m", "-f", "--dport", "--sport", "--dports", "--sports", "--comment",
		"--state", "--ctstate":
		return true
	}
	return false
}

// normal returns the text by which rules are compared.
func normal(words []string) string {
	list := units(words)
	texts := make([]string, len(list))
	for i, u := range list {
		texts[i] = u.String()
	}
	return strings.Join(texts, " ")
}

// quote writes a word as iptables-save does.
func quote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`"'\#`, r) }) {
		return s
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(s) + `"`
}

// split returns the words of a line of iptables-save: blanks separate them, double
// quotes join, and a backslash inside quotes takes the next byte as it is.
func split(line string) (words []string) {
	var b strings.Builder
	quoted, word := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted, word = !quoted, true
		case c == '\\' && quoted && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case (c == ' ' || c == '\t') && !quoted:
			if word {
				words = append(words, b.String())
			}
			b.Reset()
			word = false
		default:
			b.WriteByte(c)
			word = true
		}
	}
	if word {
		words = append(words, b.String())
	}
	return words
}
