package runtime_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// library is runbooks and what they load.
func library(files map[string]string) runtime.Library {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return runtime.Library{Dir: fsys, Shipped: fstest.MapFS{"lib/shipped.star": {Data: []byte("def shipped():\n  pass\n")}}}
}

func load(src string, in runtime.Inputs) (*runtime.Runbook, error) {
	return runtime.New(put, call, boom).Load(library(map[string]string{"t.star": src}), "t.star", in)
}

// A machine is a host on which only some things work, for tests of the runtime.
type machine struct {
	host.Host
	files map[string]string
	execs []host.Cmd
	fail  int // how many commands fail before one succeeds, or are told to fail although a file is written
}

func (m *machine) Fact(context.Context, host.Fact) (string, error) { return "", nil }

func (m *machine) Lstat(name string) (host.Meta, error) { return host.Meta{}, nil }

func (m *machine) Resolve(name string, _ bool) (string, error) { return name, nil }

func (m *machine) Content(name string) (host.Content, error) {
	return host.Bytes([]byte(m.files[name])), nil
}

func (m *machine) WriteFile(name string, c host.Content, _ host.Meta) error {
	m.files[name] = string(c.Text)
	if m.fail > 0 {
		m.fail--
		return context.DeadlineExceeded
	}
	return nil
}

func (m *machine) Exec(_ context.Context, c host.Cmd) (host.Result, error) {
	m.execs = append(m.execs, c)
	if m.fail > 0 {
		m.fail--
		return host.Result{Code: 1}, context.DeadlineExceeded
	}
	if c.Output != nil {
		c.Output.Write([]byte("got " + c.Argv[len(c.Argv)-1] + "\n"))
	}
	return host.Result{Stdout: []byte("out " + strings.Join(c.Argv, " "))}, nil
}

// put writes a file whose content differs.
var put = &runtime.Builtin{
	Name: "put", Summary: "write", Example: "pass",
	Args:    []runtime.Arg{{Name: "path", Type: "path"}, {Name: "text", Type: "string"}},
	Secrets: []string{"text"},
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		var p runtime.Path
		var op putOp
		err := c.Unpack("path", &p, "text", &op.text)
		op.path = string(p)
		return &op, op.path, err
	},
}

type putOp struct{ path, text string }

func (op *putOp) Check(_ context.Context, h host.Reader) ([]runtime.Action, error) {
	old, err := host.ReadFile(h, op.path)
	if err != nil || runtime.SameText(old, []byte(op.text)) {
		return nil, err
	}
	return runtime.Actions(op.do, host.Change{What: "content", From: string(old), To: op.text}), nil
}

func (op *putOp) do(_ context.Context, h host.Host) error {
	return h.WriteFile(op.path, host.Bytes([]byte(op.text)), host.Meta{Mode: 0o644})
}

// call runs a command.
var call = &runtime.Builtin{
	Name: "call", Summary: "run", Example: "pass", RunsAs: true,
	Args:    []runtime.Arg{{Name: "argv", Type: "list of string"}, {Name: "stdin", Type: "string", Default: `""`}, {Name: "env", Type: "dict", Default: "{}"}},
	Secrets: []string{"argv", "stdin", "env"},
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		var op callOp
		err := c.Unpack("argv", &op.Argv, "stdin", &op.in, "env", &op.Env)
		op.User = c.User()
		return &op, strings.Join(op.Argv, " "), err
	},
}

type callOp struct {
	host.Cmd
	in string
}

func (op *callOp) Check(context.Context, host.Reader) ([]runtime.Action, error) {
	return runtime.Actions(op.do, host.Change{What: "command"}), nil
}

func (op *callOp) do(ctx context.Context, h host.Host) error {
	op.Stdin = []byte(op.in)
	_, err := h.Exec(ctx, op.Cmd)
	return err
}

var boom = &runtime.Builtin{
	Name: "boom", Summary: "panic", Example: "pass",
	Read: func(*runtime.Call, host.Reader) (starlark.Value, error) { panic("boom") },
}

// play runs src as a runbook on a machine.
func play(t *testing.T, m *machine, src string, secrets map[string]string) (*runtime.Run, *trace.List, error) {
	t.Helper()
	book, err := load(src, runtime.Inputs{})
	if err != nil {
		t.Fatal(err)
	}
	m.files = map[string]string{}
	events := &trace.List{}
	r := runtime.OnHost(m, runtime.Options{Sink: events, Secrets: secrets, State: "/state", Person: runtime.Assuming{}})
	r.Output = &strings.Builder{}
	return r, events, r.Do(t.Context(), book)
}
