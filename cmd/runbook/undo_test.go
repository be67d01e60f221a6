package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
	"runbook/runtime/host/sample"
)

// machineNow describes a machine as far as a run can change it: names, types, modes, owners, links and contents, without
// what programs note for themselves; accounts, packages, crontabs and rules.
func (s site) machineNow() string {
	s.t.Helper()
	return s.Must(`
look() {
	find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /installer -o -path /root -o -path /var/lib/runbook \
		-o -path /var/log -o -path /var/cache -o -path /var/lib/dnf -o -path /var/lib/apt -o -path /var/lib/dpkg/status-old -o -path /var/lib/rpm \
		-o -path /var/spool/cron \) -prune -o ! -name 'passwd*' ! -name 'group*' ! -name '*shadow*' ! -name 'sub[ug]id*' ! -name '.pwd.lock' "$@"
}
look -printf '%p %y %m %u %g %l\n' | sort
look -type f -exec md5sum {} + | sort
sort /etc/passwd /etc/group
rpm -qa | sort
for u in $(cut -d: -f1 /etc/passwd | sort); do crontab -u $u -l 2>/dev/null; done
iptables-save 2>/dev/null | grep ^- | sort
ps -eo user,comm --no-headers | grep -v 'ps$\|sort$\|sh$\|grep$' | sort`)
}

// differences are the lines that only one of two texts has.
func differences(was, is string) string {
	lines := map[string]int{}
	for l := range strings.Lines(was) {
		lines[l]--
	}
	for l := range strings.Lines(is) {
		lines[l]++
	}
	var b strings.Builder
	for l := range strings.Lines(was + is) {
		if n := lines[l]; n != 0 {
			b.WriteString(map[bool]string{true: "+ ", false: "- "}[n > 0] + l)
			lines[l] = 0
		}
	}
	return b.String()
}

// The installation is taken back: nothing is left of it in a bare root.
func TestUndoInstall(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it installs in a jail")
	s := newSiteOf(t, expandedMedia(t), lab.Options{})
	was := s.machineNow()
	began := time.Now()
	s.install(0, "--var", "interface=lo", "--trace", "/root/run.jsonl")
	ran := time.Since(began)
	s.run(0, "undo", "/root/run.jsonl", "--dry-run", "--var", "drifted=take", "--trace", "/root/plan.jsonl")
	began = time.Now()
	out := s.run(0, "undo", "/root/run.jsonl", "--var", "drifted=take", "--follow", "/root/plan.jsonl", "--trace", "/root/undo.jsonl")
	t.Logf("the run took %s, its undo %s\n%s", ran, time.Since(began), out)
	if d := differences(was, s.machineNow()); d != "" {
		t.Errorf("it is not as it was:\n%s", d)
	}
}

// Packages, accounts, crontabs, rules, owners and services are put back as they were: what was there before stays.
func TestUndoMachine(t *testing.T) {
	s := aptSite(t)
	file := s.deb("/root/debs", debian{name: "web", version: "1.0-1", files: map[string]string{"/usr/share/web/page": "p\n", "/etc/web.conf": "port = 80\n",
		"conffiles": "/etc/web.conf\n"}})
	s.Must("useradd -m -s /bin/sh old && groupadd crew && echo '@daily /bin/true' | crontab -u old - && iptables -A INPUT -p tcp --dport 22 -j ACCEPT && mkdir -p /srv/a/b && touch /srv/a/b/c && chown old /srv/a/b/c && chmod 2770 /srv/a")
	s.put("/etc/init.d/steady", "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: steady\n# Required-Start:\n# Required-Stop:\n# Default-Start: 2 3 4 5\n# Default-Stop: 0 1 6\n### END INIT INFO\n"+
		"case $1 in start) touch /run/steady ;; stop) rm -f /run/steady ;; status) test -e /run/steady || exit 3 ;; esac\n")
	s.Must("chmod 755 /etc/init.d/steady")
	was := s.machineNow()
	book := s.bookOf("apt(" + fmt.Sprintf("%q", file) + `)
group("web")
useradd("web", home = "/srv/web", group = "web")
useradd("old", shell = "/bin/bash", groups = ["crew"], comment = "Old")
cron("old", "@weekly", "/bin/false")
cron("web", "@hourly", "/bin/false")
iptables("INPUT", protocol = "tcp", dport = 80, jump = "ACCEPT", comment = "the web")
iptables("INPUT", protocol = "tcp", dport = 443, jump = "ACCEPT", position = "append")
chown("/srv/a", "old", group = "crew", adopt = True)
mkdir("/srv/a", mode = 0o700)
service("steady", enabled = True)
line("/etc/web.conf", "host = x")`)
	s.run(0, "run", book, "--trace", "/root/run.jsonl")
	if s.machineNow() == was {
		t.Fatal("the run changed nothing")
	}
	s.run(0, "undo", "/root/run.jsonl", "--dry-run", "--trace", "/root/plan.jsonl")
	out := s.run(0, "undo", "/root/run.jsonl", "--trace", "/root/undo.jsonl")
	if d := differences(was, s.machineNow()); d != "" {
		t.Errorf("it is not as it was:\n%s\n%s", d, out)
	}
	s.says(s.run(0, "audit", "diff", "/root/plan.jsonl", "/root/undo.jsonl"), "equal")
	s.Must("! service steady status && ! ls /etc/rc3.d | grep steady")
}

// An undo that is killed at any moment is gone on with by the same command.
func TestUndoKilled(t *testing.T) {
	t.Parallel()
	s := bareSite(t, lab.Options{})
	s.put("/root/many.star", `
def many():
    for i in range(12):
        mkdir("/srv/d%d" % i)
        write("/srv/d%d/new" % i, "new\n")
        write("/srv/old%d" % i, "other %d\n" % i, mode = 0o600)
        move("/srv/old%d" % i, "/srv/moved%d" % i)
        symlink("/srv/old%d" % i, "moved%d" % i)
        remove("/srv/gone%d" % i)
step(many)
`)
	const census = `cd /srv && find . -printf '%p %y %m %u %g %l\n' | sort && cat old* gone*/x/y`
	kills := sample.Count(t, 10, 50)
	for i := range kills {
		s.Must("rm -rf /srv /var/lib/runbook /root/*.jsonl*; mkdir /srv; for i in $(seq 0 11); do echo $i >/srv/old$i; mkdir -p /srv/gone$i/x; echo $i >/srv/gone$i/x/y; done")
		was := s.Must(census)
		s.run(0, "run", "/root/many.star", "--trace", "/root/run.jsonl")
		for n := range 3 {
			s.Exec(lab.Cmd{Argv: []string{"timeout", "-s", "KILL", fmt.Sprintf("%.3f", 0.02+float64(i)*0.004+float64(n)*0.03), "/usr/local/bin/runbook", "undo", "/root/run.jsonl"}})
		}
		s.run(0, "undo", "/root/run.jsonl")
		if d := differences(was, s.Must(census)); d != "" {
			t.Fatalf("killed %d times: it is not as it was:\n%s", i, d)
		}
	}
}
