package main

import (
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
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /installer -o -path /root -o -path /var/lib/runbook \
	-o -path /var/log -o -path /var/cache -o -path /var/lib/dnf -o -path /var/lib/rpm -o -path /var/spool/cron \) -prune -o \
	! -name 'passwd*' ! -name 'group*' ! -name '*shadow*' ! -name 'sub[ug]id*' ! -name '.pwd.lock' \
	\( -type f -printf '%p %m %u %g ' -exec md5sum {} \; -o -printf '%p %y %m %u %g %l\n' \) | sort
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
