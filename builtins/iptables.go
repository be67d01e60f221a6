package builtins

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"runbook/builtins/internal/iptables"
	"runbook/runtime"
	"runbook/runtime/host"
)

var iptablesBuiltin = &runtime.Builtin{
	Name: "iptables",
	Args: []runtime.Arg{
		param("chain", "string", "", "INPUT, PREROUTING, ..."),
		param("table", "string", `"filter"`, "filter, nat, mangle, raw or security"),
		param("position", "string", `"insert"`, `"insert" puts the rule first in its chain, "append" last`),
		param("protocol", "string", `""`, "tcp, udp, icmp, ..."),
		param("dport", "int or string", `""`, `destination port, or a range such as "8000:8010"`),
		param("in_interface", "string", `""`, `where packets come in; it must exist, unless it ends in "+"`),
		param("jump", "string", `""`, "ACCEPT, DROP, REJECT, REDIRECT or a chain"),
		param("to_port", "int or string", `""`, "where REDIRECT sends packets"),
		param("comment", "string", `""`, "kept with the rule; with another comment it is another rule"),
	},
	Summary: "have a rule in the firewall that runs now",
	Detail: []string{
		"A rule that is there but has no effect, because one in front of it takes its packets, is put in front.",
		"The other rules of the chain stay as they are. iptables.save() keeps all of them for the next boot.",
	},
	Example: `iptables("INPUT", protocol = "tcp", dport = 8080, jump = "ACCEPT", comment = "web")
iptables("PREROUTING", table = "nat", position = "append", protocol = "tcp", dport = 80, jump = "REDIRECT", to_port = 8080)`,
	New: newIptables,
}

// iptablesOp is a rule that must have its effect.
type iptablesOp struct {
	rule iptables.Rule
	last bool // in its chain
}

func newIptables(c *runtime.Call) (runtime.Op, string, error) {
	op := &iptablesOp{rule: iptables.Rule{Table: "filter"}}
	r, position := &op.rule, "insert"
	var dport, toPort starlark.Value
	if err := c.Unpack("chain", &r.Chain, "table", &r.Table, "position", &position, "protocol", &r.Protocol, "dport", &dport, "in_interface", &r.InInterface, "jump", &r.Jump, "to_port", &toPort, "comment", &r.Comment); err != nil {
		return nil, "", err
	}
	if position != "insert" && position != "append" {
		return nil, "", fmt.Errorf("argument \"position\": got %q, want insert or append", position)
	}
	if r.Jump == "" {
		return nil, "", errors.New(`argument "jump": got none, want ACCEPT or another target`)
	}
	op.last = position == "append"
	r.DPort, r.ToPort = portText(dport), portText(toPort)
	return op, op.chain() + " " + r.String(), r.Check()
}

// portText takes a number or a text; Rule.Check judges it.
func portText(v starlark.Value) string {
	if v == nil {
		return ""
	}
	if s, ok := starlark.AsString(v); ok {
		return s
	}
	return v.String()
}

// chain is the name that facts have for the rule's chain.
func (op *iptablesOp) chain() string { return op.rule.Table + "/" + op.rule.Chain }

func (op *iptablesOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	return legacy(ctx, h, op)
}

func (op *iptablesOp) check0(ctx context.Context, h host.Reader) ([]host.Change, error) {
	if err := errors.Join(noFirewalld(h), knownInterface(h, op.rule.InInterface)); err != nil {
		return nil, err
	}
	if program(h, "iptables") == "" {
		return nil, runtime.Hint(errors.New("there is no iptables here"), `install it first: yum("iptables") or apt("iptables")`)
	}
	set, err := ruleset(ctx, h)
	if err != nil {
		return nil, err
	}
	if !iptables.Builtin(op.rule.Table, op.rule.Chain) && set[op.rule.Table][op.rule.Chain] == nil {
		return nil, runtime.Hint(fmt.Errorf("table %s has no chain %s", op.rule.Table, op.rule.Chain), "see the spelling; chains are written in capitals")
	}
	chain := set.Chain(op.rule.Table, op.rule.Chain)
	at := chain.Index(op.rule)
	place := at
	if at < 0 {
		place = len(chain.Rules)
	}
	hidden := chain.Shadow(op.rule, place)
	switch {
	case at >= 0 && hidden == "":
		return nil, nil
	case op.last && hidden != "":
		return nil, runtime.Hint(fmt.Errorf("would have no effect behind the rule: %s", hidden), `put it in front: position = "insert"`)
	case at >= 0:
		return []host.Change{want("rule", "behind: "+hidden, op.rule.String())}, nil
	}
	return []host.Change{want("rule", "", op.rule.String())}, nil
}

// noFirewalld refuses to work behind the back of firewalld, which forgets what
// it did not set itself when it is reloaded.
func noFirewalld(h host.Reader) error {
	ok, err := host.Exists(h, "/run/firewalld.pid")
	if ok {
		err = runtime.Hint(errors.New("firewalld runs and would drop the rule at its next reload"),
			`stop it: service("firewalld", state = "stopped", enabled = False), or use run("firewall-cmd --permanent ...")`)
	}
	return err
}

// knownInterface refuses a name that no packet can come in by: iptables itself
// takes any. A machine whose interfaces cannot be seen has all of them.
func knownInterface(h host.Reader, name string) error {
	names, err := links(h)
	if name == "" || strings.HasSuffix(name, "+") || len(names) == 0 || slices.Contains(names, name) {
		return err
	}
	return runtime.Hint(fmt.Errorf("there is no interface %s", name), "there is: "+strings.Join(names, " "))
}

func (op *iptablesOp) apply0(ctx context.Context, h host.Host, _ []host.Change) error {
	text, err := h.Fact(ctx, fact(firewallKind, "rules"))
	if err != nil {
		return err
	}
	argv, add := op.rule.Insert(), iptables.Inserted
	if op.last {
		argv, add = op.rule.Append(), iptables.Appended
	}
	after, err := add(text, op.rule)
	if err != nil {
		return err
	}
	_, err = h.Exec(ctx, host.Cmd{
		Process: host.Process{Argv: argv},
		Sets:    map[host.Fact]string{fact(ruleKind, op.chain()+" "+op.rule.String()): host.Present},
		Follows: map[host.Fact]string{fact(firewallKind, "rules"): after},
	})
	return err
}

// What is known of the firewall.
var (
	// firewallKind has one fact, "rules": all tables in the form of iptables.Save.
	firewallKind = &host.Kind{Name: "firewall", Probe: saveFirewall}
	// chainKind is the normalised rules of TABLE/CHAIN, in order, one a line.
	chainKind = &host.Kind{Name: "iptables", Probe: func(ctx context.Context, r host.Reader, name string) (string, error) {
		set, err := ruleset(ctx, r)
		if err != nil {
			return "", err
		}
		return set.Chain(path.Dir(name), path.Base(name)).String(), nil
	}}
	// ruleKind is one rule; the fact's name is "TABLE/CHAIN RULE".
	ruleKind = &host.Kind{Name: "iptables-rule", Probe: func(ctx context.Context, r host.Reader, name string) (string, error) {
		chain, rule, _ := strings.Cut(name, " ")
		rules, err := r.Fact(ctx, fact(chainKind, chain))
		if slices.Contains(strings.Split(rules, "\n"), rule) {
			return host.Present, err
		}
		return "", err
	}}
)

func ruleset(ctx context.Context, r host.Reader) (iptables.Ruleset, error) {
	text, err := r.Fact(ctx, fact(firewallKind, "rules"))
	if err != nil {
		return nil, err
	}
	return iptables.Parse(text)
}

func saveFirewall(ctx context.Context, r host.Reader, _ string) (string, error) {
	res, err := r.Query(ctx, host.Process{Argv: []string{"iptables-save"}})
	if err != nil {
		return "", err
	}
	if res.Code != 0 {
		return "", runtime.Hint(fmt.Errorf("iptables-save: exit status %d: %s", res.Code, strings.TrimSpace(string(res.Stderr))), "only root may look: start runbook as root")
	}
	return iptables.Save(string(res.Stdout))
}
