package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"runbook/cmd/runbook/internal/lab"
)

// A plan made elsewhere from a snapshot is that of a dry run on the machine, before an installation, and after it; and
// the machine follows it.
func TestPlanElsewhere(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, expandedMedia(t), lab.Options{})
	other := site{Jail: lab.New(t, lab.Options{Hostname: "elsewhere"}), t: t}
	other.Bind(binary(t), "/usr/local/bin/runbook")
	lab.Wire(t, s.Jail, lab.New(t, lab.Options{Hostname: "client"}), "10.77.0.1/24", "10.77.0.2/24")
	other.Must("cp /etc/os-release /tmp/x && echo 'PRETTY_NAME=\"Another System\"' >/etc/os-release.new && " +
		"rm -f /etc/os-release && mv /etc/os-release.new /etc/os-release")
	if err := other.WriteFile("/root/password", []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	vars := all[:slices.Index(all, "--secret")]
	for _, when := range []string{"fresh", "installed"} {
		before := s.Snapshot(append(volatile(), "/root")...)
		t.Log(s.run(0, append([]string{"facts", "install.star", "-o", "/root/" + when + ".facts",
			"--include", "/etc/anaconda-server", "--include", "/etc/iptables"}, vars...)...))
		if d := before.Diff(s.Snapshot(append(volatile(), "/root")...)); len(d) > 0 {
			t.Errorf("%s: facts changed:\n%s", when, strings.Join(d, "\n"))
		}
		other.carry(s, "/root/"+when+".facts")
		here := s.install(0, "--dry-run", "--trace", "/root/"+when+"-here.jsonl")
		there := other.install(0, "--dry-run", "--host", "/root/"+when+".facts", "--trace", "/root/"+when+"-there.jsonl")
		if a, b := planText(here), planText(there); a != b {
			t.Errorf("%s: the dry run here says\n%s\nand there\n%s", when, a, b)
		}
		samePlan(t, when, s.read("/root/"+when+"-here.jsonl"), other.read("/root/"+when+"-there.jsonl"))
		s.carry(other, "/root/"+when+"-there.jsonl")
		if out := s.run(0, "audit", "diff", "/root/"+when+"-here.jsonl", "/root/"+when+"-there.jsonl"); out != "equal\n" {
			t.Errorf("%s: got %s", when, out)
		}
		s.install(0, "--follow", "/root/"+when+"-there.jsonl", "--trace", "/root/"+when+"-real.jsonl")
	}
}

// carry brings a file of another site here.
func (s site) carry(from site, name string) {
	s.t.Helper()
	if err := s.WriteFile(name, []byte(from.read(name)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

var (
	elapsed = regexp.MustCompile(`(  [0-9.]+(ms|s)$| in [0-9.]+(ms|s):|in [0-9]+m[0-9]+s:)`)
	fromIt  = regexp.MustCompile(`(?m)^planned elsewhere.*\n`)
)

// planText is what a dry run printed, without what it took and what it was made from.
func planText(out string) string {
	var lines []string
	for l := range strings.SplitSeq(fromIt.ReplaceAllString(out, ""), "\n") {
		lines = append(lines, elapsed.ReplaceAllString(l, ""))
	}
	return strings.Join(lines, "\n")
}

// samePlan compares two traces but for times, hashes and the snapshot that one was made from.
func samePlan(t *testing.T, when, here, there string) {
	t.Helper()
	a, b := traceLines(t, here), traceLines(t, there)
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Errorf("%s: line %d here is\n%s\nand there\n%s", when, i+1, a[i], b[i])
			return
		}
	}
	if len(a) != len(b) {
		t.Errorf("%s: got %d lines here, %d there", when, len(a), len(b))
	}
}

func traceLines(t *testing.T, text string) (lines []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		for _, k := range []string{"time", "prev", "seal", "elapsed_ms", "snapshot"} {
			delete(e, k)
		}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(freeSpace.ReplaceAll(b, []byte("free"))))
	}
	return lines
}

// freeSpace is what changes from one moment to the next: the test writes.
var freeSpace = regexp.MustCompile(`"free":[0-9]+|[0-9.]+ GB free|"by":"host.disk_free","of":"[^"]*","is":"[0-9]+"`)
