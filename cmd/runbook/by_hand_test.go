package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
)

const asksPerson = "q: stop here.  "

// A person who does what the program shows, in another terminal, installs the server: what the trace has is what the dry
// run foresaw. What was done wrong is told, a change that is left to the program is made, and a run that was stopped is
// gone on with.
func TestInstallByHand(t *testing.T) {
	t.Parallel()
	s := newSite(t, expandedMedia(t))
	install := slices.Concat([]string{"run", "install.star", "--var", "interface=lo"}, all)
	s.run(0, append(install, "--dry-run", "--trace", "/root/dry.jsonl")...)
	begin := func(file string) *keyedTerminal {
		c := exec.Command("/usr/local/bin/runbook", append(install, "--by-hand", "--trace", file)...)
		c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "NO_COLOR=1", "TERM=xterm"}
		return startOnTerminal(t, c, func() error { return s.Do(c.Start) })
	}
	person := func() {
		done := lab.Cmd{Argv: []string{"sh", "/var/lib/runbook/by-hand.sh"}, Env: []string{"SUPERUSER_PASSWORD=" + password}, Timeout: time.Minute}
		if r := s.Exec(done); r.Code != 0 {
			t.Fatalf("what it shows: exit %d\n%s%s\n%s", r.Code, r.Out, r.Err, s.read("/var/lib/runbook/by-hand.sh"))
		}
	}
	k := begin("/root/stopped.jsonl")
	k.types("", asksPerson)
	k.types("\n", "not yet: ")
	k.types("q\n", "stopped by a person")
	if k.cmd.Wait(); k.cmd.ProcessState.ExitCode() != 4 {
		t.Errorf("stopped: got exit code %d, want 4", k.cmd.ProcessState.ExitCode())
	}
	k = begin("/root/real.jsonl")
	changes := 0
	for keys := ""; ; keys = "\n" {
		asked := k.until(keys, asksPerson, "install.star done")
		if !asked {
			break
		}
		if strings.Contains(k.seen, "not yet: ") {
			t.Fatalf("it was done, and it says:\n%s", k.seen)
		}
		changes++
		if changes == 5 {
			k.until("r\n", asksPerson)
		}
		person()
	}
	if err := k.cmd.Wait(); err != nil || changes < 40 {
		t.Fatalf("%d changes: %v\n%s", changes, err, k.seen)
	}
	if out := s.run(0, "audit", "diff", "/root/dry.jsonl", "/root/real.jsonl"); !strings.HasPrefix(out, "equal") {
		t.Errorf("got %s", out)
	}
	if by := strings.Count(s.read("/root/real.jsonl"), `"by":"a person"`); by < 20 {
		t.Errorf("of %d calls the trace says that a person did them", by)
	}
	if out := s.install(0, "--var", "interface=lo"); strings.Contains(out, "\n  changed ") {
		t.Errorf("a run after it changes:\n%s", out)
	}
	checkMirrors(t, s)
}

// until presses keys and waits until the terminal shows the first text, or else one of the others.
func (k *keyedTerminal) until(keys, first string, others ...string) bool {
	k.t.Helper()
	k.seen = ""
	if _, err := k.master.WriteString(keys); err != nil {
		k.t.Fatal(err)
	}
	for timeout := time.After(2 * time.Minute); ; {
		for _, other := range others {
			if strings.Contains(k.seen, other) {
				return false
			}
		}
		if strings.Contains(k.seen, first) {
			return true
		}
		select {
		case b, ok := <-k.shown:
			if !ok {
				k.t.Fatalf("it ended; after %q got %q, want %q", keys, k.seen, first)
			}
			k.seen += string(b)
		case <-timeout:
			k.t.Fatalf("after %q got %q, want %q", keys, k.seen, first)
		}
	}
}
