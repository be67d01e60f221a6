package builtins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
		newerThanParam("the processes"),
		param("wait", "duration", "60", "how long processes may take to run and ports to open"),
	},
	Secrets: []string{"programs"},
	Summary: "have supervisord run, now and after a reboot, and every one of its programs with it",
	Detail: []string{
		"A line of the account's crontab starts it at boot. " +
			"Lines that start supervisord without naming a configuration are replaced by it.",
		"A process that is not RUNNING in time is a failure, whatever supervisorctl's exit status says.",
		"A file named in newer_than= reaches the processes whoever changed it, and when: no run has to remember that it did.",
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
	newer        newerThan
	wait         time.Duration
	marker       string // there from before a new configuration is written until supervisord has read it
}

func newSupervise(c *runtime.Call) (runtime.Op, string, error) {
	op := &superviseOp{user: c.User(), wait: time.Minute}
	var config runtime.Path
	var programs starlark.Value
	var ports []int
	err := c.Unpack("config", &config, "programs", &programs, "expect", &op.expect, "ports", &ports,
		"newer_than", (*[]runtime.Path)(&op.newer), "wait", &op.wait)
	if err != nil {
		return nil, "", err
	}
	op.config = string(config)
	op.marker = newBegun(c.StateDir(), "supervise "+op.config).file
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
	boot, err := op.atBoot(ctx, h)
	if err != nil {
		return nil, err
	}
	line, err := boot.Check(ctx, h)
	if err != nil {
		return nil, err
	}
	d, err := op.compare(ctx, h, have, len(line) > 0)
	if err != nil {
		return nil, err
	}
	var actions []runtime.Action
	switch {
	case d.rewrite:
		owner, err := ownerFor(ctx, h, op.user)
		if err != nil {
			return nil, err
		}
		actions = runtime.Actions(op.write(owner, d.up), change("config", have, op.text))
	case d.pending:
		actions = runtime.Actions(func(context.Context, host.Host) error { return nil },
			change("config", "written by a run that was cut short", "read by supervisord"))
	}
	actions = append(actions, line...)
	if len(d.changes) == 0 && (d.rewrite || d.pending) { // supervisord has to read the new configuration
		return inTurn(actions, op.start(d)), nil
	}
	return append(actions, runtime.Actions(op.start(d), d.changes...)...), nil
}

// A supervisedState is what of a supervisord is as it should be, and what is not.
type supervisedState struct {
	sets     map[host.Fact]string // facts that should hold
	up       bool                 // supervisord runs
	rewrite  bool                 // the configuration is to be written
	pending  bool                 // supervisord may not have read the configuration that is there
	old      []string             // processes that should be newer
	changes  []host.Change        // of processes and ports
	commands [][]string
}

// compare looks at what runs. It is asked before anything changes: a dry run gets no
// answer about a configuration that a deed changed.
func (op *superviseOp) compare(ctx context.Context, h host.Reader, have string, differs bool) (
	d supervisedState, err error) {
	d.rewrite = op.text != "" && have != op.text
	if d.pending, err = present(ctx, h, op.marker); err != nil {
		return d, err
	}
	if d.sets, err = op.sets(have); err != nil {
		return d, err
	}
	if d.changes, err = checkFacts(ctx, h, d.sets); err != nil {
		return d, err
	}
	if d.up, err = op.isUp(ctx, h, differs || d.rewrite || len(d.changes) > 0); err != nil {
		return d, err
	}
	old, err := op.outdated(ctx, h, d.sets)
	if err != nil {
		return d, err
	}
	for _, c := range old {
		d.old = append(d.old, c.What)
	}
	d.changes = append(d.changes, old...)
	status, err := ask(ctx, h, fact(statusKind, op.config))
	d.commands = op.commands(h, d, status)
	return d, err
}

// write returns the deed that writes the configuration. If the run is cut short before
// supervisord, which is up, has read it, the marker tells the next one.
func (op *superviseOp) write(owner host.Owner, up bool) runtime.Deed {
	return func(_ context.Context, h host.Host) error {
		if up {
			text := []byte("written and not read yet: " + op.config + "\n")
			if err := runtime.WriteMarker(h, op.marker, host.Bytes(text), len(text)); err != nil {
				return err
			}
		}
		meta := host.Meta{Mode: modeFor(op.text), Size: int64(len(op.text)), Owner: owner}
		return h.WriteFile(op.config, host.Bytes([]byte(op.text)), meta)
	}
}

// outdated compares the processes that run with the files that they should be newer
// than.
func (op *superviseOp) outdated(ctx context.Context, h host.Reader, sets map[host.Fact]string) (
	changes []host.Change, err error) {
	if err := op.newer.check(h); err != nil {
		return nil, err
	}
	for _, name := range processes(sets) {
		start, err := ask(ctx, h, fact(processStartKind, op.config+" "+name))
		if err != nil || start == "" {
			continue // it does not run
		}
		file, err := op.newer.changedAfter(ctx, h, start)
		if err != nil {
			return nil, err
		}
		if file != "" {
			changes = append(changes, change(name, supervisor.Running+", older than "+file, "restarted"))
		}
	}
	return changes, nil
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

// start returns the deed that runs the commands. Then d.sets hold, and nothing is old.
func (op *superviseOp) start(d supervisedState) runtime.Deed {
	return func(ctx context.Context, h host.Host) error {
		if err := op.newer.settle(ctx, h); err != nil {
			return err
		}
		cmd := host.Cmd{
			Process: host.Process{User: op.user}, Already: regexp.MustCompile(`already started`), Unbound: daemonStays,
		}
		for i, argv := range d.commands {
			cmd.Argv = argv
			if i == len(d.commands)-1 {
				cmd.Settle, cmd.Hopeless = op.wait, []string{supervisor.Fatal}
				cmd.TouchesFacts = []host.Fact{fact(openedKind, "others")}
				cmd.Sets, cmd.Follows = op.wanted(ctx, h, d)
			}
			if _, err := binding(h, op.config).Exec(ctx, cmd); err != nil {
				return op.explain(h, d, err)
			}
		}
		if d.pending || d.rewrite && d.up {
			return h.Remove(op.marker, 1)
		}
		return nil
	}
}

// explain adds where to look.
func (op *superviseOp) explain(h host.Reader, d supervisedState, err error) error {
	hint := "see why: " + quote(op.control(h)) + " status, and its tail NAME stderr"
	running := !slices.ContainsFunc(d.changes, func(c host.Change) bool { return !strings.HasPrefix(c.What, "port:") })
	if d.up && running && len(d.changes) > 0 {
		hint = "all processes run: see which ports their configuration names, and what uses these; " +
			"newer_than=[FILE] restarts them where that changed"
	}
	return runtime.Hint(err, hint)
}

func (op *superviseOp) control(h host.Reader) []string {
	return []string{besideConfig(h, op.config, "supervisorctl"), "-c", op.config}
}

// commands returns what is to be run, in order; status is that of the processes now.
func (op *superviseOp) commands(h host.Reader, d supervisedState, status string) (commands [][]string) {
	ctl, again := op.control(h), d.old
	if !d.up {
		return [][]string{{besideConfig(h, op.config, "supervisord"), "-c", op.config}}
	}
	if d.rewrite || d.pending {
		commands = append(commands, slices.Concat(ctl, []string{"update"}))
	}
	switch {
	case len(again) > 0:
		for _, name := range processes(d.sets) {
			if len(commands) == 0 && stateIn(status, name) != supervisor.Running {
				again = append(slices.Clone(again), name)
			}
		}
		commands = append(commands, slices.Concat(ctl, []string{"restart"}, wholeGroups(status, again)))
	case len(commands) == 0:
		commands = append(commands, slices.Concat(ctl, []string{"start"}, processes(d.sets)))
	}
	return commands
}

// wanted returns what holds once the last command has run, and what a dry run concludes from that.
func (op *superviseOp) wanted(ctx context.Context, h host.Reader, d supervisedState) (
	sets, follows map[host.Fact]string) {
	sets, follows = maps.Clone(d.sets), map[host.Fact]string{fact(statusKind, op.config): believedStatus(d.sets)}
	for _, name := range processes(d.sets) {
		start := fact(processStartKind, op.config+" "+name)
		if have, err := h.Fact(ctx, start); err != nil || have == "" || slices.Contains(d.old, name) {
			follows[start] = predictedStart()
		}
		maps.Copy(sets, op.newer.started(op.config+" "+name, start))
	}
	return sets, follows
}

// wholeGroups puts "GROUP:*" for names that are all of a group in a status: these are
// restarted at once, others one after the other.
func wholeGroups(status string, names []string) (short []string) {
	for _, name := range names {
		group, _, grouped := strings.Cut(name, ":")
		all := group + ":*"
		missing := !grouped || slices.ContainsFunc(slices.Collect(strings.Lines(status)), func(l string) bool {
			n, _, _ := strings.Cut(l, " ")
			return strings.HasPrefix(n, group+":") && !slices.Contains(names, n)
		})
		if missing {
			all = name
		}
		if !slices.Contains(short, all) {
			short = append(short, all)
		}
	}
	return short
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
