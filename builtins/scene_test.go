package builtins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"runbook/runtime"
	"runbook/runtime/fetch"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// A scene is a machine with a network and secrets, on which file builtins play.
type scene struct {
	*machine
	secrets map[string]string
	net     func(context.Context, host.Request) (*host.Response, error)
}

func newScene(t *testing.T, files map[string]string) *scene {
	t.Helper()
	return &scene{machine: newMachine(t, files), secrets: map[string]string{}, net: fetch.New().Get}
}

func (s *scene) serve(h http.Handler) string {
	srv := httptest.NewServer(h)
	s.t.Cleanup(srv.Close)
	return srv.URL
}

func (s *scene) host() *host.Local {
	l := s.local()
	l.Net = s.net
	return l
}

// play runs the body of a step; secrets are declared by their names.
func (s *scene) play(h host.Host, secrets map[string]string, body string) ([]trace.Event, error) {
	s.t.Helper()
	src := "def s():\n    pass\n    " + strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n    ") + "\nstep(s)\n"
	for name := range s.secrets {
		src = name + " = secret('" + name + "')\n" + src
	}
	lib := runtime.Library{Dir: fstest.MapFS{"t.star": {Data: []byte(src)}}, Shipped: fstest.MapFS{}}
	in := runtime.Inputs{}
	book, err := runtime.New(All()...).Load(lib, "t.star", in)
	s.must(err)
	var events trace.List
	run := &runtime.Run{Host: h, Sink: &events, Now: time.Now, State: "/var/state", Secrets: secrets}
	if o, ok := h.(*host.Overlay); ok {
		run.Sleep, o.Assume = runtime.NoWaiting, run.Assume
	}
	err = run.Do(context.Background(), book)
	return events.Events, err
}

func (s *scene) dry(body string) ([]trace.Event, error) {
	l := s.host()
	return s.play(host.NewOverlay(l, l.Self()), nil, body)
}

func (s *scene) real(body string) ([]trace.Event, error) { return s.play(s.host(), s.secrets, body) }

// thrice runs body on an overlay, really, and really again: the first two must
// tell the same, the third that nothing changes. It returns the first two.
func (s *scene) thrice(body string) (dry, real []trace.Event) {
	s.t.Helper()
	dry, err := s.dry(body)
	if err != nil {
		s.t.Fatalf("%s\ndry run: %v (hint: %s)", body, err, runtime.HintOf(err))
	}
	if real, err = s.real(body); err != nil {
		s.t.Fatalf("%s\nrun: %v (hint: %s)", body, err, runtime.HintOf(err))
	}
	if d, r := told(dry), told(real); !slices.Equal(d, r) {
		s.t.Errorf("%s\ndry run:\n%s\nrun:\n%s", body, strings.Join(d, ""), strings.Join(r, ""))
	}
	s.again(body)
	return dry, real
}

// again runs body, of which everything must hold already.
func (s *scene) again(body string) {
	s.t.Helper()
	again, err := s.real(body)
	if err != nil {
		s.t.Fatalf("%s\nsecond run: %v", body, err)
	}
	for _, e := range again {
		if e.Kind == trace.Effect || e.Kind == trace.Result && e.Outcome != trace.Same {
			s.t.Errorf("%s\nsecond run: got %s", body, tell(e))
		}
	}
}

// fails runs body dry and really, and expects the same error of both, with
// text in it or in its hint.
func (s *scene) fails(body, text string) {
	s.t.Helper()
	_, dry := s.dry(body)
	_, real := s.real(body)
	for _, err := range []error{dry, real} {
		if err == nil || !strings.Contains(err.Error()+" | "+runtime.HintOf(err), text) {
			s.t.Errorf("%s: got %v (hint: %s), want %s", body, err, runtime.HintOf(err), text)
			return
		}
	}
	if dry.Error() != real.Error() {
		s.t.Errorf("%s:\ndry run: %v\n    run: %v", body, dry, real)
	}
}

// effects names the effects among events.
func effects(events []trace.Event) (all []string) {
	for _, e := range events {
		if e.Kind == trace.Effect {
			all = append(all, e.Call+" "+e.Path)
		}
	}
	return all
}

// changes returns what the n'th op wanted to change.
func changes(events []trace.Event, n int) []host.Change {
	for _, e := range events {
		if e.Kind == trace.Op {
			if n == 0 {
				return e.Changes
			}
			n--
		}
	}
	return nil
}

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
