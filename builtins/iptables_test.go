package builtins

import (
	"slices"
	"strings"
	"testing"

	"runbook/runtime/trace"
)

// fakeIptables keeps what iptables-save would print in a file; it knows -I and
// -A on a table that is there, and prints REJECT as the real one does.
var fakeIptables = map[string]string{
	"/etc/os-release":        "ID=debian\n",
	"/usr/bin/iptables-save": `cat $R/var/rules`,
	"/usr/bin/iptables": `table=$2 verb=$3 chain=$4; shift 4; line="-A $chain"
for w; do case $w in *[!A-Za-z0-9_/-]*) line="$line \"$w\"";; *) line="$line $w";; esac; done
case $verb in
-I) sed -i "/^\*$table/,/^COMMIT/{/^:/h;/^-A\|^COMMIT/{x;s/^:.*/:/;x;}}; /^\*$table/,/^COMMIT/{/^:$chain /a XX
}" $R/var/rules; sed -i "s|^XX|$line|" $R/var/rules;;
-A) sed -i "/^\*$table/,/^COMMIT/{s|^COMMIT|$line\nCOMMIT|}" $R/var/rules;;
esac`,
	"/var/rules": `# Generated
*nat
:PREROUTING ACCEPT [1:2]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
COMMIT
*filter
:INPUT ACCEPT [10:20]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
COMMIT
`,
	"/sys/class/net/eth0/address": "1",
}

func TestIptables(t *testing.T) {
	m := newMachine(t, fakeIptables)
	dry, _ := m.thrice(`c = "# Anaconda Repository #"
iptables("INPUT", in_interface = "eth0", protocol = "tcp", dport = 80, jump = "ACCEPT", comment = c)
iptables("INPUT", in_interface = "eth0", protocol = "tcp", dport = "8080", jump = "ACCEPT", comment = c)
iptables("PREROUTING", table = "nat", position = "append", in_interface = "eth0", protocol = "tcp", dport = 80,
    jump = "REDIRECT", to_port = 8080, comment = c)
iptables.save()`)
	if notes := guesses(dry); len(notes) > 0 {
		t.Errorf("a dry run assumed %v", notes)
	}
	want := `*filter
:FORWARD ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i eth0 -p tcp -m tcp --dport 8080 -m comment --comment "# Anaconda Repository #" -j ACCEPT
-A INPUT -i eth0 -p tcp -m tcp --dport 80 -m comment --comment "# Anaconda Repository #" -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
COMMIT
*nat
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:PREROUTING ACCEPT [0:0]
-A PREROUTING -i eth0 -p tcp -m tcp --dport 80 -m comment --comment "# Anaconda Repository #" -j REDIRECT --to-ports 8080
COMMIT
`
	if got := m.read("/etc/iptables/rules.v4"); got != want {
		t.Errorf("got %s", got)
	}
}

// A file that says the same in other words is left alone.
func TestIptablesSaveSame(t *testing.T) {
	m := newMachine(t, fakeIptables)
	m.write("/etc/iptables/rules.v4", m.read("/var/rules"))
	m.thrice(`iptables.save()`)
	if got := m.read("/etc/iptables/rules.v4"); !strings.HasPrefix(got, "# Generated") {
		t.Errorf("got %s", got)
	}
}

// An ACCEPT behind the REJECT is there and has no effect.
func TestIptablesShadowed(t *testing.T) {
	m := newMachine(t, fakeIptables)
	const hidden = "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT\n"
	m.write("/var/rules", strings.Replace(m.read("/var/rules"), "prohibited\n", "prohibited\n"+hidden, 1))
	rule := `iptables("INPUT", protocol = "tcp", dport = 80, jump = "ACCEPT"`
	m.fails(rule+`, position = "append")`, `position = "insert"`)
	_, real := m.thrice(rule + ")")
	if !strings.Contains(strings.Join(eventTexts(real), ""), "behind: -j REJECT") {
		t.Errorf("got %v", eventTexts(real))
	}
}

func TestIptablesRefuses(t *testing.T) {
	m := newMachine(t, fakeIptables)
	m.fails(`iptables("INPUT", in_interface = "eth1", jump = "ACCEPT")`, "there is: eth0")
	m.fails(`iptables("INPUT")`, "want ACCEPT")
	m.fails(`iptables("INPUT", dport = 80, jump = "ACCEPT")`, "tcp or udp")
	m.fails(`iptables("INPUT", position = "first", jump = "ACCEPT")`, "want insert or append")
	m.fails(`iptables("mine", jump = "ACCEPT")`, "has no chain mine")
	m.fails(`iptables("-F", jump = "ACCEPT")`, "got chain")
	m.write("/usr/bin/iptables-save", "echo 'Permission denied (you must be root)' >&2; exit 4")
	m.fails(`iptables("INPUT", jump = "ACCEPT")`, "as root")
	m.write("/run/firewalld.pid", "1")
	m.fails(`iptables("INPUT", jump = "ACCEPT")`, "firewalld")
	m.fails(`iptables.save()`, "firewalld")
	m = newMachine(t, nil)
	m.fails(`iptables("INPUT", jump = "ACCEPT")`, "there is no iptables")
	m.fails(`iptables.save()`, "say where")
}

// What a command of the runbook did to the firewall only a run can know: its rules are
// saved as they are then, and the dry run says that it assumes so.
func TestIptablesSaveAfterACommand(t *testing.T) {
	for _, command := range []string{
		`run("iptables -t filter -A INPUT -j DROP")`,
		`run(["sh", "-c", "true; iptables -t filter -A INPUT -j DROP"])`,
		`run(["sh", "-c", "echo -A INPUT -j DROP >/dev/null"], touches = ["firewall:rules"])`,
	} {
		m := newMachine(t, fakeIptables)
		body := command + `
iptables("INPUT", protocol = "tcp", dport = 80, jump = "ACCEPT")
iptables.save()`
		dry, dryErr := m.dry(body)
		real, err := m.real(body)
		if dryErr != nil || err != nil {
			t.Fatalf("%s: got %v and %v", command, dryErr, err)
		}
		want := []string{"the firewall lacks the rule", "the rules differ from those in /etc/iptables/rules.v4"}
		if notes := guesses(dry); !slices.Equal(notes, want) {
			t.Errorf("%s: got %q assumed, want %q", command, notes, want)
		}
		if d := trace.Diff(dry, real); !d.Equal {
			t.Errorf("%s: %v", command, d)
		}
		f := trace.NewFollow(dry, false)
		for _, e := range real {
			if err := f.Emit(e); err != nil {
				t.Errorf("%s: %v", command, err)
			}
		}
		if saved := m.read("/etc/iptables/rules.v4"); !strings.Contains(saved, "--dport 80") {
			t.Errorf("%s: saved %s", command, saved)
		}
	}
}
