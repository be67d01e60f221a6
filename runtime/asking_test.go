package runtime_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// asked is a network that remembers what it is asked with.
type asked struct {
	status int
	last   host.Request
}

func (a *asked) Get(_ context.Context, r host.Request) (*host.Response, error) {
	a.last = r
	return &host.Response{Status: a.status, Size: 0, Body: io.NopCloser(strings.NewReader("ok"))}, nil
}

// A dry run asks servers with those secrets that it was given, and with no placeholder of others.
func TestDryRunAsksWithWhatItHas(t *testing.T) {
	const needs, hint = "needs the secret tok, which a dry run does not ask for", "give it with --secret tok=file:PATH"
	for name, c := range map[string]struct {
		call   string
		asking map[string]string
		status int
		url    string // asked for, "" for nothing
		bearer string
		want   string // part of the error
	}{
		"in the URL":       {`ask("http://h.test/t/" + tok + "/c")`, map[string]string{"tok": "sesame"}, 200, "http://h.test/t/sesame/c", "", ""},
		"not in the URL":   {`ask("http://h.test/t/" + tok + "/c")`, nil, 200, "", "", needs},
		"a bearer":         {`ask("http://h.test/c", bearer = tok)`, map[string]string{"tok": "sesame"}, 200, "http://h.test/c", "sesame", ""},
		"no bearer":        {`ask("http://h.test/c", bearer = tok)`, nil, 200, "http://h.test/c", "", ""},
		"a bearer wanted":  {`ask("http://h.test/c", bearer = tok)`, nil, 401, "http://h.test/c", "", needs},
		"a proxy's secret": {`ask("http://h.test/c", proxy = "http://u:" + tok + "@p.test")`, nil, 200, "", "", needs},
	} {
		src := "tok = secret(\"tok\")\ndef s():\n    write(\"/f\", tok)\n    " + c.call + "\nstep(s)\n"
		a := &asked{status: c.status}
		local := host.NewLocal(t.TempDir())
		local.Net = a.Get
		book, err := runtime.New(writer(), askers(1, 1)).Load(runtime.Library{Dir: fstest.MapFS{"t.star": {Data: []byte(src)}}, Shipped: fstest.MapFS{}}, "t.star", runtime.Inputs{})
		if err != nil {
			t.Fatal(err)
		}
		var events trace.List
		run := runtime.Predicted(local, runtime.Options{Sink: &events, Secrets: c.asking})
		err = run.Do(context.Background(), book)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(runtime.HintOf(err), hint) || !errors.Is(err, host.ErrUnknown)) {
			t.Errorf("%s: got %v | %s", name, err, runtime.HintOf(err))
		}
		if a.last.URL != c.url || a.last.Bearer != c.bearer {
			t.Errorf("%s: asked for %q with %q", name, a.last.URL, a.last.Bearer)
		}
		if data, err := host.ReadFile(run.Host(), "/f"); err != nil || strings.Contains(string(data), "sesame") {
			t.Errorf("%s: a file of the dry run holds %q, %v", name, data, err)
		}
	}
}

// writer is a builtin that writes a file.
func writer() *runtime.Builtin {
	return &runtime.Builtin{
		Name: "write", Summary: "write", Example: "pass",
		Args:    []runtime.Arg{{Name: "path", Type: "path"}, {Name: "content", Type: "string"}},
		Secrets: []string{"content"},
		New: func(c *runtime.Call) (runtime.Op, string, error) {
			var op writeOp
			err := c.Unpack("path", &op.path, "content", &op.text)
			return &op, string(op.path), err
		},
	}
}

type writeOp struct {
	path runtime.Path
	text string
}

func (op *writeOp) Check(context.Context, host.Reader) ([]runtime.Action, error) {
	return runtime.Actions(op.do, host.Change{What: string(op.path)}), nil
}

func (op *writeOp) do(_ context.Context, h host.Host) error {
	return h.WriteFile(string(op.path), host.Bytes([]byte(op.text)), host.Meta{Mode: 0o600})
}
