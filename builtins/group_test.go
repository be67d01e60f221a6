package builtins

import (
	"slices"
	"strings"
	"testing"

	"runbook/runtime"
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

func TestGroupOfNewAccountAndItsFiles(t *testing.T) {
	m := newMachine(t, fakeGroupadd)
	for name, text := range fakeUseradd {
		m.write(name, text)
	}
	_, real := m.thrice(`group("staff2", gid = 4242)
useradd("bob", uid = 4243, group = "staff2")
mkdir("/srv/x", group = "staff2")
chown("/srv/x", "bob", group = "staff2")`)
	m.shows(strings.Join(eventTexts(real), ""), "-g staff2 bob]")
	m.shows(m.read("/etc/passwd"), "bob:x:4243:4242:")
}

// Each argument reaches groupadd, and those that only a new group needs are not compared later.
func TestGroupArguments(t *testing.T) {
	for call, want := range map[string]string{
		`group("a")`:                          "[groupadd a]",
		`group("b", gid = 0x50)`:              "[groupadd -g 80 b]",
		`group("c", system = True)`:           "[groupadd -r c]",
		`group("d", gid = 81, system = True)`: "[groupadd -r -g 81 d]",
		`group("e", gid = None)`:              "[groupadd e]",
	} {
		_, real := newMachine(t, fakeGroupadd).thrice(call)
		newMachine(t, nil).shows(strings.Join(eventTexts(real), ""), want)
	}
	newMachine(t, nil).again(`group("adm", system = True)`)
}

// A dry run does not know which number a group will get.
func TestGroupAssumesNumber(t *testing.T) {
	m := newMachine(t, fakeGroupadd)
	dry, real := m.twice(`group("operators")
group("operators", gid = 2001)`)
	if have := guesses(dry); !slices.Equal(have, []string{"the number of group operators is 2001"}) {
		t.Errorf("dry run: got %q", have)
	}
	if have := guesses(real); len(have) > 0 {
		t.Errorf("run: got %q, want no guess", have)
	}
	m.fails(`group("operators", gid = 2002)`, "has number 2001, want 2002")
}

// A number that is taken is found before anything is changed.
func TestGroupNumberTaken(t *testing.T) {
	m := newMachine(t, fakeGroupadd)
	m.fails(`group("new", gid = 4)`, "number 4: got group adm, want none with it")
	m.fails(`group("new", gid = 4)`, "getent group")
	m.shows(m.read("/etc/group"), "adm:x:4:\n")
	m.failsDry(`group("one", gid = 90)
group("two", gid = 90)`, "number 90: got group one")
	m.write("/usr/bin/getent", `[ "$1 $2" = "group 91" ] && echo "ldap:x:91:"`)
	m.fails(`group("new", gid = 91)`, "got group ldap")
	m.write("/etc/group", m.read("/etc/group")+"adm2:x:4:\n")
	m.again(`group("adm", gid = 4)`) // one that shares its number is left as it is
	m.again(`group("adm2", gid = 4)`)
}

// After a failure a second run goes on from what is there.
func TestGroupFails(t *testing.T) {
	for code, hint := range map[string]string{"4": "another group has that number", "10": "/etc/group.lock", "3": ""} {
		m := newMachine(t, map[string]string{"/usr/bin/groupadd": "echo groupadd: no >&2; exit " + code})
		body := "mkdir('/srv/one')\ngroup('ops', gid = 70)\nmkdir('/srv/x', group = 'ops')"
		if _, err := m.real(body); !says(err, "group ops: groupadd 70: exit status "+code) || !says(err, hint) {
			t.Errorf("exit %s: got %v (hint: %s)", code, err, runtime.HintOf(err))
		}
		m.write("/usr/bin/groupadd", fakeGroupadd["/usr/bin/groupadd"])
		m.thrice(body)
		m.shows(m.read("/etc/group"), "ops:x:70:\n")
	}
}

func TestGroupRefuses(t *testing.T) {
	m := newMachine(t, fakeGroupadd)
	m.fails(`group("a:b")`, "want letters")
	m.fails(`group("-r")`, "want letters")
	m.fails(`group("new", gid = -1)`, "want a number from 0")
	m.fails(`useradd("new", uid = 1 << 32)`, "want a number from 0")
	m.fails(`group("adm", gid = 5)`, "has number 4, want 5")
	m.fails(`mkdir("/srv/x", group = "none")`, `make it first: group("none")`)
	m.fails(`group("")`, "want letters")
	m.fails(`group("new", gid = 0xffffffff)`, "want a number from 0")
	m.fails(`group("new", gid = "7")`, "want a number from 0")
	m.fails(`group("new", system = 1)`, "system")
	m.fails(`group("new", id = 7)`, "gid")
}
