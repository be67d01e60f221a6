package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// So it is with the other shipped runbooks, with the native server, and for an account that may read little.
func TestPlanOthersElsewhere(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, expandedMedia(t), lab.Options{})
	other := site{Jail: lab.New(t, lab.Options{Hostname: "elsewhere"}), t: t}
	other.Bind(binary(t), "/usr/local/bin/runbook")
	for i, args := range [][]string{
		{"install.star", "--var", "airgap=true", "--var", "server=native", "--var", "keeper=supervisord"},
		{"mirror.star", "--var", "channels=/installer/anaconda-suite/pkgs", "--var", "dest=/srv/pkgs"},
		{"quickstart.star", "--var", "dir=/srv/quick"},
		{"media.star", "--var", "source=/installer/none"},
	} {
		facts := "/root/" + strings.TrimSuffix(args[0], ".star") + ".facts"
		s.run(0, append([]string{"facts", "-o", facts}, args...)...)
		other.carry(s, facts)
		run := append([]string{"run"}, args...)
		code := 0
		if i == 3 {
			code = 3 // there are no media
		}
		here := s.run(code, append(run, "--dry-run", "--trace", facts+"-here.jsonl")...)
		there := other.run(code, append(run, "--dry-run", "--host", facts, "--trace", facts+"-there.jsonl")...)
		if a, b := planText(here), planText(there); freeSpace.ReplaceAllString(a, "") != freeSpace.ReplaceAllString(b, "") {
			t.Errorf("%s: the dry run here says\n%s\nand there\n%s", args[0], a, b)
		}
		samePlan(t, args[0], s.read(facts+"-here.jsonl"), other.read(facts+"-there.jsonl"))
	}
	s.run(0, "run", "mirror.star", "--var", "channels=/installer/anaconda-suite/pkgs", "--var", "dest=/srv/pkgs")
	s.Must("mkdir -m 700 /srv/closed")
	s.put("/home/t.star", "def s():\n    if glob('/srv/closed/*'):\n        log('open')\nstep(s)\n")
	r := s.Exec(lab.Cmd{Argv: []string{"/usr/local/bin/runbook", "facts", "/home/t.star", "-o", "/tmp/nobody.facts", "--state", "/tmp/state"},
		UID: 65534, GID: 65534})
	if want := "left out: /srv/closed: may not be read by nobody\n"; r.Code != 0 || !strings.Contains(r.Err, want) {
		t.Errorf("got exit %d\n%s\nwant %s", r.Code, r.Err, want)
	}
}

// The README's commands do what it says of them.
func TestPlanningExample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "## Planning elsewhere")
	text, _, _ = strings.Cut(text, "\n## ")
	s, ran := bareSite(t, lab.Options{}), 0
	for line := range strings.Lines(text) {
		command, ok := strings.CutPrefix(line, "    runbook ")
		if !ok {
			continue
		}
		ran++
		if strings.Contains(command, "--hosts") {
			s.Must(`cd /root && mkdir fleet && cp web1.facts fleet && sed '1s/"hostname":"[^"]*"/"hostname":"web2"/' web1.facts >fleet/web2.facts`)
		}
		out := s.Must("cd /root && runbook " + command)
		if want := "quickstart.star: 2 hosts, 1 plan\n\n2 hosts A: "; strings.Contains(command, "--hosts") && !strings.HasPrefix(out, want) {
			t.Errorf("%s: got %s, want %s", command, out, want)
		}
	}
	if ran != 4 {
		t.Errorf("the README has %d commands, want 4", ran)
	}
}

// A plan from a snapshot looks at no file of the machine that it is made on, and begins no program there.
func TestPlanReadsNothingHere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	book := filepath.Join(dir, "t.star")
	text := "def s():\n    log(host.hostname + read('/etc/os-release') + query('uname').stdout)\n    useradd('somebody')\n" +
		"    write('/etc/motd', host.user)\nstep(s)\n"
	if err := os.WriteFile(book, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	facts, log := filepath.Join(dir, "web1.facts"), filepath.Join(dir, "calls")
	for _, argv := range [][]string{
		{binary(t), "facts", book, "-o", facts, "--quiet"},
		{"strace", "-f", "-o", log, "-e", "trace=%file,execve,fork,vfork", binary(t), "run", book, "--dry-run", "--host", facts},
	} {
		if _, err := exec.LookPath(argv[0]); err != nil {
			lab.Skip(t, "no "+argv[0])
		}
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", argv, err, out)
		}
	}
	calls, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	programs := 0
	for line := range strings.Lines(string(calls)) {
		m := namedFile.FindStringSubmatch(line)
		switch {
		case m == nil || strings.HasPrefix(m[2], dir) || m[2] == "." || m[2] == "t.star":
		case m[1] == "execve" && m[2] == binary(t):
			programs++
		case m[2] == "/proc/self/exe", strings.HasPrefix(m[2], "/sys/"), strings.HasPrefix(m[2], "/proc/self/cgroup"),
			m[2] == "/proc/self/mountinfo": // the program's own digest, and what its runtime asks of its limits
		case m[2] == filepath.Dir(dir), strings.HasPrefix(dir, m[2]+"/"): // above the runbook
		default:
			t.Errorf("it asked for %s", strings.TrimSpace(line))
		}
	}
	if programs != 1 {
		t.Errorf("got %d programs, want one", programs)
	}
}

var namedFile = regexp.MustCompile(`^\d+ +([a-z0-9_]+)\((?:AT_FDCWD, |\d+, )?"([^"]*)"`)

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

// BenchmarkHosts plans for 1,000 machines, of which every sixtieth lacks an account and every hundredth has other memory.
func BenchmarkHosts(b *testing.B) {
	dir := b.TempDir()
	command := func(args ...string) {
		cmd := exec.Command(binary(b), args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState.ExitCode() != 1 { // the media are not here
			b.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	command("facts", "install.star", "-o", "base", "--quiet")
	base, err := os.ReadFile(filepath.Join(dir, "base"))
	if err != nil {
		b.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "fleet"), 0o700); err != nil {
		b.Fatal(err)
	}
	hostname, memory := regexp.MustCompile(`"hostname":"[^"]*"`), regexp.MustCompile(`MemTotal: {4}`)
	for i := range 1000 {
		text := hostname.ReplaceAll(base, fmt.Appendf(nil, `"hostname":"web%04d"`, i))
		if i%60 == 7 {
			text = bytes.Replace(text, []byte(`"text":"root:x:0:`), []byte(`"text":"r00t:x:0:`), 1)
		}
		if i%100 == 3 {
			text = memory.ReplaceAll(text, []byte("MemTotal:   1"))
		}
		if err := os.WriteFile(filepath.Join(dir, "fleet", fmt.Sprintf("web%04d.facts", i)), text, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		command("run", "install.star", "--var", "server=native", "--skip", "mirror_anaconda", "--dry-run", "--hosts", "fleet")
	}
	b.ReportMetric(float64(len(base))/1000, "kB/snapshot")
}
