package builtins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var sysctlBuiltin = &runtime.Builtin{
	Name: "sysctl",
	Args: []runtime.Arg{
		param("name", "string", "", `the parameter of the kernel, such as "vm.swappiness"`),
		param("value", "string", "", `its value; several numbers are parted by blanks`),
	},
	Summary: "set a parameter of the kernel, now and at boot",
	Detail: []string{
		"At boot it comes from " + sysctlFile + ", a line of which stands for each parameter. A parameter that this kernel does not have is an error.",
	},
	Example: `if exists("/proc/sys/vm/swappiness"):
    sysctl("vm.swappiness", "10")`,
	New: newSysctl,
}

const sysctlFile = "/etc/sysctl.d/60-runbook.conf"

var sysctlName = regexp.MustCompile(`^[a-z0-9_-]+(\.[A-Za-z0-9_:@-]+)+$`)

// sysctlOp is a parameter as it should be.
type sysctlOp struct{ name, value string }

func newSysctl(c *runtime.Call) (runtime.Op, string, error) {
	var op sysctlOp
	if err := c.Unpack("name", &op.name, "value", &op.value); err != nil {
		return nil, "", err
	}
	if !sysctlName.MatchString(op.name) {
		const want = "want words with dots between them, such as vm.swappiness"
		return nil, "", fmt.Errorf("argument \"name\": got %q, %s", op.name, want)
	}
	if op.value = blanks(op.value); op.value == "" {
		return nil, "", errors.New("argument \"value\": got nothing, want a value")
	}
	return op, op.name, nil
}

// blanks returns text with one blank where there are several, or tabs.
func blanks(text string) string { return strings.Join(strings.Fields(text), " ") }

func (op sysctlOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	f := fact(sysctlKind, op.name)
	have, err := h.Fact(ctx, f)
	switch {
	case err != nil:
		return nil, err
	case have == "":
		return nil, runtime.Hint(errors.New("this kernel has no such parameter"),
			"see: sysctl -a; one of a module is there when that is loaded")
	}
	line := lineOp{path: sysctlFile, text: op.name + " = " + op.value,
		match: regexp.MustCompile(`^\s*` + regexp.QuoteMeta(op.name) + `\s*=`)}
	actions, err := line.Check(ctx, h)
	if err != nil || have == op.value {
		return actions, err
	}
	return append(runtime.Actions(setSysctl(op.name, op.value), change(op.name, have, op.value)), actions...), nil
}

// setSysctl returns the deed that sets a parameter now.
func setSysctl(name, value string) runtime.Deed {
	return func(ctx context.Context, h host.Host) error {
		_, err := h.Exec(ctx, host.Cmd{
			Process: host.Process{Argv: []string{"sysctl", "-q", "-w", name + "=" + value}},
			Sets:    map[host.Fact]string{fact(sysctlKind, name): value},
			Unbound: "parameters of the kernel are no files of a disk",
		})
		return err
	}
}

// sysctlKind is a parameter of the kernel, with one blank where it has several, or tabs; "" if there is none.
var sysctlKind = &host.Kind{Name: "sysctl", Probe: func(_ context.Context, r host.Reader, name string) (string, error) {
	data, err := host.ReadFile(r, "/proc/sys/"+strings.ReplaceAll(name, ".", "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return blanks(string(data)), err
}}
