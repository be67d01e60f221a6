package builtins

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var runBuiltin = &runtime.Builtin{
	Name: "run",
	Args: []runtime.Arg{
		param("argv", "list of string", "", "the command: a list, or one string that is split into words; no shell"),
		param("creates", "path", `""`, `what the command makes; where it is there, nothing is done; with "/" at its end a dry run takes it for a directory`),
		param("unless", "list of string", "[]", "a command that only reads; where it exits with 0, nothing is done"),
		param("once", "string", `""`, "a name under which a success is remembered"),
		param("already", "regexp", `""`, "a failure whose output matches counts as done"),
		param("ok", "list of int", "[0]", "exit statuses that mean success"),
		param("env", "dict", "{}", "added to the environment"),
		param("cwd", "path", `""`, "working directory; the user's home if empty"),
		param("stdin", "string", `""`, "standard input"),
		param("touches", "list of string", "[]", `what else it changes: paths of trees, or facts such as "crontab:USER", "port:8080", "rpm:NAME"`),
	},
	Summary: "run a command that changes the machine",
	Detail: []string{
		"Say with creates=, unless= or once= how to tell that it is done: without one of them it runs every time.",
		"What creates= names does not count as done where an earlier run saw the command fail, or the machine went down meanwhile: that is an error which says what to do.",
		"A dry run does not run it. It believes creates=, and of what touches= names it knows nothing any more.",
	},
	Example: `run(["ssh-keygen", "-A"], creates = "/etc/ssh/ssh_host_ed25519_key")`,
	RunsAs:  true,
	New:     newRun,
}

// runOp is a command and how to tell that it is done.
type runOp struct {
	cmd     host.Cmd
	creates string
	dir     bool // creates is a directory
	unless  host.Process
	marker  string // absolute name, "" without once=
	key     string
	begun   begun // of creates
}

var onceKey = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)

func newRun(c *runtime.Call) (runtime.Op, string, error) {
	var op runOp
	var already, stdin, creates string
	var argv, unless words
	var touches []string
	var cwd runtime.Path
	p := host.Process{User: c.User()}
	err := c.Unpack("argv", &argv, "creates", &creates, "unless", &unless, "once", &op.key, "already", &already,
		"ok", &op.cmd.OK, "env", &p.Env, "cwd", &cwd, "stdin", &stdin, "touches", &touches)
	if err != nil {
		return nil, "", err
	}
	p.Argv, p.Dir = argv, string(cwd)
	if stdin != "" {
		p.Stdin = []byte(stdin)
	}
	op.cmd.Process = p
	op.unless = host.Process{Argv: unless, User: p.User, Env: p.Env, Dir: p.Dir}
	if op.key != "" {
		op.marker = path.Join(c.StateDir(), "once", op.key+".json")
	}
	return &op, quote(p.Argv), errors.Join(op.setCreates(creates, c.StateDir()), op.setAlready(already), op.setTouches(touches), checkKey(op.key))
}

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

// setTouches sorts the trees from the facts.
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
	return legacy(ctx, h, op)
}

func (op *runOp) check0(ctx context.Context, h host.Reader) ([]host.Change, error) {
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
	return []host.Change{want("command", "", quote(op.cmd.Argv))}, nil
}

// done reports whether one of the other ways to tell says so.
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
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, quote(op.unless.Argv)+" fails")
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("unless %s: %w", quote(op.unless.Argv), err)
	}
	return res.Code == 0, nil
}

func (op *runOp) apply0(ctx context.Context, h host.Host, todo []host.Change) error {
	if wants(todo, "begun") {
		return op.begun.remove(h)
	}
	if err := op.exec(ctx, h); err != nil {
		return err
	}
	if op.marker == "" {
		return nil
	}
	return writeMarker(h, op.marker, op.key, op.cmd.Argv)
}

func (op *runOp) exec(ctx context.Context, h host.Host) error {
	cmd := op.cmd
	if op.creates != "" {
		made := host.Entry{Name: op.creates, Meta: host.Meta{Mode: fs.ModeIrregular | 0o644, Size: -1, Owner: ownerOf(ctx, h, cmd.User)}, Content: host.Unknown(op.creates)}
		if op.dir {
			made.Mode, made.Content = fs.ModeDir|0o755, host.Content{}
			cmd.Touches = append(cmd.Touches, op.creates)
		}
		cmd.Makes = []host.Entry{made}
	}
	if op.creates == "" {
		_, err := h.Exec(ctx, cmd)
		return err
	}
	return op.begun.around(h, func() error { _, err := h.Exec(ctx, cmd); return err })
}

// A placeholder's nonce is another one in each run, and a marker holds no secret.
var placeholder = regexp.MustCompile(`<secret:([A-Za-z0-9_]+)#[0-9a-f]+(:json)?>`)

// writeMarker remembers a success, for people with the digest of its command.
func writeMarker(h host.Host, marker, key string, argv []string) error {
	sum := sha256.Sum256([]byte(placeholder.ReplaceAllString(strings.Join(argv, "\x00"), "<secret:$1>")))
	text := fmt.Appendf(nil, "{\"once\":%q,\"argv_sha256\":\"%x\"}\n", key, sum)
	return runtime.WriteMarker(h, marker, host.Bytes(text), len(text))
}
