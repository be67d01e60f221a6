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

// The command of the service, without new privileges, says what is pending and changes nothing but its metrics.
func TestTimerCommand(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(units + "runbook-check.service")
	if err != nil {
		t.Fatal(err)
	}
	_, command, _ := strings.Cut(strings.ReplaceAll(string(text), "\\\n", ""), "\nExecStart=/usr/bin/runbook ")
	command, _, _ = strings.Cut(command, "\n")
	const metrics = "/var/lib/prometheus/node-exporter"
	s := newSite(t, expandedMedia(t))
	s.Must("mkdir -p " + metrics + " /etc/runbook; printf 'airgap: true\\nserver: native\\n' >/etc/runbook/install.yaml")
	check := func(want int, state string) {
		t.Helper()
		before := s.Snapshot(append(lab.Volatile(), metrics)...)
		r := s.Run(0, 0, "sh", "-c", "exec setpriv --no-new-privs /usr/local/bin/runbook "+command)
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
	s.run(0, "run", "install.star", "--vars", "/etc/runbook/install.yaml")
	check(0, `runbook_changes_pending{runbook="install.star",mode="dry-run"} 0`)
	s.Must("chmod 0777 /opt/anaconda-server/package-storage")
	check(10, `runbook_changes_pending{runbook="install.star",mode="dry-run"} 1`)
}
