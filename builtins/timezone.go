package builtins

import (
	"context"
	"fmt"
	"path"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var timezoneBuiltin = &runtime.Builtin{
	Name:    "timezone",
	Args:    []runtime.Arg{param("name", "string", "", `of the time zone database: "Europe/Berlin", "Etc/UTC"`)},
	Summary: "have the machine tell the time of a zone",
	Detail: []string{
		"/etc/localtime becomes a link to the zone's file; /etc/timezone, which only some systems have, is kept up where it is there.",
		"Programs that run already tell the old time until they start anew.",
	},
	Example: `if exists("/usr/share/zoneinfo/Etc/UTC"):
    timezone("Etc/UTC")`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		var name string
		if err := c.Unpack("name", &name); err != nil {
			return nil, "", err
		}
		if name == "" || path.IsAbs(name) || path.Clean(name) != name || strings.HasPrefix(name, "..") {
			return nil, "", fmt.Errorf("argument \"name\": got %q, want a zone such as Europe/Berlin", name)
		}
		return timezoneOp{name}, name, nil
	},
}

const zones = "/usr/share/zoneinfo/"

// timezoneOp is the zone that a machine should be in.
type timezoneOp struct{ name string }

func (op timezoneOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	m, there, err := look(ctx, h, zones+op.name)
	if err != nil {
		return nil, err
	}
	if !there || m.Mode.IsDir() {
		return nil, runtime.Hint(fmt.Errorf("%s%s is no zone of this machine", zones, op.name),
			"see what there is below "+zones+"; the package is called tzdata")
	}
	actions, err := symlinkOp{path: "/etc/localtime", target: op.target(h)}.Check(ctx, h)
	if err != nil {
		return nil, err
	}
	const named = "/etc/timezone"
	if ok, err := present(ctx, h, named); err != nil || !ok {
		return actions, err
	}
	more, err := writeOp{path: named, content: []byte(op.name + "\n"), mode: 0o644}.Check(ctx, h)
	return append(actions, more...), err
}

// target is what the link should hold: what it holds already, if that leads to the zone.
func (op timezoneOp) target(h host.Reader) string {
	have, err := h.Readlink("/etc/localtime")
	if err == nil && path.Join("/etc", have) == zones+op.name {
		return have
	}
	return zones + op.name
}
