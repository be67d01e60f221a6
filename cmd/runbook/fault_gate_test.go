package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"runbook/cmd/runbook/internal/lab"
	"runbook/runtime/host/sample"
)

// A gated run writes its events into a pipe with room for one, so that it cannot get ahead of the reader: it waits in
// the write of an event, before it begins the effect that the event announces.
type gated struct {
	t      testing.TB
	cmd    *exec.Cmd
	events *os.File
	trace  string // as seen from outside
	rest   []byte // of an event not yet read whole
	errs   *os.File
	ended  chan struct{}
}

// page is the least room that a pipe can have; with O_DIRECT a write takes up a page however short it is (pipe(2)).
const page = 4096

// gate starts the program in s with the events on standard output. It has this trace, seen from inside.
func (s site) gate(trace string, args ...string) *gated {
	s.t.Helper()
	errs, err := os.CreateTemp(s.t.TempDir(), "stderr")
	if err != nil {
		s.t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer w.Close()
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, page); err != nil {
		s.t.Fatal(err)
	}
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETFL, unix.O_DIRECT); err != nil {
		s.t.Fatal(err)
	}
	g := &gated{t: s.t, events: r, trace: s.RootPath(trace), errs: errs, ended: make(chan struct{})}
	err = s.Do(func() error {
		g.cmd = exec.Command("/usr/local/bin/runbook", append(args, "--format", "json", "--trace", trace)...)
		g.cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
			"LANG=C.UTF-8"}
		g.cmd.Stdout, g.cmd.Stderr, g.cmd.Dir = w, errs, "/"
		g.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return g.cmd.Start()
	})
	if err != nil {
		s.t.Fatal(err)
	}
	go func() { // at once, whoever waits: a jail cannot end before that
		g.cmd.Wait()
		close(g.ended)
	}()
	return g
}

// hold lets the program tell n events, of which the last is in the trace and goes no further.
func (g *gated) hold(n int) {
	g.t.Helper()
	for range n - 2 {
		if err := g.next(); err != nil {
			g.t.Fatalf("%v\n%s", err, g.said())
		}
	}
	g.await("tells the event before", func() bool { return g.told() >= n-1 })
	text, _ := os.ReadFile(g.trace)
	for range (len(bytes.Split(text, []byte("\n"))[n-2])) / page { // all of it but the last page
		if err := g.read(); err != nil {
			g.t.Fatal(err)
		}
	}
	g.await("is held there", func() bool { return g.told() >= n })
	if have := g.told(); have != n {
		g.t.Fatalf("held after %d events, want %d", have, n)
	}
}

// step lets the program begin the effect that it is held at. It can go no further than into the one after it.
func (g *gated) step() {
	g.t.Helper()
	if err := g.next(); err != nil {
		g.t.Fatalf("%v\n%s", err, g.said())
	}
}

// release lets the program go on as it likes.
func (g *gated) release() {
	go func() {
		for buf := make([]byte, page); ; {
			if _, err := g.events.Read(buf); err != nil {
				return
			}
		}
	}()
}

// end sends sig to the program alone and returns its exit code, -1 after a signal.
func (g *gated) end(sig syscall.Signal) int {
	g.cmd.Process.Signal(sig)
	return g.wait()
}

func (g *gated) wait() int {
	stuck := time.AfterFunc(2*time.Minute, func() { g.cmd.Process.Kill() })
	defer stuck.Stop()
	<-g.ended
	g.events.Close()
	return g.cmd.ProcessState.ExitCode()
}

// told is how many events the trace has.
func (g *gated) told() int {
	text, _ := os.ReadFile(g.trace) // it comes soon after the start
	return bytes.Count(text, []byte("\n"))
}

// said is what the program wrote to its standard error.
func (g *gated) said() string {
	text, _ := os.ReadFile(g.errs.Name())
	return string(text)
}

func (g *gated) await(what string, done func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Fatalf("waited a minute, and nothing %s; %d events\n%s", what, g.told(), g.said())
		}
	}
}

// next reads an event.
func (g *gated) next() error {
	for {
		if _, rest, ok := bytes.Cut(g.rest, []byte("\n")); ok {
			g.rest = rest
			return nil
		}
		if err := g.read(); err != nil {
			return err
		}
	}
}

// read makes room for another page.
func (g *gated) read() error {
	buf := make([]byte, page)
	n, err := g.events.Read(buf)
	g.rest = append(g.rest, buf[:n]...)
	if err != nil {
		return fmt.Errorf("events: %w after %q", err, strings.TrimSpace(string(g.rest)))
	}
	return nil
}

// bareSite is a site without media.
func bareSite(t testing.TB, o lab.Options) site {
	t.Helper()
	sample.Slow(t, "it runs in a jail")
	s := site{Jail: lab.New(t, o), t: t}
	s.Bind(binary(t), "/usr/local/bin/runbook")
	return s
}

// put writes a file that all may read.
func (s site) put(name, text string) {
	s.t.Helper()
	if err := s.WriteFile(name, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}
