package runtime_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"runbook/runtime"
	"runbook/runtime/fetch/fetchtest"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// askers is a builtin that makes requests for its url, many at once, while it
// reads the machine.
func askers(at, times int) *runtime.Builtin {
	return &runtime.Builtin{
		Name: "ask", Summary: "ask", Example: "pass",
		Args:    []runtime.Arg{{Name: "url", Type: "string"}, {Name: "bearer", Type: "string", Default: `""`}, {Name: "proxy", Type: "string", Default: `""`}},
		Secrets: []string{"url", "bearer", "proxy"},
		New: func(c *runtime.Call) (runtime.Op, string, error) {
			op := &askOp{at: at, times: times}
			err := c.Unpack("url", &op.r.URL, "bearer", &op.r.Bearer, "proxy", &op.r.Proxy)
			return op, "there", err
		},
	}
}

type askOp struct {
	r         host.Request
	at, times int
}

func (op *askOp) Check(context.Context, host.Reader) ([]runtime.Action, error) {
	return runtime.Actions(op.do, host.Change{What: "asked"}), nil
}

func (op *askOp) do(ctx context.Context, h host.Host) error {
	errs := make(chan error, op.at)
	for range op.at {
		go func() { errs <- op.ask(ctx, h) }()
	}
	var err error
	for left := op.at; left > 0; {
		select {
		case e := <-errs:
			left--
			if e != nil {
				err = e
			}
		default:
			if _, e := h.Lstat("/"); e != nil {
				err = e
			}
			time.Sleep(time.Millisecond)
		}
	}
	return err
}

func (op *askOp) ask(ctx context.Context, h host.Reader) error {
	for range op.times {
		resp, err := h.Get(ctx, op.r)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(b) != "ok" {
			return fmt.Errorf("got %q, %v", b, err)
		}
	}
	return nil
}

// A disk is a trace file that counts how often it was told to reach the disk.
type disk struct {
	bytes.Buffer
	syncs int
}

func (d *disk) Sync() error { d.syncs++; return nil }

// run runs src on h and returns its trace.
func run(t testing.TB, h host.Host, src string, secrets map[string]string, b *runtime.Builtin) (*disk, error) {
	t.Helper()
	book, err := runtime.New(b).Load(library(map[string]string{"t.star": src}), "t.star", runtime.Inputs{})
	if err != nil {
		t.Fatal(err)
	}
	d := new(disk)
	sinks := trace.Tee{trace.NewGuard(book.Leaks(secrets, trace.RunInfo{})), trace.NewFile(d), trace.NewTerminal(io.Discard, trace.Options{})}
	r := runtime.OnHost(h, runtime.Options{Sink: sinks, Secrets: secrets, State: "/state", Person: runtime.Assuming{}})
	return d, r.Do(t.Context(), book)
}

// Many goroutines ask through the door at once: their round trips overlap, each
// is in the trace, none costs a sync, and secrets go in but not out.
func TestManyGet(t *testing.T) {
	const at, times = 128, 4
	s, proxy := fetchtest.New(t, nil), fetchtest.New(t, nil)
	s.Set("t/hunter22/f", []byte("ok"))
	s.Fault("f", fetchtest.After(100*time.Millisecond), fetchtest.Forever)
	c := s.Client(t)
	c.Stall = time.Minute // of a machine with much else to do
	local := host.NewLocal("/")
	local.Net = c.Get
	src := `
p = secret("pw")
def s():
    ask("` + s.URL + `/t/" + p + "/f", p, "http://u:" + p + "@` + strings.TrimPrefix(proxy.URL, "http://") + `")
step(s)
`
	for _, h := range []host.Host{local, host.NewOverlay(local, local.Self())} {
		s.Forget()
		d, err := run(t, h, src, map[string]string{"pw": "hunter22"}, askers(at, times))
		if err != nil {
			t.Fatal(err)
		}
		probes := strings.Count(d.String(), `"kind":"probe"`)
		if most := s.Most(); most < at/4 || probes != at*times || d.syncs > 2 || strings.Contains(d.String(), "hunter22") {
			t.Errorf("got %d at once, %d probes, %d syncs", most, probes, d.syncs)
		}
		for _, r := range s.Requests() {
			if r.Header.Get("Authorization") != "Bearer hunter22" {
				t.Fatalf("sent %v", r.Header)
			}
		}
	}
	if asked := proxy.Requests(); len(asked) != 2*at*times || asked[0].Header.Get("Proxy-Authorization") != "Basic dTpodW50ZXIyMg==" {
		t.Errorf("the proxy got %d requests", len(asked))
	}
}

// BenchmarkGet is what the door costs a request of 128 goroutines.
func BenchmarkGet(b *testing.B) {
	local := host.NewLocal("/")
	local.Net = func(context.Context, host.Request) (*host.Response, error) {
		return &host.Response{Status: 200, Body: io.NopCloser(strings.NewReader("ok"))}, nil
	}
	src := "p = secret('pw')\ndef s():\n  ask('http://h/t/' + p + '/f', p)\nstep(s)"
	if _, err := run(b, local, src, map[string]string{"pw": "hunter22"}, askers(128, b.N/128+1)); err != nil {
		b.Fatal(err)
	}
}
