package builtins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"runbook/builtins/internal/supervisor"
	"runbook/runtime"
	"runbook/runtime/host"
)

var superviseBuiltin = &runtime.Builtin{
	Name: "supervise",
	Args: []runtime.Arg{
		param("config", "path", "",
			"the configuration of supervisord; if it lies in PREFIX/etc, the programs of PREFIX/bin are used"),
		param("programs", "dict", "{}",
			"names and commands, or names and dicts of supervisor's options; the configuration is written from them"),
		param("expect", "list of string", "[]", `processes that must run, as supervisorctl names them, or "GROUP:*"; `+
			`taken from the configuration if not given`),
		param("ports", "list of int", "[]", "TCP ports that they open; verified"),
		param("wait", "duration", "60", "how long processes may take to run and ports to open"),
	},
	Secrets: []string{"programs"},
	Summary: "have supervisord run, now and after a reboot, and every one of its programs with it",
	Detail: []string{
		"A line of the account's crontab starts it at boot. " +
			"Lines that start supervisord without naming a configuration are replaced by it.",
		"A process that is not RUNNING in time is a failure, whatever supervisorctl's exit status says.",
	},
	Example: `mkdir("/srv/app/etc")
supervise(config = "/srv/app/etc/supervisord.conf", ` +
		`programs = {"web": "/srv/app/bin/web", "worker": {"command": "/srv/app/bin/work", "numprocs": 2}}, ports = [8080])`,
	RunsAs: true,
	New:    newSupervise,
}

// superviseOp is a supervisord with its processes.
type superviseOp struct {
	config, user string
	text         string // of the configuration; "" if the runbook does not describe it
	expect       []string
	ports        []string
	wait         time.Duration
}

func newSupervise(c *runtime.Call) (runtime.Op, string, error) {
	op := &superviseOp{user: c.User(), wait: time.Minute}
	var config runtime.Path
	var programs starlark.Value
	var ports []int
	err := c.Unpack("config", &config, "programs", &programs, "expect", &op.expect, "ports", &ports, "wait", &op.wait)
	if err != nil {
		return nil, "", err
	}
	op.config = string(config)
	for _, n := range ports {
		op.ports = append(op.ports, strconv.Itoa(n))
	}
	if programs == nil {
		return op, op.config, nil
	}
	options, err := programOptions(programs)
	if err == nil && len(options) > 0 {
		op.text, err = supervisor.Generate(settingsBeside(op.config), options)
	}
	return op, op.config, err
}

// programOptions takes {NAME: COMMAND} and {NAME: {OPTION: VALUE}}.
func programOptions(v starlark.Value) (map[string]map[string]string, error) {
	dict, ok := v.(*starlark.Dict)
	if !ok {
		return nil, fmt.Errorf("argument \"programs\": got %s, want a dict", v.Type())
	}
	programs := map[string]map[string]string{}
	for _, item := range dict.Items() {
		name := optionText(item[0])
		programs[name] = map[string]string{}
		options, ok := item[1].(*starlark.Dict)
		if !ok {
			programs[name]["command"] = optionText(item[1])
			continue
		}
		for _, o := range options.Items() {
			programs[name][optionText(o[0])] = optionText(o[1])
		}
	}
	return programs, nil
}

// optionText is a value as supervisor reads it.
func optionText(v starlark.Value) string {
	if s, ok := starlark.AsString(v); ok {
		return s
	}
	if b, ok := v.(starlark.Bool); ok {
		return strconv.FormatBool(bool(b))
	}
	return v.String()
}

// settingsBeside puts what supervisord writes where its account can write it:
// beside its configuration, unless that is the system's.
func settingsBeside(config string) supervisor.Settings {
	run, log := path.Dir(config), path.Dir(config)
	if run == "/etc" || strings.HasPrefix(run, "/etc/") {
		run, log = "/run", "/var/log"
	}
	return supervisor.Settings{
		Socket:  run + "/supervisor.sock",
		PIDFile: run + "/supervisord.pid",
		LogFile: log + "/supervisord.log",
	}
}

func (op *superviseOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	if err := needUser(ctx, h, op.user); err != nil {
		return nil, err
	}
	have, err := op.readConfig(ctx, h)
	if err != nil {
		return nil, err
	}
	var actions []runtime.Action
	rewrite := op.text != "" && have != op.text
	if rewrite {
		owner, err := ownerFor(ctx, h, op.user)
		if err != nil {
			return nil, err
		}
		meta := host.Meta{Mode: modeFor(op.text), Size: int64(len(op.text)), Owner: owner}
		write := writeFile(op.config, host.Bytes([]byte(op.text)), meta)
		actions = runtime.Actions(write, change("config", have, op.text))
	}
	boot, err := op.atBoot(ctx, h)
	if err != nil {
		return nil, err
	}
	line, err := boot.Check(ctx, h)
	if err != nil {
		return nil, err
	}
	actions = append(actions, line...)
	sets, err := op.sets(have)
	if err != nil {
		return nil, err
	}
	states, err := checkFacts(ctx, h, sets)
	if err != nil {
		return nil, err
	}
	// Asked now: a dry run gets no answer about a configuration that a deed changed.
	up, err := op.isUp(ctx, h, len(actions)+len(states) > 0)
	if err != nil {
		return nil, err
	}
	start := op.start(sets, up, rewrite)
	if rewrite && len(states) == 0 { // supervisord has to read the new configuration
		return inTurn(actions, start), nil
	}
	return append(actions, runtime.Actions(start, states...)...), nil
}

// checkFacts compares what is known with the facts that should hold.
func checkFacts(ctx context.Context, h host.Reader, sets map[host.Fact]string) ([]host.Change, error) {
	var changes []host.Change
	for _, f := range host.SortedFacts(sets) {
		have, err := ask(ctx, h, f)
		if err != nil {
			return nil, err
		}
		if !host.Holds(sets[f], have) {
			_, what, _ := strings.Cut(f.Name, " ")
			changes = append(changes, change(cmp.Or(what, f.String()), have, sets[f]))
		}
	}
	return changes, nil
}

// isUp reports whether a supervisord runs with the configuration. Where a dry run
// may not ask, because an earlier step changed the configuration, it assumes that
// none does; it notes that if anything differs.
func (op *superviseOp) isUp(ctx context.Context, h host.Reader, differs bool) (bool, error) {
	status, err := ask(ctx, h, fact(statusKind, op.config))
	if err != nil || status != "" || !differs {
		return status != "", err
	}
	if _, err := h.Lstat(op.config); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if _, err := h.Query(ctx, statusQuery(h, op.config, op.user)); errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, "no supervisord runs with "+op.config)
	}
	return false, nil
}

// inTurn adds a deed that is done after those of actions.
func inTurn(actions []runtime.Action, next runtime.Deed) []runtime.Action {
	last := &actions[len(actions)-1]
	do := last.Do
	last.Do = func(ctx context.Context, h host.Host) error {
		if err := do(ctx, h); err != nil {
			return err
		}
		return next(ctx, h)
	}
	return actions
}

// readConfig returns the configuration that is there now.
func (op *superviseOp) readConfig(ctx context.Context, h host.Reader) (string, error) {
	data, err := host.ReadFile(h, op.config)
	switch {
	case errors.Is(err, fs.ErrNotExist) && op.text != "":
		return "", nil
	case errors.Is(err, fs.ErrNotExist):
		return "", runtime.Hint(fmt.Errorf("%s: no such file", op.config),
			"run first what writes it, or describe the programs: programs = {...}")
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, op.config+" is there")
		return "", nil
	}
	return string(data), err
}

// sets returns the facts that should hold; have is the configuration.
func (op *superviseOp) sets(have string) (map[host.Fact]string, error) {
	names, text := op.expect, cmp.Or(op.text, have)
	if len(names) == 0 && text != "" {
		c, err := supervisor.ParseConfig(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op.config, err)
		}
		names = c.Processes()
	}
	if len(names) == 0 {
		return nil, runtime.Hint(fmt.Errorf("%s: it is not known which processes it starts", op.config),
			`name them: expect = ["web", ...]`)
	}
	sets := map[host.Fact]string{}
	for _, n := range names {
		sets[fact(processKind, op.config+" "+n)] = supervisor.Running
	}
	for _, p := range op.ports {
		sets[fact(host.Port, p)] = host.Present
	}
	return sets, nil
}

// atBoot returns the line of the crontab that starts supervisord.
func (op *superviseOp) atBoot(ctx context.Context, h host.Reader) (*cronOp, error) {
	line := &cronOp{
		user: op.user, schedule: "@reboot",
		command: quote([]string{besideConfig(h, op.config, "supervisord"), "-c", op.config}),
		match:   regexp.MustCompile(`^\s*@reboot\s+\S*supervisord(\s*$|.*` + regexp.QuoteMeta(op.config) + `)`),
	}
	var err error
	if line.user == "" {
		line.user, err = h.Fact(ctx, fact(host.Self, ""))
	}
	return line, err
}

// start returns the deed that starts what does not run or, if supervisord is up
// and its configuration was rewritten, has it read that. Then sets hold.
func (op *superviseOp) start(sets map[host.Fact]string, up, rewritten bool) runtime.Deed {
	return func(ctx context.Context, h host.Host) error {
		ctl := []string{besideConfig(h, op.config, "supervisorctl"), "-c", op.config}
		cmd := host.Cmd{
			Sets:         sets,
			Follows:      map[host.Fact]string{fact(statusKind, op.config): believedStatus(sets)},
			Settle:       op.wait,
			Hopeless:     []string{supervisor.Fatal},
			Already:      regexp.MustCompile(`already started`),
			TouchesFacts: []host.Fact{fact(openedKind, "others")},
		}
		cmd.User = op.user
		switch {
		case !up:
			cmd.Argv = []string{besideConfig(h, op.config, "supervisord"), "-c", op.config}
		case rewritten:
			cmd.Argv = slices.Concat(ctl, []string{"update"})
		default:
			cmd.Argv = slices.Concat(ctl, []string{"start"}, processes(sets))
		}
		if _, err := h.Exec(ctx, cmd); err != nil {
			return runtime.Hint(err, "see why: "+quote(ctl)+" status, and its tail NAME stderr")
		}
		return nil
	}
}

// processes returns the names of the processes among facts, sorted.
func processes(sets map[host.Fact]string) (names []string) {
	for _, f := range host.SortedFacts(sets) {
		if f.Kind == processKind {
			names = append(names, f.Name[strings.LastIndexByte(f.Name, ' ')+1:])
		}
	}
	return names
}

// The kinds of facts about supervisord.
var (
	// statusKind is the processes of the supervisord of a configuration, which
	// is the fact's name: "up" and a line "NAME STATE" for each; "" if none runs.
	statusKind = &host.Kind{Name: "supervisord", Probe: askSupervisord}
	// processKind is one process; the fact's name is "CONFIG NAME", its value
	// its state. Of "GROUP:*" it is the first state that is not RUNNING, if any.
	processKind = &host.Kind{Name: "supervisor", Probe: processState}
)

func processState(ctx context.Context, r host.Reader, name string) (string, error) {
	i := strings.LastIndexByte(name, ' ')
	status, err := r.Fact(ctx, fact(statusKind, name[:i]))
	return stateIn(status, name[i+1:]), err
}

// stateIn returns the state of a process, or of all processes of "GROUP:*", in a status.
func stateIn(status, name string) (state string) {
	group, all := strings.CutSuffix(name, "*")
	for l := range strings.Lines(status) {
		n, s, _ := strings.Cut(strings.TrimSpace(l), " ")
		if n != name && !(all && strings.HasPrefix(n, group)) {
			continue
		}
		if state = s; s != supervisor.Running {
			break
		}
	}
	return state
}

// believedStatus is the status in which the wanted processes run.
func believedStatus(sets map[host.Fact]string) string {
	text := "up\n"
	for _, name := range processes(sets) {
		text += name + " " + supervisor.Running + "\n"
	}
	return text
}

// askSupervisord asks as the owner of the configuration: the socket is his,
// and root should not run his programs.
func askSupervisord(ctx context.Context, r host.Reader, config string) (string, error) {
	m, err := r.Lstat(config)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	res, err := r.Query(ctx, statusQuery(r, config, m.User))
	if err != nil {
		return "", err
	}
	list, err := supervisor.ParseStatus(string(res.Stdout) + string(res.Stderr))
	if errors.Is(err, supervisor.ErrDown) {
		return "", nil
	}
	text := "up\n"
	for _, p := range list {
		text += p.Name + " " + p.State + "\n"
	}
	return text, err
}

// besideConfig returns the program that goes with a configuration: for
// PREFIX/etc/FILE that of PREFIX/bin, if it is there or may be.
func besideConfig(r host.Reader, config, name string) string {
	if dir := path.Dir(config); path.Base(dir) == "etc" && dir != "/etc" {
		file := path.Join(path.Dir(dir), "bin", name)
		if ok, err := host.Exists(r, file); ok || errors.Is(err, host.ErrUnknown) {
			return file
		}
	}
	if file := program(r, name); file != "" {
		return file
	}
	return name
}

func statusQuery(r host.Reader, config, user string) host.Process {
	return host.Process{Argv: []string{besideConfig(r, config, "supervisorctl"), "-c", config, "status"}, User: user}
}
