package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
)

// slow is a book that a session can die in the middle of.
const slow = `
def files():
    write("/srv/first", "1\n")
    run(["sleep", "300"], creates = "/srv/never")
step(files)
`

// lockOut is what cuts the operator off.
const lockOut = `
def firewall():
    write("/etc/motd", "closed\n")
    iptables("INPUT", in_interface = "eth0", jump = "DROP", comment = "nobody comes in")
step(firewall)
`

// until waits for a script to succeed.
func (s site) until(script string) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if r := s.Exec(lab.Cmd{Argv: []string{"sh", "-c", script}}); r.Code == 0 {
			return
		} else if time.Now().After(deadline) {
			s.t.Fatalf("%s: never\n%s%s", script, r.Out, r.Err)
		}
	}
}

// A rule that cuts the operator off is gone after the time; one that somebody confirms stays.
func TestConfirmLockOut(t *testing.T) {
	t.Parallel()
	s, other := bareSite(t, lab.Options{}), lab.New(t, lab.Options{})
	lab.Wire(t, s.Jail, other, "10.77.0.1/24", "10.77.0.2/24")
	s.put("/root/lock.star", lockOut)
	s.Start(lab.Cmd{Argv: []string{"python3", "-m", "http.server", "--bind", "10.77.0.1", "8022"}})
	reached := func() bool {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		conn, err := other.DialContext(ctx, "tcp", "10.77.0.1:8022")
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	await := func(want bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); reached() != want; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("reached: %t for a minute, want %t", !want, want)
			}
		}
	}
	await(true)
	was := s.read("/etc/motd")
	out := s.run(0, "run", "/root/lock.star", "--confirm-within", "4s")
	s.says(out, "undone at", "runbook confirm")
	if reached() {
		t.Fatal("the rule does not cut anybody off")
	}
	s.says(s.run(1, "run", "/root/lock.star"), "a run awaits its confirmation")
	await(true)
	s.until("! test -e /var/lib/runbook/pending")
	if have := s.read("/etc/motd"); have != was {
		t.Errorf("/etc/motd holds %q, want %q", have, was)
	}
	s.run(0, "run", "/root/lock.star", "--confirm-within", "3s")
	s.says(s.run(0, "confirm"), "stays")
	s.says(s.run(2, "confirm"), "no run awaits its confirmation")
	time.Sleep(5 * time.Second)
	if reached() {
		t.Error("what was confirmed was undone")
	}
}

// Everything is killed but what waits: the run is undone all the same.
func TestConfirmKilled(t *testing.T) {
	t.Parallel()
	s := bareSite(t, lab.Options{})
	s.put("/root/slow.star", slow)
	s.Start(lab.Cmd{Argv: []string{"/usr/local/bin/runbook", "run", "/root/slow.star", "--confirm-within", "2s"}})
	s.until("pgrep -x sleep && test -e /srv/first")
	s.Must("for p in $(ps -eo pid=,args= | grep -v 'await-confirmation\\|sh -c\\|ps -eo\\|grep' | awk '$1 > 1 { print $1 }'); do kill -9 $p; done; pgrep -f await-confirmation")
	s.until("! test -e /srv/first && ! test -e /var/lib/runbook/pending")
	s.says(s.read("/var/lib/runbook/unconfirmed.log"), "nobody has confirmed", "undo-slow.star done")
}

// After a reboot cron goes on with waiting.
func TestConfirmReboot(t *testing.T) {
	t.Parallel()
	s := bareSite(t, lab.Options{})
	s.put("/root/quick.star", strings.Replace(slow, `    run(["sleep", "300"], creates = "/srv/never")`+"\n", "", 1))
	s.run(0, "run", "/root/quick.star", "--confirm-within", "3s")
	s.Reboot()
	time.Sleep(4 * time.Second)
	s.Must("test -e /srv/first && test -e /var/lib/runbook/pending && service cron start")
	s.until("! test -e /srv/first && ! test -e /var/lib/runbook/pending && ! test -e " + hookFile)
}
