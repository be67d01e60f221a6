package builtins

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var runBuiltin = &runtime.Builtin{
	Name: "run",
	Args: []runtime.Arg{
		param("argv", "list of string", "", "the command: a list, or one string that is split into words; no shell"),
		param("creates", "path", `""`, `what the command makes; where it is there, nothing is done; `+
			`with "/" at its end a dry run takes it for a directory`),
		param("unless", "list of string", "[]", "a command that only reads; where it exits with 0, nothing is done; a dry run confines it as query()"),
		param("once", "string", `""`, "a name under which a success is remembered"),
		param("already", "regexp", `""`, "a failure whose output matches counts as done"),
		param("ok", "list of int", "[0]", "exit statuses that mean success"),
		param("env", "dict", "{}", "added to the environment"),
		param("cwd", "path", `""`, "working directory; the user's home if empty"),
		param("stdin", "string", `""`, "standard input"),
		param("touches", "list of string", "[]",
			`what else it changes: paths of trees, or facts such as "crontab:USER", "port:8080", "rpm:NAME"`),
	},
	Secrets:    []string{"argv", "unless", "env", "stdin"},
	Positional: 1,
	Summary:    "run a command that changes the machine",
	Detail: []string{
		"Say with creates=, unless= or once= how to tell that it is done: without one of them it runs every time.",
		"What creates= names does not count as done where an earlier run saw the command fail, " +
			"or the machine went down meanwhile: that is an error which says what to do.",
		"The files that its words name are part of a plan, but those of the system and those that touches= names.",
		"With --confine the kernel lets it change creates= and touches=, and nothing else: see runbook help confine.",
		"A dry run does not run it. It believes creates=, and of what touches= names it knows nothing any more.",
	},
	Example: `run(["ssh-keygen", "-A"], creates = "/etc/ssh/ssh_host_ed25519_key")`,
	RunsAs:  true,
	New:     newRun,
}

// runOp is a command and how to tell that it is done.
type runOp struct {
	cmd     host.Cmd // Makes and Touches lack what creates names
	creates string
	dir     bool // creates is a directory
	unless  host.Process
	once    string // the key, "" without once=
	marker  string // of once
	begun   begun  // of creates
}

var onceKey = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)

func newRun(c *runtime.Call) (runtime.Op, string, error) {
	var op runOp
	var already, stdin, creates string
	var argv, unless words
	var touches []string
	var cwd runtime.Path
	p := host.Process{User: c.User()}
	err := c.Unpack("argv", &argv, "creates", &creates, "unless", &unless, "once", &op.once, "already", &already,
		"ok", &op.cmd.OK, "env", &p.Env, "cwd", &cwd, "stdin", &stdin, "touches", &touches)
	if err != nil {
		return nil, "", err
	}
	p.Argv, p.Dir = argv, string(cwd)
	if stdin != "" {
		p.Stdin = []byte(stdin)
	}
	op.cmd.Process, op.cmd.Brings = p, true
	op.unless = host.Process{Argv: unless, User: p.User, Env: p.Env, Dir: p.Dir, Asker: "unless"}
	if op.once != "" {
		op.marker = path.Join(c.StateDir(), "once", op.once+".json")
	}
	if slices.ContainsFunc(argv, firewallCommand.MatchString) {
		op.cmd.TouchesFacts = append(op.cmd.TouchesFacts, fact(firewallKind, "rules"))
	}
	return &op, quote(p.Argv), errors.Join(op.setCreates(creates, c.StateDir()),
		op.setAlready(already), op.setTouches(touches), checkKey(op.once))
}

// firewallCommand is a word, or a word of a script, that changes the rules of the firewall.
var firewallCommand = regexp.MustCompile(`(^|[\s/;|&(])` +
	`((x|ip6?|eb|arp)tables(-legacy|-nft)?(-restore|-apply)?|nft|ufw|firewall-cmd|netfilter-persistent|shorewall)` +
	`($|[\s;|&)])`)

func (op *runOp) setCreates(name, state string) error {
	if name == "" {
		return nil
	}
	if !path.IsAbs(name) {
		return fmt.Errorf("argument \"creates\": got relative path %q, want an absolute one", name)
	}
	op.creates, op.dir = path.Clean(name), strings.HasSuffix(name, "/")
	op.begun = newBegun(state, op.creates)
	return nil
}

func (op *runOp) setAlready(expr string) (err error) {
	if expr != "" {
		op.cmd.Already, err = regexp.Compile(expr)
	}
	return err
}

// setTouches tells names of trees from names of facts.
func (op *runOp) setTouches(names []string) error {
	for _, n := range names {
		if path.IsAbs(n) {
			op.cmd.Touches = append(op.cmd.Touches, path.Clean(n))
			continue
		}
		kind, name, _ := strings.Cut(n, ":")
		k := kindNamed(kind)
		if k == nil || name == "" {
			return runtime.Hint(fmt.Errorf("argument \"touches\": got %q, want an absolute path or KIND:NAME", n),
				"the kinds are "+strings.Join(kindNames(), " "))
		}
		op.cmd.TouchesFacts = append(op.cmd.TouchesFacts, fact(k, name))
		if k != host.Port {
			op.cmd.Unbound = "it changes " + n + ", for which no path stands"
		}
	}
	return nil
}

func checkKey(key string) error {
	if key != "" && !onceKey.MatchString(key) {
		return fmt.Errorf("argument \"once\": got %q, want letters, digits, dots and dashes", key)
	}
	return nil
}

func (op *runOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	if op.creates != "" {
		if ok, err := present(ctx, h, op.creates); err != nil {
			return nil, err
		} else if ok {
			return op.begun.check(h)
		}
	}
	if done, err := op.done(ctx, h); done || err != nil {
		return nil, err
	}
	if err := needUser(ctx, h, op.cmd.User); err != nil {
		return nil, err
	}
	cmd, err := op.command(ctx, h)
	if err != nil {
		return nil, err
	}
	reads := op.reads(ctx, h)
	return runtime.Actions(func(ctx context.Context, h host.Host) error {
		return op.run(ctx, h, cmd, reads)
	}, change("command", "", quote(op.cmd.Argv))), nil
}

// done reports whether once= or unless= says that the command is done.
func (op *runOp) done(ctx context.Context, h host.Reader) (bool, error) {
	if op.marker != "" {
		if ok, err := present(ctx, h, op.marker); ok || err != nil {
			return ok, err
		}
	}
	if len(op.unless.Argv) == 0 {
		return false, nil
	}
	res, err := h.Query(ctx, op.unless)
	if errors.Is(err, host.ErrUnknown) || err != nil && ctx.Err() == nil && runtime.Predicting(ctx) {
		runtime.Assume(ctx, quote(op.unless.Argv)+" fails")
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("unless %s: %w", quote(op.unless.Argv), err)
	}
	return res.Code == 0, nil
}

// command returns op.cmd with what creates= names.
func (op *runOp) command(ctx context.Context, h host.Reader) (host.Cmd, error) {
	cmd := op.cmd
	if len(op.unless.Argv) > 0 {
		cmd.Answers = []host.Process{op.unless}
	}
	if op.creates == "" {
		return cmd, nil
	}
	owner, err := ownerFor(ctx, h, cmd.User)
	if err != nil {
		return cmd, err
	}
	made := host.Entry{Name: op.creates, Meta: host.Meta{Mode: fs.ModeIrregular | 0o644, Size: -1, Owner: owner}}
	if op.dir {
		made.Mode = fs.ModeDir | 0o755
		cmd.Touches = append(slices.Clone(cmd.Touches), op.creates)
	} else {
		made.Content = host.Unknown(op.creates)
	}
	cmd.Makes = []host.Entry{made}
	return cmd, nil
}

// systems are where programs and their settings are, which other commands change.
var systems = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/var/lib", "/proc", "/sys", "/dev", "/run",
}

// reads returns the files that the words of the command name, but those that it changes.
func (op *runOp) reads(ctx context.Context, h host.Reader) (all []runtime.Read) {
	others := append(append([]string{op.creates}, op.cmd.Touches...), systems...)
	dir := cmp.Or(op.cmd.Dir, op.home(ctx, h))
	for i, w := range op.cmd.Argv {
		for _, name := range host.PathsIn(w, dir) {
			_, m, err := follow(h, name)
			below := func(dir string) bool { return dir != "" && host.Below(name, dir) }
			known := func(r runtime.Read) bool { return r.Path == name }
			changed := slices.ContainsFunc(others, below) && !strings.HasPrefix(name, "/usr/local/")
			if i == 0 && strings.Contains(w, "/") { // it is what runs
				changed = slices.ContainsFunc(systems, below) && !strings.HasPrefix(name, "/usr/local/")
			}
			if err == nil && m.Mode.IsRegular() && !changed && !slices.ContainsFunc(all, known) {
				all = append(all, runtime.Read{Path: name, Loose: true})
			}
		}
	}
	return all
}

// home is where the command runs without cwd=.
func (op *runOp) home(ctx context.Context, h host.Reader) string {
	if op.cmd.User == "" {
		return "/"
	}
	home, err := h.Fact(ctx, fact(host.Home, op.cmd.User))
	if err != nil {
		return ""
	}
	return home
}

// run runs the command and remembers its success.
func (op *runOp) run(ctx context.Context, h host.Host, cmd host.Cmd, reads []runtime.Read) error {
	exec := func() error { _, err := runtime.Reading(h, reads...).Exec(ctx, cmd); return err }
	var err error
	if op.creates == "" {
		err = exec()
	} else {
		err = op.begun.around(h, exec)
	}
	if err != nil || op.marker == "" {
		return err
	}
	// A marker holds no secret, and a placeholder differs between runs.
	sum := sha256.Sum256([]byte(runtime.Readable(strings.Join(cmd.Argv, "\x00"))))
	text := fmt.Appendf(nil, "{\"once\":%q,\"argv_sha256\":\"%x\"}\n", op.once, sum)
	return runtime.WriteMarker(h, op.marker, host.Bytes(text), len(text))
}

// A begun is the marker that lies in the state directory from before a command with
// creates= runs until it has succeeded. Without it, what a command had half made when
// the machine went down would count as done.
type begun struct {
	file    string // absolute name
	creates string
}

func newBegun(state, creates string) begun {
	sum := sha256.Sum256([]byte(creates))
	return begun{path.Join(state, "begun", fmt.Sprintf("%x.json", sum[:8])), creates}
}

// check is called where the file that the command creates is there. If a run that was
// killed left the marker and the machine did not go down since, the marker is removed.
// If the command failed, or the machine went down meanwhile, check returns an error.
func (b begun) check(h host.Reader) ([]runtime.Action, error) {
	if ok, err := host.Exists(h, b.file); err != nil || !ok {
		return nil, err
	}
	text, err := host.ReadFile(h, b.file)
	if err != nil {
		return nil, err
	}
	boot, err := bootID(h)
	if err != nil {
		return nil, err
	}
	if string(text) == begunText(b.creates, boot) {
		return runtime.Actions(func(_ context.Context, h host.Host) error {
			return b.remove(h)
		}, change("begun", "under way when a run was killed", "ended")), nil
	}
	err = fmt.Errorf("%s may be half made: an earlier run began this command and did not see it succeed", b.creates)
	return nil, runtime.Hint(err,
		fmt.Sprintf("look at it; to run the command again remove or rename %s, to keep it remove %s", b.creates, b.file))
}

// around calls exec, with the marker there until it has succeeded.
func (b begun) around(h host.Host, exec func() error) error {
	boot, err := bootID(h)
	if err != nil {
		return err
	}
	if err := b.write(h, boot); err != nil {
		return err
	}
	if err = exec(); err == nil {
		return b.remove(h)
	}
	if ok, existsErr := host.Exists(h, b.creates); existsErr == nil && !ok {
		return errors.Join(err, b.remove(h))
	}
	return errors.Join(err, b.write(h, ""))
}

func (b begun) remove(h host.Host) error { return h.Remove(b.file, 1) }

func (b begun) write(h host.Host, boot string) error {
	text := []byte(begunText(b.creates, boot))
	// A content that is opened has no digest in the trace: it differs with every boot.
	return runtime.WriteMarker(h, b.file, host.Content{Open: host.Bytes(text).Reader}, len(text))
}

func begunText(creates, boot string) string {
	return fmt.Sprintf("{\"creates\":%q,\"boot\":%q}\n", creates, boot)
}

// bootID returns an identifier that differs after every start of the machine, "" if
// the kernel has none. See random(4).
func bootID(h host.Reader) (string, error) {
	const name = "/proc/sys/kernel/random/boot_id"
	if ok, err := host.Exists(h, name); err != nil || !ok {
		return "", err
	}
	text, err := host.ReadFile(h, name)
	return strings.TrimSpace(string(text)), err
}
