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
		param("config", "path", "", "the configuration of supervisord; if it lies in PREFIX/etc, the programs of PREFIX/bin are used"),
		param("programs", "dict", "{}", "names and commands, or names and dicts of supervisor's options; the configuration is written from them"),
		param("expect", "list of string", "[]", `processes that must run, as supervisorctl names them, or "GROUP:*"; taken from the configuration if not given`),
		param("ports", "list of int", "[]", "TCP ports that they open; verified"),
		param("wait", "duration", "60", "how long processes may take to run and ports to open"),
	},
	Summary: "have supervisord run, now and after a reboot, and every one of its programs with it",
	Detail: []string{
		"A line of the account's crontab starts it at boot. Lines that start supervisord without naming a configuration are replaced by it.",
		"A process that is not RUNNING in time is a failure, whatever supervisorctl's exit status says.",
	},
	Example: `mkdir("/srv/app/etc")
supervise(config = "/srv/app/etc/supervisord.conf", programs = {"web": "/srv/app/bin/web", "worker": {"command": "/srv/app/bin/work", "numprocs": 2}}, ports = [8080])`,
	RunsAs: true,
	New:    newSupervise,
}

// superviseOp is a supervisord with its processes.
type superviseOp struct {
	config, user string
	text         string // of the configuration; "" if it is somebody else's
	expect       []string
	ports        []string
	wait         time.Duration
}

func newSupervise(c *runtime.Call) (runtime.Op, string, error) {
	op := &superviseOp{user: c.User(), wait: time.Minute}
	var config runtime.Path
	var programs starlark.Value
	var ports []int
	if err := c.Unpack("config", &config, "programs", &programs, "expect", &op.expect, "ports", &ports, "wait", &op.wait); err != nil {
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

// settingsBeside keeps what supervisord writes where its account can write it:
// beside its configuration, unless that is the system's.
func settingsBeside(config string) supervisor.Settings {
	run, log := path.Dir(config), path.Dir(config)
	if run == "/etc" || strings.HasPrefix(run, "/etc/") {
		run, log = "/run", "/var/log"
	}
	return supervisor.Settings{Socket: run + "/supervisor.sock", PIDFile: run + "/supervisord.pid", LogFile: log + "/supervisord.log"}
}

func (op *superviseOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	return legacy(ctx, h, op)
}

func (op *superviseOp) check0(ctx context.Context, h host.Reader) ([]host.Change, error) {
	if err := needUser(ctx, h, op.user); err != nil {
		return nil, err
	}
	have, err := op.readConfig(ctx, h)
	if err != nil {
		return nil, err
	}
	var todo []host.Change
	if op.text != "" && have != op.text {
		todo = append(todo, want("config", have, op.text))
	}
	boot, err := op.atBoot(ctx, h)
	if err != nil {
		return nil, err
	}
	line, err := boot.check0(ctx, h)
	if err != nil {
		return nil, err
	}
	todo = append(todo, line...)
	sets, err := op.sets(have)
	if err != nil {
		return nil, err
	}
	for _, f := range host.SortedFacts(sets) {
		state, err := known(ctx, h, f)
		if err != nil {
			return nil, err
		}
		if !host.Holds(sets[f], state) {
			_, what, _ := strings.Cut(f.Name, " ")
			todo = append(todo, want(cmp.Or(what, f.String()), state, sets[f]))
		}
	}
	return todo, op.doubt(ctx, h, todo)
}

// doubt notes what a dry run takes for granted of a supervisord that it may not
// ask, because something before changed what it would ask about.
func (op *superviseOp) doubt(ctx context.Context, h host.Reader, todo []host.Change) error {
	status, err := known(ctx, h, fact(statusKind, op.config))
	if err != nil || status != "" || len(todo) == 0 {
		return err
	}
	if _, err := h.Lstat(op.config); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := h.Query(ctx, statusQuery(h, op.config, op.user)); errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, "no supervisord runs with "+op.config)
	}
	return nil
}

// readConfig returns the configuration that is there.
func (op *superviseOp) readConfig(ctx context.Context, h host.Reader) (string, error) {
	data, err := host.ReadFile(h, op.config)
	switch {
	case errors.Is(err, fs.ErrNotExist) && op.text != "":
		return "", nil
	case errors.Is(err, fs.ErrNotExist):
		return "", runtime.Hint(fmt.Errorf("%s: no such file", op.config), "run first what writes it, or describe the programs: programs = {...}")
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, op.config+" is there")
		return "", nil
	}
	return string(data), err
}

// sets are the facts that hold when all is well; have is the configuration.
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
		return nil, runtime.Hint(fmt.Errorf("%s: it is not known which processes it starts", op.config), `name them: expect = ["web", ...]`)
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

// atBoot is the line of the crontab.
func (op *superviseOp) atBoot(ctx context.Context, h host.Reader) (*cronOp, error) {
	line := &cronOp{user: op.user, schedule: "@reboot", command: quote([]string{besideConfig(h, op.config, "supervisord"), "-c", op.config})}
	var err error
	if line.user == "" {
		line.user, err = h.Fact(ctx, fact(host.Self, ""))
	}
	line.match = regexp.MustCompile(`^\s*@reboot\s+\S*supervisord(\s*$|.*` + regexp.QuoteMeta(op.config) + `)`)
	return line, err
}

func (op *superviseOp) apply0(ctx context.Context, h host.Host, todo []host.Change) error {
	// Asked first: a dry run gets no answer about a configuration that it changed.
	status, err := known(ctx, h, fact(statusKind, op.config))
	if err != nil {
		return err
	}
	rewritten := wants(todo, "config")
	if rewritten {
		meta := host.Meta{Mode: 0o644, Size: int64(len(op.text)), Owner: ownerOf(ctx, h, op.user)}
		if err := h.WriteFile(op.config, host.Bytes([]byte(op.text)), meta); err != nil {
			return err
		}
	}
	if i := slices.IndexFunc(todo, func(c host.Change) bool { return c.What == "line" }); i >= 0 {
		boot, err := op.atBoot(ctx, h)
		if err == nil {
			err = boot.apply0(ctx, h, todo[i:i+1])
		}
		if err != nil {
			return err
		}
		todo = slices.Delete(slices.Clone(todo), i, i+1)
	}
	if len(todo) == 0 {
		return nil
	}
	return op.start(ctx, h, status != "", rewritten)
}

// start starts what does not run, or has a running supervisord read its new
// configuration.
func (op *superviseOp) start(ctx context.Context, h host.Host, running, rewritten bool) error {
	have, err := op.readConfig(ctx, h)
	if err != nil {
		return err
	}
	cmd := host.Cmd{
		Settle:       op.wait,
		Hopeless:     []string{supervisor.Fatal},
		Already:      regexp.MustCompile(`already started`),
		TouchesFacts: []host.Fact{fact(openedKind, "others")},
	}
	if cmd.Sets, err = op.sets(have); err != nil {
		return err
	}
	ctl := []string{besideConfig(h, op.config, "supervisorctl"), "-c", op.config}
	switch {
	case !running:
		cmd.Argv = []string{besideConfig(h, op.config, "supervisord"), "-c", op.config}
	case rewritten:
		cmd.Argv = append(slices.Clone(ctl), "update")
	default:
		cmd.Argv = append(slices.Clone(ctl), "start")
		for _, f := range host.SortedFacts(cmd.Sets) {
			if _, name, ok := strings.Cut(f.Name, " "); ok {
				cmd.Argv = append(cmd.Argv, name)
			}
		}
	}
	cmd.User = op.user
	cmd.Follows = map[host.Fact]string{fact(statusKind, op.config): believedStatus(cmd.Sets)}
	if _, err = h.Exec(ctx, cmd); err != nil {
		return runtime.Hint(err, "see why: "+quote(ctl)+" status, and its tail NAME stderr")
	}
	return nil
}
