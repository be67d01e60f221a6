package runtime_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing/fstest"

	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// A program that embeds runbooks registers what they may call. This one knows
// how to greet. It gives a run the values of secrets and a guard that lets no trace
// have them, shows a dry run first, and runs it on the machine then.
func Example() {
	greet := &runtime.Builtin{
		Name:    "greet",
		Args:    []runtime.Arg{{Name: "path", Type: "path", Help: "file that holds the greeting"}},
		Summary: "leave a greeting",
		New: func(c *runtime.Call) (runtime.Op, string, error) {
			var path runtime.Path
			err := c.Unpack("path", &path)
			return greeting(path), string(path), err
		},
	}
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	src := "where = var('where')\nkey = secret('key')\ndef hello(): greet(where)\nstep(hello)\n"
	lib := runtime.Library{Shipped: fstest.MapFS{"hello.star": {Data: []byte(src)}}}
	inputs := runtime.Inputs{Flags: map[string]string{"where": filepath.Join(dir, "greeting")}}

	book, err := runtime.New(greet).Load(lib, "hello.star", inputs)
	if err != nil {
		panic(err)
	}
	secrets := map[string]string{"key": "sesame-1234"}
	if err := book.CheckSecrets(secrets, book.Needed(nil)); err != nil {
		panic(err)
	}
	for _, mode := range []func(*host.Local, runtime.Options) *runtime.Run{
		runtime.Predicted, runtime.OnMachine, runtime.OnMachine,
	} {
		o := runtime.Options{Secrets: secrets, State: filepath.Join(dir, "state")}
		o.Sink = trace.Tee{trace.NewGuard(book.Leaks(secrets, o.Info)), printer{}} // what may refuse goes first
		if err := mode(host.NewLocal("/"), o).Do(context.Background(), book); err != nil {
			panic(err)
		}
	}
	// Output:
	// dry-run
	// greet: changed
	// real
	// greet: changed
	// real
	// greet: same
}

type greeting string

func (g greeting) Check(_ context.Context, h host.Reader) ([]runtime.Action, error) {
	there, err := host.Exists(h, string(g))
	if err != nil || there {
		return nil, err
	}
	return runtime.Actions(g.leave, host.Change{What: "greeting", To: "hello"}), nil
}

func (g greeting) leave(_ context.Context, h host.Host) error {
	return h.WriteFile(string(g), host.Bytes([]byte("hello\n")), host.Meta{Mode: 0o644})
}

// A printer shows what a run is, and how each op ended.
type printer struct{}

func (printer) Emit(e trace.Event) error {
	if e.Kind == trace.Run {
		fmt.Println(e.Run.Mode)
	}
	if e.Kind == trace.Result {
		fmt.Printf("%s: %s\n", e.Op, e.Outcome)
	}
	return nil
}
