package builtins

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var hostnameBuiltin = &runtime.Builtin{
	Name:    "hostname",
	Args:    []runtime.Arg{param("name", "string", "", `what the machine is called: "db1", or with its domain`)},
	Summary: "name the machine, now and at boot",
	Detail: []string{
		"Now through hostname(1), at boot from /etc/hostname. /etc/hosts is not touched: line() puts the name there.",
	},
	Example: `hostname("db1.example.org")`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		var name string
		if err := c.Unpack("name", &name); err != nil {
			return nil, "", err
		}
		if len(name) > 64 || !machineName.MatchString(name) {
			return nil, "", fmt.Errorf(
				"argument \"name\": got %q, want at most 64 letters, digits, dots and, in between, hyphens", name)
		}
		return hostnameOp{name}, name, nil
	},
}

// machineName is what hostname(7) allows.
var machineName = regexp.MustCompile(`^(?i)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// hostnameOp is what a machine should be called.
type hostnameOp struct{ name string }

func (op hostnameOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	file := writeOp{path: "/etc/hostname", content: []byte(op.name + "\n"), mode: 0o644}
	actions, err := file.Check(ctx, h)
	if err != nil {
		return nil, err
	}
	have, err := h.Fact(ctx, fact(hostnameKind, "now"))
	if err != nil || have == op.name {
		return actions, err
	}
	return append(runtime.Actions(setHostname(op.name), change("name", have, op.name)), actions...), nil
}

// setHostname returns the deed that names the machine now.
func setHostname(name string) runtime.Deed {
	return func(ctx context.Context, h host.Host) error {
		_, err := h.Exec(ctx, host.Cmd{
			Process: host.Process{Argv: []string{"hostname", name}},
			Sets:    map[host.Fact]string{fact(hostnameKind, "now"): name},
			Unbound: "the kernel's name of the machine is no file of a disk",
		})
		return err
	}
}

// hostnameKind has one fact, "now": what the kernel calls the machine.
var hostnameKind = &host.Kind{Name: "hostname", Probe: func(_ context.Context, r host.Reader, _ string) (string, error) {
	lines, err := host.Lines(r, "/proc/sys/kernel/hostname")
	return strings.TrimSpace(strings.Join(lines, "")), err
}}
