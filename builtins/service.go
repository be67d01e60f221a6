package builtins

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
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
		param("state", "string", `"started"`,
			`"started", "stopped" or "restarted"; the last restarts it whenever it is called`).OneOf("started", "stopped", "restarted"),
		param("enabled", "bool", "None", "whether it starts at boot; left alone if not given"),
		param("ports", "list of int", "[]", "TCP ports that it opens; verified, with a wait of up to 30 seconds"),
		newerThanParam("it"),
	},
	Summary: "start or stop a service, and have it start at boot or not",
	Detail: []string{
		"It goes through systemd where systemd runs, and through the init script elsewhere.",
		"A service that runs but does not open its ports is a failure.",
		"newer_than= compares the time when its process started with that of each file's last change. " +
			"Unlike `if written.changed: service(..., state = \"restarted\")` it also holds after a run that was cut short, " +
			"and after a change by hand.",
	},
	Example: `if exists("/etc/init.d/cron") and exists("/etc/crontab"):
    service("cron", newer_than = ["/etc/crontab"])`,
	New: newService,
}

// serviceOp is a service as it should be.
type serviceOp struct {
	name, state string
	boot        string // "enabled", "disabled", or "" to leave it alone
	ports       []int
	newer       newerThan
}

// answerTime is how long a daemon may take to answer after it was started.
const answerTime = 30 * time.Second

var serviceName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@:-]*$`)

func newService(c *runtime.Call) (runtime.Op, string, error) {
	op := &serviceOp{state: "started"}
	var enabled starlark.Value
	if err := c.Unpack("name", &op.name, "state", &op.state,
		"enabled", &enabled, "ports", &op.ports, "newer_than", (*[]runtime.Path)(&op.newer)); err != nil {
		return nil, "", err
	}
	op.name = strings.TrimSuffix(op.name, ".service")
	if !serviceName.MatchString(op.name) {
		return nil, "", fmt.Errorf("got %q, want the name of a service", op.name)
	}
	if len(op.newer) > 0 && op.state != "started" {
		return nil, "", fmt.Errorf("argument \"newer_than\": got it with state %q, want it with \"started\"", op.state)
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
	state, err := op.current(ctx, h)
	if err != nil {
		return nil, err
	}
	verb, now, err := op.checkNow(ctx, h, state)
	if err != nil {
		return nil, err
	}
	boot, err := op.checkBoot(ctx, h)
	return runtime.Actions(func(ctx context.Context, h host.Host) error {
		if len(boot) > 0 {
			if err := op.setBoot(ctx, h); err != nil {
				return err
			}
		}
		if len(now) > 0 {
			return op.control(ctx, h, verb, state)
		}
		return nil
	}, slices.Concat(now, boot)...), err
}

// current returns the state of the service. One that is not installed is an
// error, unless an earlier step of a dry run may have installed it.
func (op *serviceOp) current(ctx context.Context, h host.Reader) (string, error) {
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
		return "", runtime.Hint(errors.New("is masked"),
			"somebody forbade it to start; if that is over: systemctl unmask "+op.name)
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

// checkNow compares state, which the service is in, its age and its ports with what is
// wanted. The verb is what brings that about.
func (op *serviceOp) checkNow(ctx context.Context, h host.Reader, state string) (verb string, changes []host.Change,
	err error) {
	if err := op.newer.check(h); err != nil {
		return "", nil, err
	}
	verb = "start"
	switch {
	case op.state == "stopped":
		verb = "stop"
		if !isDown(state) {
			changes = append(changes, change("service", state, stopped))
		}
		return verb, changes, nil
	case op.state == "restarted":
		verb, changes = "restart", append(changes, change("service", state, "restarted"))
	case state != running:
		changes = append(changes, change("service", state, running))
	case len(op.newer) > 0:
		file, err := op.outdated(ctx, h)
		if err != nil {
			return "", nil, err
		}
		if file != "" {
			verb, changes = "restart", append(changes, change("service", "running, older than "+file, "restarted"))
		}
	}
	ports, err := op.checkPorts(ctx, h, state)
	return verb, append(changes, ports...), err
}

// outdated returns the first of the files that changed after the service, which runs,
// started; "" if none did.
func (op *serviceOp) outdated(ctx context.Context, h host.Reader) (string, error) {
	value, err := h.Fact(ctx, fact(serviceStartKind, op.name))
	if err == nil && value == "" {
		err = runtime.Hint(errors.New("newer_than: it is not known when the service started: "+
			"got no process of it, by its status, by a pid file or by its name"),
			"leave newer_than= out, or have its status tell the number: \"NAME (pid 123) is running\"")
	}
	if err != nil {
		return "", err
	}
	return op.newer.changedAfter(ctx, h, value)
}

// checkPorts compares the ports of a service that is to run with those that are open.
func (op *serviceOp) checkPorts(ctx context.Context, h host.Reader, state string) (changes []host.Change, err error) {
	for _, n := range op.ports {
		port := strconv.Itoa(n)
		owner, err := ask(ctx, h, fact(host.Port, port))
		switch {
		case err != nil:
			return nil, err
		case owner == "":
			changes = append(changes, change("port "+port, "", "open"))
		case isDown(state):
			return nil, runtime.Hint(fmt.Errorf("port %s is in use by %s", port, owner),
				"stop what uses it, or configure another port")
		}
	}
	return changes, nil
}

// isDown reports whether a service in this state has no process, so that ports
// that are open are not its own.
func isDown(state string) bool { return state == stopped || state == failed || state == dead }

// checkBoot compares whether the service is enabled with what is wanted.
func (op *serviceOp) checkBoot(ctx context.Context, h host.Reader) ([]host.Change, error) {
	if op.boot == "" {
		return nil, nil
	}
	have, err := ask(ctx, h, fact(enabledKind, op.name))
	if err != nil || have == op.boot {
		return nil, err
	}
	return []host.Change{change("at boot", have, op.boot)}, nil
}

// setBoot makes the service enabled or disabled.
func (op *serviceOp) setBoot(ctx context.Context, h host.Host) error {
	argv, err := bootCommand(h, op.name, op.boot)
	if err != nil {
		return err
	}
	sets := map[host.Fact]string{fact(enabledKind, op.name): op.boot}
	_, err = op.bound(h).Exec(ctx, host.Cmd{Process: host.Process{Argv: argv}, Sets: sets,
		Unbound: "it changes what the init system starts"})
	return err
}

// control starts, stops or restarts the service, which is in a state.
func (op *serviceOp) control(ctx context.Context, h host.Host, verb, state string) error {
	if err := op.newer.settle(ctx, h); err != nil {
		return err
	}
	_, err := op.bound(h).Exec(ctx, op.command(h, verb))
	switch {
	case err != nil && verb == "start" && state == running: // for the sake of its ports
		return runtime.Hint(err, "it runs: see its log, and which ports its configuration names; "+
			"newer_than=[FILE] restarts it where that changed")
	case err != nil && underSystemd(h):
		return runtime.Hint(err, "see why: journalctl -n 50 -u "+op.name)
	}
	return err
}

// daemonStays is why a command that starts a daemon is not confined.
const daemonStays = "the daemon that it starts would stay confined"

func (op *serviceOp) command(h host.Reader, verb string) host.Cmd {
	state, port := running, host.Present
	if verb == "stop" {
		state, port = stopped, ""
	}
	cmd := host.Cmd{
		Sets:     map[host.Fact]string{fact(serviceKind, op.name): state},
		Settle:   answerTime,
		Hopeless: []string{failed},
		Unbound:  daemonStays,
		// It may open ports that op.ports lacks.
		TouchesFacts: []host.Fact{fact(openedKind, "others")},
	}
	cmd.Argv = scriptCommand(h, op.name, verb)
	if underSystemd(h) {
		cmd.Argv = []string{"systemctl", verb, op.name + ".service"}
	}
	for _, n := range op.ports {
		cmd.Sets[fact(host.Port, strconv.Itoa(n))] = port
	}
	if verb != "stop" {
		cmd.Follows = map[host.Fact]string{fact(serviceStartKind, op.name): predictedStart()}
		maps.Copy(cmd.Sets, op.newer.started(op.name, fact(serviceStartKind, op.name)))
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
	err := errors.New("nothing here decides what starts at boot: got no systemd, chkconfig or update-rc.d")
	return nil, runtime.Hint(err, "leave enabled= out")
}

// The states of a service. dead is one that ended without being stopped.
const (
	running = "running"
	stopped = "stopped"
	failed  = "failed"
	dead    = "dead"
)

// The kinds of facts about services.
var (
	// serviceKind is a service; its value is running, stopped, failed, dead,
	// masked, starting or stopping.
	serviceKind = &host.Kind{Name: "service", Probe: serviceState}
	// enabledKind is a service at boot; its value is enabled or disabled.
	enabledKind = &host.Kind{Name: "enabled", Probe: serviceAtBoot}
	// servicesKind has one fact, "all": the names of the services that are
	// installed. Packages whose content a dry run cannot see touch it.
	servicesKind = &host.Kind{Name: "services", Probe: installedServices}
	// openedKind has one fact, "others". It is known until something starts
	// that may open ports that no call names.
	openedKind = &host.Kind{Name: "opened", Probe: func(context.Context, host.Reader, string) (string, error) {
		return "none", nil
	}}
	// unitKind is the state of a unit as systemctl shows it.
	unitKind = &host.Kind{Name: "unit", Probe: showUnit}
	// scriptStatusKind is what an init script says of its service: the exit status, a blank, and its text.
	scriptStatusKind = &host.Kind{Name: "init-status", Probe: askScript}
)

// The directories of units and init scripts; the first that has a name wins.
const (
	initDir  = "/etc/init.d"
	unitDirs = "/etc/systemd/system /run/systemd/system /usr/lib/systemd/system /lib/systemd/system"
)

// underSystemd is the test of sd_booted(3).
func underSystemd(r host.Reader) bool {
	ok, err := host.Exists(r, "/run/systemd/system")
	return ok && err == nil
}

func serviceState(ctx context.Context, r host.Reader, name string) (string, error) {
	if !underSystemd(r) {
		return scriptState(ctx, r, name)
	}
	unit, err := r.Fact(ctx, fact(unitKind, name))
	if err != nil {
		return "", err
	}
	switch p := properties(unit); {
	case p["LoadState"] == "masked":
		return "masked", nil
	case p["LoadState"] == "not-found" || p["LoadState"] == "":
		return unstartedUnit(r, name), nil
	case p["ActiveState"] == "active" || p["ActiveState"] == "reloading":
		return running, nil
	case p["ActiveState"] == "activating":
		return "starting", nil
	case p["ActiveState"] == "deactivating":
		return "stopping", nil
	case p["ActiveState"] == "failed":
		return failed, nil
	}
	return stopped, nil
}

// unstartedUnit returns the state of a unit that systemd does not know: one that
// only an overlay shows has never run.
func unstartedUnit(r host.Reader, name string) string {
	for dir := range strings.FieldsSeq(unitDirs) {
		if ok, err := host.Exists(r, path.Join(dir, name+".service")); ok && err == nil {
			return stopped
		}
	}
	if ok, err := host.Exists(r, path.Join(initDir, name)); ok && err == nil {
		return stopped
	}
	return ""
}

// showUnit asks for states: systemctl(1) warns against relying on exit statuses.
func showUnit(ctx context.Context, r host.Reader, name string) (string, error) {
	const wanted = "LoadState,ActiveState,UnitFileState,MainPID,ActiveEnterTimestampMonotonic"
	argv := []string{"systemctl", "show", "-p", wanted, name + ".service"}
	res, err := r.Query(ctx, host.Process{Argv: argv})
	return string(res.Stdout), err
}

func properties(text string) map[string]string {
	p := map[string]string{}
	for l := range strings.Lines(text) {
		k, v, _ := strings.Cut(strings.TrimSpace(l), "=")
		p[k] = v
	}
	return p
}

// scriptState asks an init script. The statuses are those of the Linux
// Standard Base: 0 runs, 1 and 2 died, 3 is stopped.
func scriptState(ctx context.Context, r host.Reader, name string) (string, error) {
	script := path.Join(initDir, name)
	if ok, err := host.Exists(r, script); !ok || err != nil {
		return "", err
	}
	status, err := r.Fact(ctx, fact(scriptStatusKind, name))
	code, text, _ := strings.Cut(status, " ")
	switch {
	case err != nil:
		return "", err
	case strings.Contains(text, "unrecognized service"):
		return stopped, nil // the script is there only in an overlay
	case code == "0":
		return running, nil
	case code == "1" || code == "2":
		return dead, nil
	}
	return stopped, nil
}

func askScript(ctx context.Context, r host.Reader, name string) (string, error) {
	res, err := r.Query(ctx, host.Process{Argv: scriptCommand(r, name, "status")})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %s%s", res.Code, res.Stdout, res.Stderr), nil
}

// scriptCommand goes through service(8), which cleans the environment, where there is one.
func scriptCommand(r host.Reader, name, verb string) []string {
	if program(r, "service") != "" {
		return []string{"service", name, verb}
	}
	return []string{path.Join(initDir, name), verb}
}

func serviceAtBoot(ctx context.Context, r host.Reader, name string) (string, error) {
	state, err := r.Fact(ctx, fact(serviceKind, name))
	if err != nil || state == "" {
		return "", err
	}
	if underSystemd(r) {
		unit, err := r.Fact(ctx, fact(unitKind, name))
		if strings.HasPrefix(properties(unit)["UnitFileState"], "enabled") {
			return "enabled", err
		}
		return "disabled", err
	}
	if strings.Contains(bootLinks(r, name), "S") {
		return "enabled", nil
	}
	return "disabled", nil
}

// bootLinks returns what the runlevels that a machine comes up in do with an
// init script: "S" or "K" for each link such as S01NAME.
func bootLinks(r host.Reader, name string) (letters string) {
	for _, level := range []string{"2", "3", "4", "5"} {
		names, err := r.ReadDir("/etc/rc" + level + ".d")
		if err != nil {
			continue // not every system has all of them
		}
		for _, n := range names {
			if len(n) > 3 && n[3:] == name {
				letters += n[:1]
			}
		}
	}
	return letters
}

func installedServices(_ context.Context, r host.Reader, _ string) (string, error) {
	var all []string
	for dir := range strings.FieldsSeq(initDir + " " + unitDirs) {
		names, err := r.ReadDir(dir)
		if err != nil {
			continue // not every system has every directory
		}
		for _, n := range names {
			if unit, ok := strings.CutSuffix(n, ".service"); ok || dir == initDir && n != "README" {
				all = append(all, unit)
			}
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " "), nil
}

// bound returns h, whose commands run what says how the service is started: a plan holds for the same only.
func (op *serviceOp) bound(h host.Host) host.Host {
	unit := op.name + ".service"
	return binding(h, "/etc/init.d/"+op.name, "/etc/systemd/system/"+unit, "/usr/lib/systemd/system/"+unit,
		"/lib/systemd/system/"+unit)
}
