// Package iptables parses what iptables-save prints and builds the commands that
// add rules.
//
// Two things to know. Rules are compared in a normal form, since iptables-save
// prints them in other words than they were given in, and old systems lack
// iptables -C. And a rule in its chain may still have no effect: [Chain.Shadow]
// finds the rule in front that takes its packets.
//
// The builtin iptables calls it. The formats are those of iptables-save(8) of
// version 1.4.7 and later, with either backend; the options are described in
// iptables(8) and iptables-extensions(8).
package iptables

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A Rule is a rule that the builtin can add. An empty field means no condition.
type Rule struct {
	Table       string // "" means filter
	Chain       string
	InInterface string
	Protocol    string // tcp, udp, icmp, ...
	DPort       string // "8080", or "8000:8010"
	Jump        string // ACCEPT, DROP, REJECT, REDIRECT or another chain
	ToPort      string // of REDIRECT: "8080", or "8000-8010"
	Comment     string // at most 255 bytes
}

var (
	chainName     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:+-]{0,27}$`)
	interfaceName = regexp.MustCompile(`^[A-Za-z0-9_.:@-]{1,15}\+?$`)
	portRange     = regexp.MustCompile(`^([0-9]{1,5})(?:[:-]([0-9]{1,5}))?$`)
)

// Check returns an error if iptables would refuse the rule, or take it for another.
func (r Rule) Check() error {
	switch {
	case builtinChains(r.table()) == nil:
		return fmt.Errorf("got table %q, want filter, nat, mangle, raw or security", r.Table)
	case !chainName.MatchString(r.Chain):
		return fmt.Errorf("got chain %q, want the name of one, of at most 28 characters", r.Chain)
	case r.Jump != "" && !chainName.MatchString(r.Jump):
		return fmt.Errorf("got jump %q, want a target or the name of a chain", r.Jump)
	case r.InInterface != "" && !interfaceName.MatchString(r.InInterface):
		return fmt.Errorf("got in_interface %q, want a name such as eth0, of at most 15 characters", r.InInterface)
	case r.Protocol != "" && !chainName.MatchString(r.Protocol):
		return fmt.Errorf("got protocol %q, want tcp, udp or another", r.Protocol)
	case r.DPort != "" && r.Protocol != "tcp" && r.Protocol != "udp" && r.Protocol != "sctp" && r.Protocol != "dccp":
		return fmt.Errorf("got dport without protocol %q, want tcp or udp with it", r.Protocol)
	case r.ToPort != "" && r.Jump != "REDIRECT":
		return fmt.Errorf("got to_port with jump %q, want REDIRECT", r.Jump)
	case len(r.Comment) > 255 || strings.ContainsFunc(r.Comment, unicode.IsControl):
		return fmt.Errorf("got a comment of %d bytes, want at most 255 without control characters", len(r.Comment))
	}
	for name, ports := range map[string]string{"dport": r.DPort, "to_port": r.ToPort} {
		if err := checkPorts(name, ports); err != nil {
			return err
		}
	}
	return nil
}

func checkPorts(name, s string) error {
	if s == "" {
		return nil
	}
	m := portRange.FindStringSubmatch(s)
	if m == nil {
		return fmt.Errorf("got %s %q, want a number or a range", name, s)
	}
	from, _ := strconv.Atoi(m[1])
	to := from
	if m[2] != "" {
		to, _ = strconv.Atoi(m[2])
	}
	if from < 1 || to > 65535 || from > to {
		return fmt.Errorf("got %s %q, want 1 to 65535", name, s)
	}
	return nil
}

func (r Rule) table() string {
	if r.Table == "" {
		return "filter"
	}
	return r.Table
}

// spec is the rule in the words of iptables, without table and chain.
func (r Rule) spec() []string {
	var words []string
	add := func(value string, option ...string) {
		if value != "" {
			words = append(append(words, option...), value)
		}
	}
	add(r.InInterface, "-i")
	add(r.Protocol, "-p")
	if r.DPort != "" {
		add(strings.Replace(r.DPort, "-", ":", 1), "-m", r.Protocol, "--dport")
	}
	add(r.Comment, "-m", "comment", "--comment")
	add(r.Jump, "-j")
	add(strings.Replace(r.ToPort, ":", "-", 1), "--to-ports")
	return words
}

// Insert is the command that puts the rule first in its chain.
func (r Rule) Insert() []string { return r.command("-I") }

// Append is the command that puts the rule last in its chain.
func (r Rule) Append() []string { return r.command("-A") }

// Delete is the command that takes the first such rule out of its chain.
func (r Rule) Delete() []string { return r.command("-D") }

// command leaves out -w, which version 1.4.7 does not know.
func (r Rule) command(verb string) []string {
	return append([]string{"iptables", "-t", r.table(), verb, r.Chain}, r.spec()...)
}

// String is the rule as Chain.Rules has rules.
func (r Rule) String() string { return normal(r.spec()) }

// The targets of iptables-extensions(8), and those of iptables itself, by the one table
// that has them; "" is any.
var targets = map[string]string{
	"": `ACCEPT DROP RETURN QUEUE AUDIT CLASSIFY CONNMARK HMARK IDLETIMER LED LOG MARK NFLOG NFQUEUE RATEEST SET SYNPROXY
		TCPMSS TEE TRACE ULOG`,
	"filter":   "REJECT",
	"nat":      "DNAT MASQUERADE NETMAP REDIRECT SAME SNAT",
	"mangle":   "CHECKSUM CONNSECMARK DSCP ECN HL SECMARK TCPOPTSTRIP TOS TPROXY TTL",
	"raw":      "CT NOTRACK",
	"security": "CONNSECMARK SECMARK",
}

// Target reports whether a table has a target, which is not a chain.
func Target(table, name string) bool {
	has := func(list string) bool { return slices.Contains(strings.Fields(list), name) }
	return has(targets[""]) || has(targets[table])
}
