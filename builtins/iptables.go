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
		param("table", "string", `"filter"`, "filter, nat, mangle, raw or security").OneOf(iptables.Tables()...),
		param("position", "string", `"insert"`, `"insert" puts the rule first in its chain, "append" last`).OneOf("insert", "append"),
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
iptables("PREROUTING", table = "nat", position = "append", protocol = "tcp", dport = 80, ` +
		`jump = "REDIRECT", to_port = 8080)`,
	New: newIptables,
}

// iptablesOp is a rule that should be in its chain and have its effect.
type iptablesOp struct {
	rule iptables.Rule
	last bool // in its chain
}

func newIptables(c *runtime.Call) (runtime.Op, string, error) {
	op := &iptablesOp{rule: iptables.Rule{Table: "filter"}}
	r, position := &op.rule, "insert"
	var dport, toPort starlark.Value
	err := c.Unpack("chain", &r.Chain, "table", &r.Table,
		"position", &position, "protocol", &r.Protocol,
		"dport", &dport, "in_interface", &r.InInterface, "jump", &r.Jump, "to_port", &toPort, "comment", &r.Comment)
	if err != nil {
		return nil, "", err
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
	if err := errors.Join(noFirewalld(h), needInterface(h, op.rule.InInterface)); err != nil {
		return nil, err
	}
	if program(h, "iptables") == "" {
		return nil, runtime.Hint(errors.New("there is no iptables here"),
			`install it first: yum("iptables") or apt("iptables")`)
	}
	rules, set, err := firewall(ctx, h)
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, "the firewall lacks the rule")
		return runtime.Actions(op.add, change("rule", "", op.rule.String())), nil
	}
	if err != nil {
		return nil, err
	}
	changes, err := op.compare(set)
	return runtime.Actions(func(ctx context.Context, h host.Host) error {
		return op.put(ctx, h, rules, set.Chain(op.rule.Table, op.rule.Chain).Index(op.rule) >= 0)
	}, changes...), err
}

// compare returns what differs between set and one in which the rule is in its
// chain and has its effect.
func (op *iptablesOp) compare(set iptables.Ruleset) ([]host.Change, error) {
	if !iptables.Builtin(op.rule.Table, op.rule.Chain) && set[op.rule.Table][op.rule.Chain] == nil {
		return nil, runtime.Hint(fmt.Errorf("table %s has no chain %s", op.rule.Table, op.rule.Chain),
			"see the spelling; chains are written in capitals")
	}
	if !iptables.Target(op.rule.Table, op.rule.Jump) && set[op.rule.Table][op.rule.Jump] == nil {
		return nil, runtime.Hint(fmt.Errorf("table %s has no target and no chain %s", op.rule.Table, op.rule.Jump),
			"see the spelling; targets and chains are mostly written in capitals")
	}
	chain := set.Chain(op.rule.Table, op.rule.Chain)
	at := chain.Index(op.rule)
	place := at
	if at < 0 {
		place = len(chain.Rules)
	}
	hider := chain.Shadow(op.rule, place)
	switch {
	case at >= 0 && hider == "":
		return nil, nil
	case op.last && hider != "":
		return nil, runtime.Hint(fmt.Errorf("would have no effect behind the rule: %s", hider),
			`put it in front: position = "insert"`)
	case at >= 0:
		return []host.Change{change("rule", "behind: "+hider, op.rule.String())}, nil
	}
	return []host.Change{change("rule", "", op.rule.String())}, nil
}

// noFirewalld returns an error if firewalld runs: when it is reloaded it drops
// the rules that it did not set itself.
func noFirewalld(h host.Reader) error {
	ok, err := host.Exists(h, "/run/firewalld.pid")
	if ok {
		err = runtime.Hint(errors.New("firewalld runs and would drop the rule at its next reload"),
			`stop it: service("firewalld", state = "stopped", enabled = False), or use run("firewall-cmd --permanent ...")`)
	}
	return err
}

// needInterface returns an error if there is no such interface: iptables itself
// takes any name. A machine whose interfaces cannot be seen has all of them.
func needInterface(h host.Reader, name string) error {
	names, err := interfaces(h)
	if name == "" || strings.HasSuffix(name, "+") || len(names) == 0 || slices.Contains(names, name) {
		return err
	}
	return runtime.Hint(fmt.Errorf("there is no interface %s", name), "there is: "+strings.Join(names, " "))
}

// put adds the rule to its chain, out of which it is taken first if it is there in
// vain; rules are those of all tables before.
func (op *iptablesOp) put(ctx context.Context, h host.Host, rules string, there bool) error {
	if there {
		without, err := iptables.Deleted(rules, op.rule)
		if err != nil {
			return err
		}
		rules = without
		cmd := host.Cmd{Process: host.Process{Argv: op.rule.Delete()}, Unbound: rulesAreNoFiles}
		cmd.Follows = map[host.Fact]string{fact(firewallKind, "rules"): rules}
		if _, err := h.Exec(ctx, cmd); err != nil {
			return err
		}
	}
	edit := iptables.Inserted
	if op.last {
		edit = iptables.Appended
	}
	after, err := edit(rules, op.rule)
	if err != nil {
		return err
	}
	cmd := op.command()
	cmd.Follows = map[host.Fact]string{fact(firewallKind, "rules"): after}
	_, err = h.Exec(ctx, cmd)
	return err
}

// add adds the rule to a chain that a dry run does not know.
func (op *iptablesOp) add(ctx context.Context, h host.Host) error {
	_, err := h.Exec(ctx, op.command())
	return err
}

// rulesAreNoFiles is why a command that changes the firewall is not confined.
const rulesAreNoFiles = "it changes the rules of the firewall, which are no files"

func (op *iptablesOp) command() host.Cmd {
	argv := op.rule.Insert()
	if op.last {
		argv = op.rule.Append()
	}
	return host.Cmd{
		Process: host.Process{Argv: argv},
		Unbound: rulesAreNoFiles,
		Sets:    map[host.Fact]string{fact(ruleKind, op.chain()+" "+op.rule.String()): host.Present},
	}
}

var iptablesSaveBuiltin = &runtime.Builtin{
	Name: "iptables.save",
	Args: []runtime.Arg{
		param("path", "path", `""`, "the file; where the system looks at boot if not given: "+
			"/etc/sysconfig/iptables, or /etc/iptables/rules.v4 on Debian"),
	},
	Summary: "keep the rules of the firewall for the next boot",
	Detail: []string{
		"The text has no counters and no times, so that equal rules give equal files.",
		"Where a command of the runbook changes the firewall, a dry run cannot know the rules: it assumes that they differ.",
		"At boot the service of the package iptables-services, or netfilter-persistent on Debian, restores them.",
	},
	Example: `iptables.save(path = "/etc/rules")`,
	New:     newIptablesSave,
}

// saveOp is the rules in a file; the path "" stands for the one that the system reads.
type saveOp struct{ path string }

func newIptablesSave(c *runtime.Call) (runtime.Op, string, error) {
	var name runtime.Path
	err := c.Unpack("path", &name)
	target := string(name)
	if target == "" {
		target = "for the next boot"
	}
	return &saveOp{string(name)}, target, err
}

// file returns the name of the file.
func (op *saveOp) file(h host.Reader) (string, error) {
	if op.path != "" {
		return op.path, nil
	}
	f, err := family(h)
	switch {
	case err != nil:
		return "", err
	case f == "debian":
		return "/etc/iptables/rules.v4", nil
	case f == "rhel":
		return "/etc/sysconfig/iptables", nil
	}
	return "", runtime.Hint(fmt.Errorf("it is not known where a system of the kind %q looks for rules", f),
		`say where: iptables.save(path = "...")`)
}

func (op *saveOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	file, err := op.file(h)
	if err != nil {
		return nil, err
	}
	if err := noFirewalld(h); err != nil {
		return nil, err
	}
	have, err := readText(ctx, h, file)
	if err != nil {
		return nil, err
	}
	rules, err := h.Fact(ctx, fact(firewallKind, "rules"))
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, "the rules differ from those in "+file)
		return runtime.Actions(func(_ context.Context, h host.Host) error {
			return saveRules(h, file, host.Unknown(file), -1)
		}, change(file, have, host.InTheRun)), nil
	}
	if err != nil {
		return nil, err
	}
	exists, err := present(ctx, h, file)
	if saved, perr := iptables.Save(have); err != nil || exists && perr == nil && saved == rules {
		return nil, err
	}
	return runtime.Actions(func(_ context.Context, h host.Host) error {
		return saveRules(h, file, host.Bytes([]byte(rules)), int64(len(rules)))
	}, change(file, have, rules)), nil
}

func saveRules(h host.Host, file string, rules host.Content, size int64) error {
	if err := runtime.MkdirAll(h, path.Dir(file), 0o755); err != nil {
		return err
	}
	// Only root needs to know which ports are open.
	err := h.WriteFile(file, rules, host.Meta{Mode: 0o600, Size: size})
	if errors.Is(err, host.ErrUnknown) {
		return fmt.Errorf("%s: %w", file, err)
	}
	return err
}

// The kinds of facts about the firewall.
var (
	// firewallKind has one fact, "rules": all tables in the form of iptables.Save.
	firewallKind = &host.Kind{Name: "firewall", Probe: saveFirewall}
	// chainKind is the normalised rules of TABLE/CHAIN, in order, one a line.
	chainKind = &host.Kind{Name: "iptables", Probe: listChain}
	// ruleKind is one rule; the fact's name is "TABLE/CHAIN RULE".
	ruleKind = &host.Kind{Name: "iptables-rule", Probe: findRule}
)

// firewall returns the rules of all tables, as text and parsed.
func firewall(ctx context.Context, r host.Reader) (string, iptables.Ruleset, error) {
	text, err := r.Fact(ctx, fact(firewallKind, "rules"))
	if err != nil {
		return "", nil, err
	}
	set, err := iptables.Parse(text)
	return text, set, err
}

func findRule(ctx context.Context, r host.Reader, name string) (string, error) {
	chain, rule, _ := strings.Cut(name, " ")
	rules, err := r.Fact(ctx, fact(chainKind, chain))
	if slices.Contains(strings.Split(rules, "\n"), rule) {
		return host.Present, err
	}
	return "", err
}

func listChain(ctx context.Context, r host.Reader, name string) (string, error) {
	_, set, err := firewall(ctx, r)
	if err != nil {
		return "", err
	}
	return set.Chain(path.Dir(name), path.Base(name)).String(), nil
}

func saveFirewall(ctx context.Context, r host.Reader, _ string) (string, error) {
	res, err := r.Query(ctx, host.Process{Argv: []string{"iptables-save"}})
	if err != nil {
		return "", err
	}
	if res.Code != 0 {
		err := fmt.Errorf("iptables-save: exit status %d%s", res.Code, res.LastWords())
		return "", runtime.Hint(err, "only root may look: start runbook as root")
	}
	return iptables.Save(string(res.Stdout))
}
