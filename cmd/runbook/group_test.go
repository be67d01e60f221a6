package main

import (
	"strings"
	"testing"

	"runbook/cmd/runbook/internal/lab"
)

// accounts rests on groups that it makes.
const accounts = `
def accounts():
    group("staff2", gid = 4242)
    group("daemons", system = True)
    group("people")
    useradd("bob", group = "staff2", groups = ["people"])
    mkdir("/srv/x", group = "staff2")
    mkdir("/srv/y", group = "daemons")
    mkdir("/srv/z")
    chown("/srv/z", "bob", group = "people")

step(accounts)
`

// What a dry run says of groups is what the real groupadd then does.
func TestGroups(t *testing.T) {
	t.Parallel()
	s := bareSite(t, lab.Options{})
	s.put("/root/accounts.star", accounts)
	s.run(0, "run", "/root/accounts.star", "--dry-run", "--trace", "/root/dry.jsonl")
	s.run(0, "run", "/root/accounts.star", "--trace", "/root/real.jsonl")
	if got := s.run(0, "audit", "diff", "/root/dry.jsonl", "/root/real.jsonl"); !strings.HasPrefix(got, "equal") {
		t.Error(got)
	}
	if again := s.run(0, "run", "/root/accounts.star"); strings.Contains(again, " changed") {
		t.Errorf("the second run changed something:\n%s", again)
	}
	for script, want := range map[string]string{
		"getent group staff2":         "staff2:x:4242:",
		"id -gn bob":                  "staff2",
		"id -nG bob":                  "staff2 people",
		"stat -c %U:%g /srv/x":        "root:4242",
		"stat -c %U:%G /srv/y /srv/z": "root:daemons\nbob:people",
		"test $(stat -c %g /home/bob) = 4242 && echo yes":                      "yes",
		"test $(getent group daemons | cut -d: -f3) -lt 1000 && echo system":   "system",
		"test $(getent group people | cut -d: -f3) -ge 1000 && echo no system": "no system",
	} {
		if got := strings.TrimSpace(s.Must(script)); got != want {
			t.Errorf("%s: got %q, want %q", script, got, want)
		}
	}
}

// The real groupadd is not asked for what it would refuse; where only it can know, its refusal is explained.
func TestGroupsRefused(t *testing.T) {
	t.Parallel()
	s := bareSite(t, lab.Options{})
	before := s.read("/etc/group")
	for call, want := range map[string]string{
		`group("new", gid = 4)`: "number 4: got group adm, want none with it",
		`group("adm", gid = 5)`: "has number 4, want 5",
	} {
		s.put("/root/refused.star", "def refused(): "+call+"\nstep(refused)\n")
		for _, args := range [][]string{{"--dry-run"}, nil} {
			if got := s.run(1, append([]string{"run", "/root/refused.star"}, args...)...); !strings.Contains(got, want) {
				t.Errorf("%s %q: got %s, want %s", call, args, got, want)
			}
		}
	}
	s.put("/root/late.star", "def late(): group('late', gid = 4243)\nstep(late)\n")
	s.Must("echo 1 >/etc/group.lock") // the first process of the jail holds it
	if got := s.run(1, "run", "/root/late.star"); !strings.Contains(got, "look for /etc/group.lock") {
		t.Errorf("locked: got %s", got)
	}
	if after := s.read("/etc/group"); after != before {
		t.Errorf("got groups\n%s\nwant\n%s", after, before)
	}
	s.Must("rm /etc/group.lock")
	s.run(0, "run", "/root/late.star")
	if got := s.Must("getent group late"); got != "late:x:4243:\n" {
		t.Errorf("after the lock: got %q", got)
	}
}
