package builtins

import (
	"strings"
	"testing"
)

// fakeGroupadd does what the real one does with the options that are passed.
var fakeGroupadd = map[string]string{
	"/usr/bin/groupadd": `gid=2001
while [ $# -gt 1 ]; do case $1 in -g) gid=$2; shift;; -r) gid=101;; esac; shift; done
grep -q ":$gid:" $R/etc/group && { echo "groupadd: GID '$gid' already exists" >&2; exit 4; }
echo "$1:x:$gid:" >> $R/etc/group`,
}

func TestGroup(t *testing.T) {
	m := newMachine(t, fakeGroupadd)
	_, real := m.thrice(`group("operators")`)
	m.shows(strings.Join(eventTexts(real), ""), "[groupadd operators]")
	m.thrice(`group("web", gid = 80, system = True)`)
	m.shows(m.read("/etc/group"), "operators:x:2001:\nweb:x:80:\n")
}

// What comes after it in a dry run may use the group.
func TestGroupIsThereForLaterCalls(t *testing.T) {
	m := newMachine(t, fakeGroupadd)
	m.thrice(`group("operators")
group("operators", gid = 2001)
mkdir("/srv/shared", group = "operators")`)
	for name, text := range fakeUseradd {
		m.write(name, text)
	}
	m.thrice(`group("admins", gid = 70)
useradd("deploy", groups = ["admins"])`)
	m.shows(m.read("/etc/group"), "admins:x:70:deploy\n")
}

func TestGroupRefuses(t *testing.T) {
	m := newMachine(t, fakeGroupadd)
	m.fails(`group("a:b")`, "want letters")
	m.fails(`group("-r")`, "want letters")
	m.fails(`group("new", gid = -1)`, "want a number from 0")
	m.fails(`useradd("new", uid = 1 << 32)`, "want a number from 0")
	m.fails(`group("adm", gid = 5)`, "has number 4, want 5")
	m.fails(`mkdir("/srv/x", group = "none")`, `make it first: group("none")`)
	if _, err := m.real(`group("second", gid = 4)`); !says(err, "another group has that number") {
		t.Errorf("got %v", err)
	}
}
