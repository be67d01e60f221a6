package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
)

// children are commands that misbehave, a step for each. They all carry a mark that tells them from other processes.
const children = `
def child(script, **how):
    run(["sh", "-c", script, "misbehaving"], **how)

def deaf(): child('trap "" TERM INT HUP; echo begun; while :; do sleep 1; done')
def family(): child('sleep 600 & (sleep 600) & setsid sh -c "echo \\$\\$ >/root/deep; exec sleep 601" & sleep 0.1; echo begun; wait')
def late(): child("sleep 600 & sleep 600", timeout = 0.5)
def deafened(): child('trap "" TERM; sleep 600 & while :; do sleep 1; done', timeout = 0.5)
def daemon(): child("sleep 600 & echo $! >/root/daemon")
def closes(): child("exec >&- 2>&- <&-; sleep 0.2")
def shoots(): child("kill -9 $$")
def floods(): child("yes misbehaving | head -c 200000000")
def longline(): child('head -c 200000000 /dev/zero | tr "\\\\0" x')
def binary(): child("head -c 100000 /dev/urandom; printf '\\\\033[2J\\\\007\\\\000'")
def reads(): child("read line && exit 3; echo nobody asked")
def asks(): child("(exec </dev/tty) 2>/dev/null && exit 3; echo no terminal")

[step(f) for f in [deaf, family, late, deafened, daemon, closes, shoots, floods, longline, binary, reads, asks]]
`

func childSite(t *testing.T) site {
	t.Helper()
	s := bareSite(t, lab.Options{})
	s.put("/root/children.star", children)
	return s
}

// step runs one step and returns what is told and how long that took.
func (s site) step(code int, name string) (told string, took time.Duration) {
	s.t.Helper()
	begin := time.Now()
	return s.run(code, "run", "/root/children.star", "--step", name, "--verbose"), time.Since(begin)
}

// orphans are the misbehaving processes that are still there, but zombies.
func (s site) orphans() string {
	s.t.Helper()
	return s.Must("ps -eo stat=,args= | grep -e misbehaving -e 'sleep [0-9]' | grep -v -e ^Z -e grep || true")
}

// Children that do not end are ended: politely, then not; and so is what they started.
func TestInterruptedChildren(t *testing.T) {
	t.Parallel()
	for name, within := range map[string]time.Duration{"deaf": 8 * time.Second, "family": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := childSite(t)
			g := s.gate("/root/trace", "run", "/root/children.star", "--step", name)
			g.release()
			g.await("begins", func() bool { return strings.Contains(s.output("/root/trace.out"), "begun") })
			begin := time.Now()
			if code := g.end(syscall.SIGINT); code != 130 {
				t.Errorf("got exit %d, want 130\n%s", code, g.said())
			}
			if took := time.Since(begin); took > within {
				t.Errorf("took %v, want at most %v", took, within)
			}
			if name == "family" {
				s.Must("kill $(cat /root/deep); sleep 0.1") // a session of its own is out of reach, as a daemon's must be
			}
			if orphans := s.orphans(); orphans != "" {
				t.Errorf("left behind:\n%s", orphans)
			}
		})
	}
}

// output is what a file in the site holds; nothing if it is not there yet.
func (s site) output(name string) string {
	text, _ := s.ReadFile(name)
	return string(text)
}

// A time limit ends a command with all that it started.
func TestLateChildren(t *testing.T) {
	t.Parallel()
	s := childSite(t)
	for name, within := range map[string]time.Duration{"late": 3 * time.Second, "deafened": 9 * time.Second} {
		told, took := s.step(1, name)
		if !strings.Contains(told, "took longer than 500ms") || took > within {
			t.Errorf("%s: took %v, want at most %v\n%s", name, took, within, told)
		}
		if orphans := s.orphans(); orphans != "" {
			t.Errorf("%s left behind:\n%s", name, orphans)
		}
	}
}

// A daemon that keeps the output open keeps nobody waiting, and lives on.
func TestDaemons(t *testing.T) {
	t.Parallel()
	s := childSite(t)
	told, took := s.step(0, "daemon")
	if took > 3*time.Second {
		t.Errorf("took %v\n%s", took, told)
	}
	s.Must("kill $(cat /root/daemon)") // which is there
	if _, took := s.step(0, "closes"); took > 3*time.Second {
		t.Errorf("took %v with its output closed", took)
	}
	if told, _ := s.step(1, "shoots"); !strings.Contains(told, "exit status 137") {
		t.Errorf("a command that kills itself:\n%s", told)
	}
	for _, name := range []string{"reads", "asks"} { // there is nothing to read and no terminal
		s.step(0, name)
	}
}

// However much a command prints, neither memory nor a terminal is filled with it; the file beside the trace has it all.
func TestFlood(t *testing.T) {
	t.Parallel()
	s := childSite(t)
	for _, name := range []string{"floods", "longline"} {
		p, err := s.Start(lab.Cmd{Argv: []string{"runbook", "run", "/root/children.star", "--step", name, "--trace", "/root/" + name}})
		if err != nil {
			t.Fatal(err)
		}
		peak := peakMemory(p)
		r := p.Wait()
		if r.Code != 0 || peak < 1e6 || peak > 100e6 {
			t.Fatalf("%s: exit %d with %d bytes of memory, want at most 100 MB\n%s", name, r.Code, peak, r.Err[:min(len(r.Err), 2000)])
		}
		if n := len(r.Out + r.Err); n > 10_000 {
			t.Errorf("%s: the terminal gets %d bytes", name, n)
		}
		if n := len(s.output("/root/" + name)); n > 100_000 {
			t.Errorf("%s: the trace has %d bytes", name, n)
		}
		if size := strings.TrimSpace(s.Must("stat -c %s /root/" + name + ".out")); len(size) != 9 {
			t.Errorf("%s: the file beside the trace has %s bytes, want 200 MB", name, size)
		}
	}
}

// peakMemory waits for the end of a process and returns how many bytes it had in memory at most, but for its last moments.
func peakMemory(p *lab.Proc) (peak int) {
	for {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
		_, rest, ok := strings.Cut(string(text), "VmHWM:")
		if err != nil || !ok { // one that has ended has no memory
			return peak
		}
		kb, _ := strconv.Atoi(strings.Fields(rest)[0])
		peak = kb << 10
		time.Sleep(20 * time.Millisecond)
	}
}

// What a command prints cannot act on the terminal.
func TestBinaryOutput(t *testing.T) {
	t.Parallel()
	s := childSite(t)
	told, _ := s.step(0, "binary")
	if strings.ContainsAny(told, "\x1b\x07\x00") {
		t.Errorf("a terminal is told %q", told)
	}
}
