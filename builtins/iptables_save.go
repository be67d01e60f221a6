package builtins

import (
	"context"
	"errors"
	"fmt"
	"path"

	"runbook/builtins/internal/iptables"
	"runbook/runtime"
	"runbook/runtime/host"
)

var iptablesSaveBuiltin = &runtime.Builtin{
	Name: "iptables.save",
	Args: []runtime.Arg{
		param("path", "path", `""`, "the file; where the system looks at boot if not given: /etc/sysconfig/iptables, or /etc/iptables/rules.v4 on Debian"),
	},
	Summary: "keep the rules of the firewall for the next boot",
	Detail: []string{
		"The text has no counters and no times, so that equal rules give equal files.",
		"At boot the service of the package iptables-services, or netfilter-persistent on Debian, restores them.",
	},
	Example: `iptables.save(path = "/etc/rules")`,
	New:     newIptablesSave,
}

// saveOp is the rules in a file; the path "" is the system's own.
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

// file is where the rules go.
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
	return "", runtime.Hint(fmt.Errorf("it is not known where a system of the kind %q looks for rules", f), `say where: iptables.save(path = "...")`)
}

func (op *saveOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	return legacy(ctx, h, op)
}

func (op *saveOp) check0(ctx context.Context, h host.Reader) ([]host.Change, error) {
	file, err := op.file(h)
	if err != nil {
		return nil, err
	}
	if err := noFirewalld(h); err != nil {
		return nil, err
	}
	rules, err := h.Fact(ctx, fact(firewallKind, "rules"))
	if err != nil {
		return nil, err
	}
	have, err := readText(ctx, h, file)
	if err != nil {
		return nil, err
	}
	exists, err := present(ctx, h, file)
	if saved, perr := iptables.Save(have); err != nil || exists && perr == nil && saved == rules {
		return nil, err
	}
	return []host.Change{want(file, have, rules)}, nil
}

func (op *saveOp) apply0(ctx context.Context, h host.Host, todo []host.Change) error {
	file, rules := todo[0].What, todo[0].To
	if err := runtime.MkdirAll(h, path.Dir(file), 0o755); err != nil {
		return err
	}
	// Others need not know what is open.
	err := h.WriteFile(file, host.Bytes([]byte(rules)), host.Meta{Mode: 0o600, Size: int64(len(rules))})
	if errors.Is(err, host.ErrUnknown) {
		return fmt.Errorf("%s: %w", file, err)
	}
	return err
}
