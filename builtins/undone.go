package builtins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"runbook/builtins/internal/crontab"
	"runbook/builtins/internal/iptables"
	"runbook/runtime"
	"runbook/runtime/host"
)

// What is no file is taken back by the commands that a person would type.

// now returns the value of a fact; where only a real run could know it, it is as the effect has left it.
func (op *undoOp) now(ctx context.Context, h host.Reader, f host.Fact) (string, error) {
	v, err := h.Fact(ctx, f)
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, f.String()+" is as the run left it")
		return op.effect.Sets[f.String()], nil
	}
	return v, err
}

// each calls f for the facts of the record that are of some kinds.
func (op *undoOp) each(f func(kind, name, was string) error, kinds ...string) error {
	for _, r := range op.record.Facts {
		kind, name, _ := strings.Cut(r.Name, ":")
		for _, k := range kinds {
			if k != kind {
				continue
			}
			if err := f(kind, name, r.Value); err != nil {
				return fmt.Errorf("%s: %w", r.Name, err)
			}
		}
	}
	return nil
}

// services starts or stops services, and enables or disables them.
func (op *undoOp) services(ctx context.Context, h host.Reader) (actions []runtime.Action, err error) {
	err = op.each(func(kind, name, was string) error {
		have, err := op.now(ctx, h, fact(kindNamed(kind), name))
		s := &serviceOp{name: name}
		switch {
		case err != nil || have == was || have == "" || kind == "enabled" && have == cmp.Or(was, "disabled"):
			return err
		case kind == "enabled" && slices.Equal(op.effect.Argv, []string{"update-rc.d", name, "defaults"}):
			cmd := host.Cmd{
				Process: host.Process{Argv: []string{"update-rc.d", "-f", name, "remove"}},
				Sets:    map[host.Fact]string{fact(enabledKind, name): "disabled"},
			}
			actions = append(actions, doing(cmd, change(name+" at boot", have, "unknown to init"))...)
		case kind == "enabled":
			s.boot = cmp.Or(was, "disabled")
			actions = append(actions, runtime.Actions(s.setBoot, change(name+" at boot", have, s.boot))...)
		case was == running:
			start := func(ctx context.Context, h host.Host) error { return s.control(ctx, h, "start", have) }
			actions = append(actions, runtime.Actions(start, change(name, have, running))...)
		case have == running || have == "starting":
			stop := func(ctx context.Context, h host.Host) error { return s.control(ctx, h, "stop", have) }
			actions = append(actions, runtime.Actions(stop, change(name, have, stopped))...)
		}
		return nil
	}, op.part)
	return actions, err
}

// supervisors ends a supervisord that the effect has started.
func (op *undoOp) supervisors(ctx context.Context, h host.Reader) (actions []runtime.Action, err error) {
	ended := map[string]bool{}
	err = op.each(func(_, name, was string) error {
		i := strings.LastIndexByte(name, ' ')
		if i < 0 || was != "" || ended[name[:i]] {
			return nil
		}
		config := name[:i]
		status, err := op.now(ctx, h, fact(statusKind, config))
		if err != nil || status == "" {
			return err
		}
		ended[config] = true
		program := "supervisorctl"
		if len(op.effect.Argv) > 0 && path.IsAbs(op.effect.Argv[0]) {
			program = path.Join(path.Dir(op.effect.Argv[0]), program)
		}
		cmd := host.Cmd{
			Process:      host.Process{Argv: []string{program, "-c", config, "shutdown"}, User: op.effect.User},
			Sets:         map[host.Fact]string{fact(statusKind, config): ""},
			Settle:       answerTime,
			TouchesFacts: []host.Fact{fact(openedKind, "others")},
		}
		actions = append(actions, doing(cmd, change("supervisord "+config, "up", "ended"))...)
		return nil
	}, "supervisor")
	return actions, err
}

// noPath is why commands that take something back are not confined.
const noPath = "it takes back what no path stands for"

// doing returns the action of a command.
func doing(cmd host.Cmd, changes ...host.Change) []runtime.Action {
	cmd.Unbound = noPath
	return runtime.Actions(func(ctx context.Context, h host.Host) error {
		_, err := h.Exec(ctx, cmd)
		return err
	}, changes...)
}

// crontabs takes lines out of crontabs, and puts lines back that were replaced.
func (op *undoOp) crontabs(ctx context.Context, h host.Reader) (actions []runtime.Action, err error) {
	err = op.each(func(_, name, was string) error {
		user, line, _ := strings.Cut(name, " ")
		jobs := crontab.Parse(line)
		if len(jobs) != 1 {
			return fmt.Errorf("got %d jobs, want one", len(jobs))
		}
		f := fact(cronKind, name)
		have, err := op.now(ctx, h, f)
		if err != nil || have == was {
			return err
		}
		text, err := op.now(ctx, h, fact(crontabKind, user))
		if err != nil {
			return err
		}
		c := change("crontab of "+user, line, "")
		if was == "" {
			text = crontab.Remove(text, jobs[0].Schedule, jobs[0].Command)
		} else {
			c = change("crontab of "+user, "", line)
			if text, err = crontab.Add(text, jobs[0].Schedule, jobs[0].Command); err != nil {
				return err
			}
		}
		cmd := host.Cmd{
			Process: host.Process{Argv: []string{"crontab", "-u", user, "-"}, Stdin: []byte(text)},
			Sets:    map[host.Fact]string{f: was},
			Follows: map[host.Fact]string{fact(crontabKind, user): text},
			Detail:  map[string]any{"line": line},
		}
		if strings.TrimSpace(text) == "" {
			cmd.Process = host.Process{Argv: []string{"crontab", "-u", user, "-r"}}
			cmd.Follows[fact(crontabKind, user)] = ""
		}
		actions = append(actions, doing(cmd, c)...)
		return nil
	}, "cron")
	return actions, err
}

// rules deletes rules of the firewall.
func (op *undoOp) rules(ctx context.Context, h host.Reader) (actions []runtime.Action, err error) {
	err = op.each(func(_, name, was string) error {
		f := fact(ruleKind, name)
		have, err := op.now(ctx, h, f)
		if err != nil || have == was || was != "" {
			return err
		}
		argv := deletion(op.effect.Argv)
		if argv == nil {
			return fmt.Errorf("got the command %s, want one that adds a rule", quote(op.effect.Argv))
		}
		chain, rule, _ := strings.Cut(name, " ")
		cmd := host.Cmd{
			Process: host.Process{Argv: argv},
			Sets:    map[host.Fact]string{f: ""},
		}
		rules := fact(firewallKind, "rules")
		if text, err := h.Fact(ctx, rules); err != nil {
			cmd.TouchesFacts = []host.Fact{rules}
		} else if after, err := iptables.Without(text, path.Dir(chain), path.Base(chain), rule); err != nil {
			return err
		} else {
			cmd.Follows = map[host.Fact]string{rules: after}
		}
		actions = append(actions, doing(cmd, change("rule in "+chain, rule, ""))...)
		return nil
	}, "iptables-rule")
	return actions, err
}

// settings sets facts of a kind as they were.
func (op *undoOp) settings(
	ctx context.Context, h host.Reader, kind *host.Kind, set func(name, value string) runtime.Deed,
) (actions []runtime.Action, err error) {
	err = op.each(func(_, name, was string) error {
		have, err := op.now(ctx, h, fact(kind, name))
		if err == nil && was != "" && have != was {
			actions = append(actions, runtime.Actions(set(name, was), change(kind.Name+" "+name, have, was))...)
		}
		return err
	}, kind.Name)
	return actions, err
}

// deletion returns the command that deletes the rule that a command of iptables(8) has added, nil if it added none.
func deletion(added []string) []string {
	i := slices.IndexFunc(added, func(w string) bool { return w == "-I" || w == "-A" })
	if i < 0 || i+2 > len(added) {
		return nil
	}
	rule := added[i+2:]
	if len(rule) > 0 && strings.Trim(rule[0], "0123456789") == "" { // its place in the chain
		rule = rule[1:]
	}
	return slices.Concat(added[:i], []string{"-D", added[i+1]}, rule)
}

// packages removes packages that were not there, all at once, by a command that takes their names.
func (op *undoOp) packages(ctx context.Context, h host.Reader, p host.Process) ([]runtime.Action, error) {
	cmd := host.Cmd{Process: p, Critical: true, Sets: map[host.Fact]string{}}
	var changes []host.Change
	err := op.each(func(kind, name, was string) error {
		f := fact(kindNamed(kind), name)
		have, err := op.now(ctx, h, f)
		if err != nil || have == was || was != "" {
			return err
		}
		cmd.Argv, cmd.Sets[f] = append(cmd.Argv, name), ""
		changes = append(changes, change("package "+name, have, ""))
		return nil
	}, op.part)
	cmd.TouchesFacts = []host.Fact{fact(servicesKind, "all")}
	return doing(cmd, changes...), err
}

// accounts takes accounts and groups away that were not there, and changes the others back.
func (op *undoOp) accounts(ctx context.Context, h host.Reader) (actions []runtime.Action, err error) {
	gone := map[string]bool{}
	err = op.each(func(kind, name, was string) error {
		f := fact(kindNamedOrAttribute(kind), name)
		have, err := op.now(ctx, h, f)
		if err != nil || have == "" || was != "" {
			return err
		}
		gone[name] = true
		cmd := host.Cmd{Process: host.Process{Argv: []string{"userdel", name}}, Sets: map[host.Fact]string{f: ""}}
		actions = append(actions, doing(cmd, change("user "+name, have, ""))...)
		return nil
	}, "user")
	if err != nil {
		return nil, err
	}
	changed, err := op.attributes(ctx, h, gone)
	if err != nil {
		return nil, err
	}
	actions = append(actions, changed...)
	err = op.each(func(kind, name, was string) error {
		f := fact(host.Group, name)
		have, err := op.now(ctx, h, f)
		if err != nil || have == "" || was != "" {
			return err
		}
		if op.past.newFact("user:" + name) {
			runtime.Assume(ctx, "userdel leaves the group "+name)
		}
		cmd := host.Cmd{
			Process: host.Process{Argv: []string{"groupdel", name}}, Sets: map[host.Fact]string{f: ""}, Unbound: noPath,
		}
		remove := func(ctx context.Context, h host.Host) error {
			if have, err := h.Fact(ctx, f); err != nil || have == "" { // userdel has taken it along
				return err
			}
			_, err := h.Exec(ctx, cmd)
			return err
		}
		actions = append(actions, runtime.Actions(remove, change("group "+name, have, ""))...)
		return nil
	}, "group")
	return actions, err
}

// attributes changes those of accounts that were there before.
func (op *undoOp) attributes(
	ctx context.Context, h host.Reader, gone map[string]bool,
) (actions []runtime.Action, err error) {
	options := map[string]string{"home": "-d", "shell": "-s", "comment": "-c", "primary": "-g", "groups": "-G"}
	err = op.each(func(kind, name, was string) error {
		if gone[name] || op.wasAbsent("user:"+name) {
			return nil
		}
		f := fact(kindNamedOrAttribute(kind), name)
		have, err := op.now(ctx, h, f)
		if err != nil || have == was {
			return err
		}
		cmd := host.Cmd{
			Process: host.Process{Argv: []string{"usermod", options[kind], was, name}},
			Sets:    map[host.Fact]string{f: was},
		}
		actions = append(actions, doing(cmd, change(kind+" of "+name, have, was))...)
		return nil
	}, "home", "shell", "comment", "primary", "groups")
	return actions, err
}

// wasAbsent reports whether the record says that a fact had no value.
func (op *undoOp) wasAbsent(name string) bool {
	for _, f := range op.record.Facts {
		if f.Name == name {
			return f.Value == ""
		}
	}
	return false
}

// kindNamedOrAttribute is kindNamed for the attributes of accounts, too.
func kindNamedOrAttribute(kind string) *host.Kind {
	for _, k := range []*host.Kind{host.User, host.Group, host.Home, host.Shell, host.Comment, host.Primary, host.Groups} {
		if k.Name == kind {
			return k
		}
	}
	return kindNamed(kind)
}
