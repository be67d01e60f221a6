package main

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
	"runbook/runtime/host/sample"
	"runbook/runtime/trace"
)

// A kill is where a run of the installation is cut off.
type kill struct {
	event int     // the effect, counted among the events of the trace
	step  string  // that the effect is in
	call  string  // that the effect makes
	kind  string  // "", "under-way" or "power"
	part  float64 // of the time that its op takes; 0 is before the effect begins
}

func (k kill) String() string {
	return strings.TrimSuffix(fmt.Sprintf("%03d-%s-%s-%s", k.event, k.step, k.call, k.kind), "-")
}

// power reports whether the machine and all that runs on it is cut off, not the program alone.
func (k kill) power() bool { return k.kind == "power" }

// alone are the flags of an installation on a host without a network card.
var alone = append(slices.Clone(all), "--var", "interface=lo")

// A run that is killed in any step and started again ends as one that was left in peace. What the program had started
// goes on without it, as yum and conda do, or dies too, as when the power fails. Of the kills every fifth is tried, and
// some of each step and kind.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := expandedMedia(t)
	s := newSite(t, dir)
	s.run(0, slices.Concat([]string{"run", "install.star"}, alone, []string{"--trace", "/root/whole.jsonl"})...)
	want, whole := s.normal(), events(t, s, "/root/whole.jsonl")
	s.Kill()
	points := kills(whole)
	if len(points) < 40 {
		t.Fatalf("got %d effects to be killed at, want 40", len(points))
	}
	for _, k := range sample.Every(t, 5, points, func(k kill) []string { return []string{k.step, "kind " + k.kind} }) {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, dir)
			defer s.Kill()
			killAt(t, s, k, duration(whole[k.event:]))
			converges(t, s, want, k.power())
		})
	}
}

// kills lists the effects of an installation, but of those of a kind in a step only the first and the last. Each is cut
// off before it begins, and what takes time also under way.
func kills(all []trace.Event) (points []kill) {
	for i, e := range all {
		if e.Kind != trace.Effect {
			continue
		}
		same := func(o trace.Event) bool { return o.Kind == e.Kind && o.Step == e.Step && o.Call == e.Call }
		long := e.Call == "exec" || e.Call == "tree"
		if !long && slices.ContainsFunc(all[:i], same) && slices.ContainsFunc(all[i+1:], same) {
			continue
		}
		points = append(points, kill{event: i + 1, step: e.Step, call: e.Call})
		if long {
			part := float64(1+i%9) / 10
			points = append(points, kill{i + 1, e.Step, e.Call, "under-way", part}, kill{i + 1, e.Step, e.Call, "power", 1 - part})
		}
	}
	return points
}

// duration is how long the op took whose events these are.
func duration(rest []trace.Event) time.Duration {
	i := slices.IndexFunc(rest, func(e trace.Event) bool { return e.Kind == trace.Result })
	return rest[i].Elapsed
}

// killAt runs the installation, cuts it off at k, and looks at the trace that is left.
func killAt(t *testing.T, s site, k kill, long time.Duration) {
	t.Helper()
	g := s.gate("/root/killed.jsonl", append([]string{"run", "install.star"}, alone...)...)
	g.hold(k.event)
	if k.part > 0 {
		g.step() // into the effect, and no further than the event after it
		time.Sleep(time.Duration(k.part * float64(long)))
	}
	if k.power() {
		s.Reboot()
	}
	g.end(syscall.SIGKILL)
	out := s.run(1, "audit", "verify", "/root/killed.jsonl")
	if !strings.Contains(out, "incomplete") || strings.Contains(out, "broken") {
		t.Errorf("the killed run's trace is told of as:\n%s", out)
	}
}

// What rpm and useradd, cut off by a loss of power, leave for ever: files under rpm's temporary names, and a home directory
// that lacks some of /etc/skel. Whoever asks them again hears that all is done.
var ofOthers = regexp.MustCompile(`^\+ /\S+;[0-9a-f]{8} |^[-~] /home/anaconda-server/\.(bash_logout|bashrc|profile)[ :]`)

// A command that was cut off leaves what a person must look at.
var halfMade = regexp.MustCompile(`to run the command again remove or rename (\S+),`)

// converges runs the installation twice more: the first time it goes on from there, the second time there is nothing
// to do, and the machine is as want says; after a loss of power, but for what others leave.
func converges(t *testing.T, s site, want lab.Snapshot, power bool) {
	t.Helper()
	for _, name := range []string{"/root/next.jsonl", "/root/last.jsonl"} {
		install := func() lab.Result {
			return s.Exec(lab.Cmd{Argv: slices.Concat([]string{"runbook", "run", "install.star"}, alone, []string{"--trace", name})})
		}
		r := install()
		if half := halfMade.FindStringSubmatch(r.Err); r.Code == 1 && half != nil && name == "/root/next.jsonl" {
			s.Must("rm " + half[1] + " " + name + "*")
			r = install()
		}
		if r.Code != 0 {
			t.Fatalf("run again: exit %d, want 0\n%s%s", r.Code, r.Out, r.Err)
		}
		s.run(0, "audit", "verify", name)
	}
	for _, e := range events(t, s, "/root/last.jsonl") {
		if e.Kind == trace.Result && e.Outcome != trace.Same {
			t.Errorf("the third run: %s %s %s", e.Outcome, e.Op, e.Target)
		}
	}
	d := want.Diff(s.normal())
	if power {
		d = slices.DeleteFunc(d, ofOthers.MatchString)
	}
	if len(d) > 0 {
		t.Errorf("differs from an installation that was not killed:\n%s", strings.Join(d, "\n"))
	}
	s.clean()
	if out := s.Must("crontab -u anaconda-server -l"); strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "@reboot ") {
		t.Errorf("got crontab:\n%s", out)
	}
}

// normal is the machine without what differs from one installation to the next; of files that hold times, what
// little can be compared.
func (s site) normal() lab.Snapshot {
	s.t.Helper()
	all := s.Snapshot(volatile()...)
	for name, is := range all {
		if path.Base(name) == "history" || path.Base(path.Dir(name)) == ".runbook-mirror" {
			words := strings.Fields(is)
			all[name] = strings.Join(words[:2], " ")
		}
	}
	return all
}

func events(t *testing.T, s site, name string) []trace.Event {
	t.Helper()
	f, err := os.Open(s.RootPath(name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := trace.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
