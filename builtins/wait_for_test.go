package builtins

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"runbook/runtime/host"
)

// A reachable machine has the ports of the real one.
func reachable(t *testing.T) *host.Local {
	l := host.NewLocal("/")
	l.Net = func(_ context.Context, r host.Request) (*host.Response, error) {
		if strings.HasSuffix(r.URL, "/up") {
			return &host.Response{Status: 204, Body: io.NopCloser(strings.NewReader(""))}, nil
		}
		if strings.HasSuffix(r.URL, "/missing") {
			return &host.Response{Status: 404, Body: io.NopCloser(strings.NewReader(""))}, nil
		}
		return nil, errors.New("connection refused")
	}
	return l
}

func TestWaitForPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	op := &waitOp{port: port, timeout: 10 * time.Second}
	if todo, err := op.Check(t.Context(), reachable(t)); err != nil || todo != nil {
		t.Errorf("got %v, %v", todo, err)
	}
	l.Close()
	op.timeout = 20 * time.Millisecond
	if _, err := op.Check(t.Context(), reachable(t)); !says(err, "nothing listens on port "+port) {
		t.Errorf("got %v", err)
	}
	time.AfterFunc(150*time.Millisecond, func() { l, _ = net.Listen("tcp", "127.0.0.1:"+port) })
	op.timeout = 10 * time.Second
	if _, err := op.Check(t.Context(), reachable(t)); err != nil {
		t.Errorf("got %v", err)
	}
	l.Close()
}

func TestWaitForURL(t *testing.T) {
	for url, want := range map[string]string{
		"http://a/up": "", "http://a/missing": "status 404", "http://a/": "connection refused",
	} {
		_, err := (&waitOp{url: url, timeout: time.Millisecond}).Check(t.Context(), reachable(t))
		if want == "" && err != nil || want != "" && !says(err, want) {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
}

// A server that does not know HEAD is asked with GET. Each look is one request.
func TestWaitForGET(t *testing.T) {
	m := newMachine(t, nil)
	for _, status := range []int{405, 501} {
		var asked []string
		url := m.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked = append(asked, r.Method); r.Method == "HEAD" {
				w.WriteHeader(status)
			}
		}))
		m.twice("wait_for(url = '" + url + "/')")
		if want := []string{"HEAD", "GET", "HEAD", "GET"}; !slices.Equal(asked, want) {
			t.Errorf("%d: asked %v, want %v", status, asked, want)
		}
	}
	asked := 0
	url := m.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.WriteHeader(503)
	}))
	began := time.Now()
	m.failsDry("wait_for(url = '"+url+"/')", "answers with status 503")
	m.failsDry("wait_for(url = 'http://127.0.0.1:9/')", "connection refused")
	if took := time.Since(began); asked != 1 || took > 3*time.Second {
		t.Errorf("a dry run asked %d times and took %s", asked, took)
	}
	if _, err := m.real("wait_for(url = '" + url + "/', timeout = 0.2)"); !says(err, "answers with status 503, after 200ms") || asked < 3 {
		t.Errorf("asked %d times, got %v", asked, err)
	}
}

func TestWaitForPorts(t *testing.T) {
	for url, want := range map[string]string{
		"http://localhost/": "80", "https://127.0.0.1": "443", "http://[::1]:81/": "81", "http://example.org/": "",
	} {
		op := &waitOp{url: url}
		if err := op.setURL(); err != nil || op.port != want {
			t.Errorf("%s: got %q, %v", url, op.port, err)
		}
	}
}

// A dry run looks once; only after a predicted start it assumes.
func TestWaitForInDryRun(t *testing.T) {
	m := newMachine(t, sysv)
	m.net = nil
	m.failsDry("wait_for(port = 1)", "nothing listens on port 1")
	m.failsDry("wait_for(url = 'http://localhost:1/')", "no network")
	m.fails("wait_for(port = 0)", "want either")
	m.fails("wait_for(port = 80, url = 'http://localhost:1/')", "want either")
	m.fails("wait_for(url = 'ftp://localhost:1/')", "want http://")
	for _, wait := range []string{"port = 1", "url = 'http://localhost:1/'", "url = 'http://elsewhere/'"} {
		dry, err := m.dry("service('mongod')\nwait_for(" + wait + ")")
		if err != nil || !strings.Contains(strings.Join(guesses(dry), ""), "answers") {
			t.Errorf("%s: got %v, %v", wait, guesses(dry), err)
		}
	}
	dry, err := m.dry("service('mongod', ports = [1])\nwait_for(port = 1)")
	if err != nil || len(guesses(dry)) != 0 {
		t.Errorf("got %v, %v", guesses(dry), err)
	}
}

// A command is asked until it succeeds; a dry run asks once.
func TestWaitForQuery(t *testing.T) {
	m := newMachine(t, map[string]string{"/usr/bin/ready": `[ -e $R/up ] || { echo "not yet" >&2; exit 3; }`})
	m.failsDry(`wait_for(query = ["ready"])`, "ready: exit status 3: not yet")
	if _, err := m.real(`wait_for(query = ["ready"], timeout = 0.1)`); !says(err, "exit status 3: not yet, after 100ms") {
		t.Errorf("got %v", err)
	}
	m.fails(`wait_for(query = ["ready"], port = 80)`, "want either port, url or query")
	if _, err := m.dry("write(\"/srv/x\", \"\")\nwait_for(query = [\"ready\"])"); err != nil {
		t.Errorf("after a change that is only predicted: %v", err)
	}
	time.AfterFunc(200*time.Millisecond, func() { m.write("/up", "") })
	events, err := m.real(`wait_for(query = ["ready"], timeout = 30)`)
	if err != nil || len(effects(events)) > 0 {
		t.Errorf("got %v, %v", effects(events), err)
	}
	m.again(`wait_for(query = ["ready"])`)
}
