package builtins

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/host"
)

var serviceBuiltin = &runtime.Builtin{
	Name: "service",
	Args: []runtime.Arg{
		param("name", "string", "", "the unit, without .service, or the init script"),
		param("state", "string", `"started"`, `"started", "stopped" or "restarted"; the last restarts it whenever it is called`),
		param("enabled", "bool", "None", "whether it starts at boot; left alone if not given"),
		param("ports", "list of int", "[]", "TCP ports that it opens; verified, with a wait of up to 30 seconds"),
	},
	Summary: "start or stop a service, and have it start at boot or not",
	Detail: []string{
		"It goes through systemd where systemd runs, and through the init script elsewhere.",
		"A service that runs but does not open its ports is a failure.",
	},
	Example: `if exists("/etc/init.d/cron"):
    service("cron")`,
	New: newService,
}

// serviceOp is a service as it should be.
type serviceOp struct {
	name, state string
	boot        string // "enabled", "disabled", or "" to leave it alone
	ports       []int
}

// answerTime is how long a daemon may take to answer after it was started.
const answerTime = 30 * time.Second

var serviceName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@:-]*$`)

func newService(c *runtime.Call) (runtime.Op, string, error) {
	op := &serviceOp{state: "started"}
	var enabled starlark.Value
	if err := c.Unpack("name", &op.name, "state", &op.state, "enabled", &enabled, "ports", &op.ports); err != nil {
		return nil, "", err
	}
	op.name = strings.TrimSuffix(op.name, ".service")
	if !serviceName.MatchString(op.name) {
		return nil, "", fmt.Errorf("got %q, want the name of a service", op.name)
	}
	if op.state != "started" && op.state != "stopped" && op.state != "restarted" {
		return nil, "", fmt.Errorf("argument \"state\": got %q, want started, stopped or restarted", op.state)
	}
	switch enabled {
	case nil:
	case starlark.True:
		op.boot = "enabled"
	case starlark.False:
		op.boot = "disabled"
	default:
		return nil, "", fmt.Errorf("argument \"enabled\": got %s, want a bool", enabled.Type())
	}
	return op, op.name, nil
}

func (op *serviceOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	return legacy(ctx, h, op)
}

func (op *serviceOp) check0(ctx context.Context, h host.Reader) ([]host.Change, error) {
	state, err := op.known(ctx, h)
	if err != nil {
		return nil, err
	}
	var todo []host.Change
	switch {
	case op.state == "stopped" && state != stopped && state != failed && state != dead:
		todo = append(todo, want("service", state, stopped))
	case op.state == "restarted":
		todo = append(todo, want("service", state, "restarted"))
	case op.state == "started" && state != running:
		todo = append(todo, want("service", state, running))
	}
	todo, err = op.checkPorts(ctx, h, state, todo)
	if err != nil || op.boot == "" {
		return todo, err
	}
	boot, err := known(ctx, h, fact(enabledKind, op.name))
	if err == nil && boot != op.boot {
		todo = append(todo, want("at boot", boot, op.boot))
	}
	return todo, err
}

// known returns the state of the service. One that nobody knows is an error,
// unless an earlier step of a dry run may have installed it.
func (op *serviceOp) known(ctx context.Context, h host.Reader) (string, error) {
	state, err := h.Fact(ctx, fact(serviceKind, op.name))
	if err == nil && state == "" {
		var names string
		names, err = h.Fact(ctx, fact(servicesKind, "all"))
		if err == nil {
			return "", noService(op.name, strings.Fields(names))
		}
	}
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, "service "+op.name+" is installed and stopped")
		return stopped, nil
	}
	if state == "masked" && op.state != "stopped" {
		return "", runtime.Hint(errors.New("is masked"), "somebody forbade it to start; if that is over: systemctl unmask "+op.name)
	}
	return state, err
}

func noService(name string, names []string) error {
	var like []string
	for _, n := range names {
		if strings.Contains(n, name) || strings.Contains(name, n) {
			like = append(like, n)
		}
	}
	hint := "install the package that brings it first"
	if len(like) > 0 {
		hint = "similar names: " + strings.Join(like, " ")
	}
	return runtime.Hint(errors.New("there is no such service"), hint)
}

// checkPorts adds the ports that are not open though the service should run. A
// port that is open though it does not run belongs to somebody else.
func (op *serviceOp) checkPorts(ctx context.Context, h host.Reader, state string, todo []host.Change) ([]host.Change, error) {
	if op.state == "stopped" {
		return todo, nil
	}
	for _, n := range op.ports {
		port := strconv.Itoa(n)
		owner, err := known(ctx, h, fact(host.Port, port))
		switch {
		case err != nil:
			return nil, err
		case owner == "":
			todo = append(todo, want("port "+port, "", "open"))
		case state == stopped || state == failed || state == dead:
			return nil, runtime.Hint(fmt.Errorf("port %s is in use by %s", port, owner), "stop what uses it, or configure another port")
		}
	}
	return todo, nil
}

func (op *serviceOp) apply0(ctx context.Context, h host.Host, todo []host.Change) error {
	if wants(todo, "at boot") {
		boot := fact(enabledKind, op.name)
		argv, err := bootCommand(h, op.name, op.boot)
		if err != nil {
			return err
		}
		cmd := host.Cmd{Process: host.Process{Argv: argv}, Sets: map[host.Fact]string{boot: op.boot}}
		if _, err := h.Exec(ctx, cmd); err != nil {
			return err
		}
		if len(todo) == 1 {
			return nil
		}
	}
	_, err := h.Exec(ctx, op.command(h))
	if err != nil && underSystemd(h) {
		return runtime.Hint(err, "see why: journalctl -n 50 -u "+op.name)
	}
	return err
}

func (op *serviceOp) command(h host.Reader) host.Cmd {
	state, verb, port := running, "start", host.Present
	switch op.state {
	case "stopped":
		state, verb, port = stopped, "stop", ""
	case "restarted":
		verb = "restart"
	}
	cmd := host.Cmd{
		Sets:     map[host.Fact]string{fact(serviceKind, op.name): state},
		Settle:   answerTime,
		Hopeless: []string{failed},
		// It may open ports that nobody named.
		TouchesFacts: []host.Fact{fact(openedKind, "others")},
	}
	cmd.Argv = scriptCommand(h, op.name, verb)
	if underSystemd(h) {
		cmd.Argv = []string{"systemctl", verb, op.name + ".service"}
	}
	for _, n := range op.ports {
		cmd.Sets[fact(host.Port, strconv.Itoa(n))] = port
	}
	return cmd
}

// bootCommand returns the command that makes a service enabled or disabled.
func bootCommand(h host.Reader, name, state string) ([]string, error) {
	verb, onOff := "enable", "on"
	if state == "disabled" {
		verb, onOff = "disable", "off"
	}
	switch {
	case underSystemd(h):
		return []string{"systemctl", verb, name + ".service"}, nil
	case program(h, "chkconfig") != "":
		return []string{"chkconfig", name, onOff}, nil
	case program(h, "update-rc.d") != "" && len(bootLinks(h, name)) == 0:
		return []string{"update-rc.d", name, "defaults"}, nil // enable is for those that have links
	case program(h, "update-rc.d") != "":
		return []string{"update-rc.d", name, verb}, nil
	}
	return nil, runtime.Hint(errors.New("nothing here decides what starts at boot: got no systemd, chkconfig or update-rc.d"), "leave enabled= out")
}
