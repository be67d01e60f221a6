package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"runbook/cmd/runbook/internal/lab"
)

const units = "../../runbooks/systemd/"

// systemd takes the units of the scheduled check as they are shipped.
func TestTimerUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		lab.Skip(t, "systemd-analyze: "+err.Error())
	}
	dir := t.TempDir()
	for _, name := range []string{"runbook-check.service", "runbook-check.timer"} {
		text, err := os.ReadFile(units + name)
		if err != nil {
			t.Fatal(err)
		}
		lay(t, filepath.Join(dir, name), strings.Replace(string(text), "/usr/bin/runbook ", binary(t)+" ", 1))
	}
	c := exec.Command(analyze, "verify", "--man=no", dir+"/runbook-check.service", dir+"/runbook-check.timer")
	if out, err := c.CombinedOutput(); err != nil || strings.Contains(string(out), dir) {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}

// The command of the service, without new privileges and the capabilities that the service takes from it, says what is
// pending and changes nothing but its metrics. Where it sees everything read-only, as with ProtectSystem=strict, it would
// say that a run cannot be done: that is why the service does without.
func TestTimerCommand(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(units + "runbook-check.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.ReplaceAll(string(text), "\\\n", "")
	_, command, _ := strings.Cut(unit, "\nExecStart=/usr/bin/runbook ")
	command, _, _ = strings.Cut(command, "\n")
	_, caps, taken := strings.Cut(unit, "\nCapabilityBoundingSet=~")
	caps, _, _ = strings.Cut(caps, "\n")
	if !taken {
		t.Fatal("the service takes no capabilities")
	}
	without := "-" + strings.Join(strings.Fields(strings.ToLower(strings.ReplaceAll(caps, "CAP_", ""))), ",-")
	const metrics = "/var/lib/prometheus/node-exporter"
	s := newSite(t, expandedMedia(t))
	s.Must("mkdir -p " + metrics + " /etc/runbook; printf 'airgap: true\\nserver: native\\n' >/etc/runbook/install.yaml")
	check := func(want int, state string) {
		t.Helper()
		before := s.Snapshot(append(lab.Volatile(), metrics)...)
		r := s.Run(0, 0, "sh", "-c", "exec setpriv --no-new-privs --bounding-set "+without+
			" /usr/local/bin/runbook "+command)
		if d := before.Diff(s.Snapshot(append(lab.Volatile(), metrics)...)); len(d) > 0 {
			t.Errorf("it changed:\n%s", strings.Join(d, "\n"))
		}
		if r.Code != want {
			t.Fatalf("got exit code %d, want %d\n%s%s", r.Code, want, r.Out, r.Err)
		}
		if have := s.read(metrics + "/runbook-install.prom"); !strings.Contains(have, state) {
			t.Errorf("want %s in\n%s", state, have)
		}
	}
	check(10, `outcome="done"} 1`)
	const strict = `mount --bind "$0" "$0" && mount -o remount,bind,ro / && `
	if r := s.Run(0, 0, "unshare", "-m", "sh", "-c", strict+"exec /usr/local/bin/runbook "+command, metrics); r.Code != 1 ||
		!strings.Contains(r.Err, "read-only file system") || !strings.Contains(s.read(metrics+"/runbook-install.prom"), `outcome="failed"} 1`) {
		t.Errorf("read-only: exit code %d\n%s%s", r.Code, r.Out, r.Err)
	}
	s.run(0, "run", "install.star", "--vars", "/etc/runbook/install.yaml")
	check(0, `runbook_changes_pending{runbook="install.star",file="runbook-install.prom",mode="dry-run"} 0`)
	s.Must("chmod 0777 /opt/anaconda-server/package-storage")
	check(10, `runbook_changes_pending{runbook="install.star",file="runbook-install.prom",mode="dry-run"} 1`)
}
