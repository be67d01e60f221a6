package main

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
)

// The transcript of laying media out, typed where they were not, leaves the same files with the same times.
func TestTranscriptOfMedia(t *testing.T) {
	t.Parallel()
	m := newMedium(t, components...)
	m.run(0, "--trace", m.dir+"/real.jsonl")
	script := m.program(0, "audit", "show", m.dir+"/real.jsonl", "--format", "sh")
	wantWhole(t, script)
	want := m.files()
	if err := os.Rename(m.out, m.dir+"/first"); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("sh")
	c.Stdin = strings.NewReader(script)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("the transcript: %v\n%s\n%s", err, out, script)
	}
	have := m.files()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if have[name] != want[name] {
			t.Errorf("%s: got %q, want %q", name, have[name], want[name])
		}
	}
	m.sameAs(m.dir+"/first", "")
}

func wantWhole(t *testing.T, script string) {
	t.Helper()
	if lines := strings.SplitN(script, "\n", 3); lines[1] != "# All that the run does is in this script." {
		t.Errorf("the transcript says of itself: %s", lines[1])
	}
}

// The transcript of an installation, typed in a bare root with the same media, leaves the same server.
func TestTranscriptOfInstall(t *testing.T) {
	t.Parallel()
	s := newSite(t, expandedMedia(t))
	flags := []string{"--var", "interface=lo", "--trace", "/root/real.jsonl"}
	s.install(0, flags...)
	script := s.run(0, "audit", "show", "/root/real.jsonl", "--format", "sh")
	wantWhole(t, script)
	fresh := newSiteOf(t, expandedMedia(t), lab.Options{})
	fresh.WriteFile("/root/run.sh", []byte(script), 0o600)
	typed := lab.Cmd{Argv: []string{"sh", "/root/run.sh"}, Env: []string{"SUPERUSER_PASSWORD=" + password, "LEAKED=x"}, Timeout: 5 * time.Minute}
	if r := fresh.Exec(typed); r.Code != 0 {
		t.Fatalf("the transcript: exit %d\n%s%s\n%s", r.Code, r.Out, r.Err, script)
	}
	skip := append(volatile(), "*.state", "history") // with the times of files
	if d := s.Snapshot(skip...).Diff(fresh.Snapshot(skip...)); len(d) > 0 {
		t.Errorf("the transcript leaves another machine:\n%s", strings.Join(d, "\n"))
	}
	checkMirrors(t, fresh)
	for _, look := range []string{
		"crontab -u anaconda-server -l", "iptables-save | grep -v '^[#:]' | sort", "service mongod status | sed 's/(.*)//'",
		"su - anaconda-server -c 'miniconda2/bin/supervisorctl -c miniconda2/etc/supervisord.conf status' | sed 's/pid .*//'",
	} {
		if have, want := fresh.Must(look), s.Must(look); have != want {
			t.Errorf("%s: got\n%swant\n%s", look, have, want)
		}
	}
	if out := fresh.install(0, flags[:2]...); strings.Contains(out, "\n  changed ") {
		t.Errorf("a run after the transcript changes:\n%s", out)
	}
}
