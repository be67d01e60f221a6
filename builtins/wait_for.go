package builtins

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"runbook/runtime"
	"runbook/runtime/host"
)

var waitForBuiltin = &runtime.Builtin{
	Name: "wait_for",
	Args: []runtime.Arg{
		param("port", "int", "None", "a TCP port of this machine that something must listen on"),
		param("url", "string", `""`, "an address that must answer with a status below 400"),
		param("timeout", "duration", "60", `how long to wait: seconds, or "5m"`),
		param("query", "list of string", "[]", "a command that only reads, and must exit with 0; one of the three is given"),
	},
	Positional: 3,
	Secrets:    []string{"url", "query"},
	Summary:    "wait until something listens on a port, an address answers, or a command succeeds",
	Detail: []string{
		"A dry run looks once. After a start that it only predicted it assumes that the wait would end well; " +
			"so it does of another machine's address, which it does not ask: a URL could carry out what only root can read. A command it asks as query() does.",
	},
	Example: `run(["/bin/true"], touches = ["port:8080"])
wait_for(port = 8080)`,
	New: newWaitFor,
}

// waitOp is a port or address that must answer in time.
type waitOp struct {
	port, url string // one may be ""
	query     words
	timeout   time.Duration
}

func newWaitFor(c *runtime.Call) (runtime.Op, string, error) {
	port := 0
	op := &waitOp{timeout: time.Minute}
	if err := c.Unpack("port", &port, "url", &op.url, "query", &op.query, "timeout", &op.timeout); err != nil {
		return nil, "", err
	}
	given := 0
	for _, is := range []bool{port != 0, op.url != "", len(op.query) > 0} {
		if is {
			given++
		}
	}
	if given != 1 {
		return nil, "", errors.New("want either port, url or query")
	}
	if len(op.query) > 0 {
		return op, quote(op.query), nil
	}
	if op.url != "" {
		return op, op.url, op.setURL()
	}
	if port < 1 || port > 65535 {
		return nil, "", fmt.Errorf("argument \"port\": got %d, want 1 to 65535", port)
	}
	op.port = strconv.Itoa(port)
	return op, "port " + op.port, nil
}

// setURL checks the address. If it is of this machine, its port is set, too: what an
// earlier step starts opens it.
func (op *waitOp) setURL() error {
	u, err := url.Parse(op.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("argument \"url\": got %q, want http://HOST/ or https://HOST/", op.url)
	}
	if !host.Loopback(op.url) {
		return nil
	}
	if op.port = u.Port(); op.port == "" {
		op.port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return nil
}

// Check waits, too, as there is nothing to change.
func (op *waitOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	deadline := time.Now().Add(op.timeout)
	pause := 50 * time.Millisecond
	for n := 1; ; n++ {
		why, err := op.probe(ctx, h, n)
		if err != nil || why == "" {
			runtime.Observe(ctx, "attempts", n)
			return nil, err
		}
		if time.Now().Add(pause).After(deadline) {
			return nil, runtime.Hint(fmt.Errorf("%s, after %s", why, op.timeout),
				"see whether what should answer runs, and what it wrote to its log")
		}
		runtime.Progress(ctx, why)
		err = runtime.Sleep(ctx, pause)
		if errors.Is(err, runtime.ErrNoWaiting) {
			return nil, op.predict(ctx, h, why)
		}
		if err != nil {
			return nil, err
		}
		pause = min(2*pause, time.Second)
	}
}

// probe returns why the n'th try found no answer, or "".
func (op *waitOp) probe(ctx context.Context, h host.Reader, n int) (why string, err error) {
	switch {
	case len(op.query) > 0:
		return op.probeQuery(ctx, h, n)
	case op.url == "":
		return op.probePort(ctx, h, n)
	}
	asker := ""
	if n == 1 {
		asker = "wait_for"
	}
	status, err := op.ask(ctx, h, host.Request{URL: op.url, Head: true, Asker: asker})
	if err == nil && (status == 405 || status == 501) { // it does not know HEAD
		status, err = op.ask(ctx, h, host.Request{URL: op.url})
	}
	switch {
	case runtime.ClassOf(err) == runtime.Deviates:
		return "", err
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, host.RedactURL(op.url)+" answers")
		return "", nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return err.Error(), nil
	case status >= 400:
		return fmt.Sprintf("answers with status %d", status), nil
	}
	return "", nil
}

// ask makes one request and returns the status of the answer.
func (op *waitOp) ask(ctx context.Context, h host.Reader, r host.Request) (status int, err error) {
	const most = 10 * time.Second
	limit := min(max(op.timeout, time.Second), most)
	asked, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	r.Once = true
	res, err := h.Get(asked, r)
	if err != nil {
		if ctx.Err() == nil && asked.Err() != nil {
			err = context.Cause(asked)
		}
		return 0, err
	}
	return res.Status, res.Body.Close()
}

func (op *waitOp) probePort(ctx context.Context, h host.Reader, n int) (why string, err error) {
	owner := ""
	if n == 1 {
		owner, err = h.Fact(ctx, fact(host.Port, op.port))
	} else { // a host keeps a fact until something changes
		owner, err = host.Port.Probe(ctx, h, op.port)
	}
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, "something listens on port "+op.port)
		return "", nil
	}
	if err == nil && owner == "" {
		why = "nothing listens on port " + op.port
	}
	return why, err
}

// probeQuery asks the command.
func (op *waitOp) probeQuery(ctx context.Context, h host.Reader, n int) (why string, err error) {
	p := host.Process{Argv: op.query}
	if n == 1 {
		p.Asker = "wait_for"
	}
	res, err := h.Query(ctx, p)
	switch {
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, quote(op.query)+" succeeds in time")
		return "", nil
	case err != nil:
		return "", err
	case res.Code != 0:
		return fmt.Sprintf("%s: exit status %d%s", quote(op.query), res.Code, res.LastWords()), nil
	}
	return "", nil
}

// predict decides for a dry run, which does not wait: after a start that is only
// predicted, it assumes an answer.
func (op *waitOp) predict(ctx context.Context, h host.Reader, why string) error {
	if len(op.query) > 0 && runtime.Predicting(ctx) {
		runtime.Assume(ctx, quote(op.query)+" succeeds in time")
		return nil
	}
	owner := ""
	var err error
	if op.port != "" {
		owner, err = h.Fact(ctx, fact(host.Port, op.port))
	}
	if err == nil && owner == "" {
		_, err = h.Fact(ctx, fact(openedKind, "others"))
	}
	if owner == "" && err == nil {
		return runtime.Hint(errors.New(why),
			"start what should answer first, or say what a command starts: run(..., touches = [\"port:8080\"])")
	}
	runtime.Assume(ctx, "what was started answers in time")
	return nil
}
