package trace

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runbook/runtime/host"
)

var update = flag.Bool("update", false, "write the golden files anew")

const motd = "Welcome.\nCall <secret:pager> at night.\nEOF\n"

// sample is a run in which everything happens that can.
func sample(mode string) []Event {
	sum := sha256.Sum256([]byte(motd))
	events := []Event{
		{Kind: Run, Run: &RunInfo{Mode: mode, Runbook: "install.star", Ticket: "CHG-7",
			Sources: []Source{{"install.star", strings.Repeat("ab", 32), "shipped"}},
			Vars:    []Var{{"prefix", "/opt/conda", "default"}, {"pager", "<secret:pager>", "secret"}},
			Binary:  Binary{"v1.2.0", strings.Repeat("cd", 32)},
			Host:    Machine{"repo01", "debian 12", "6.1.0", "x86_64", "b-1"}, User: Person{"root", "ann"}}},
		{Kind: Step, Step: "system", Title: "Prepare the system", Text: "Make the account\nand the greeting.", State: Begin},
		{Kind: Log, Step: "system", Text: "two things\nfirst"},
		{Kind: Op, Step: "system", Op: "useradd", Target: "anaconda", Pos: "install.star:3:9", User: "root",
			Args: map[string]any{"name": "anaconda", "uid": 1001}, Changes: []host.Change{{What: "user", To: "anaconda"}, {What: "home", From: "/home/a", To: "/srv/a"}}},
		{Kind: Probe, Step: "system", Argv: []string{"getent", "passwd", "anaconda"}, Code: 2},
		{Kind: Effect, Step: "system", Call: "exec", Argv: []string{"useradd", "-m", "anaconda"}, User: "root",
			Sets: map[string]string{"user:anaconda": "present", "home:anaconda": "/srv/a"}},
		{Kind: Result, Step: "system", Op: "useradd", Target: "anaconda", Outcome: Changed, Elapsed: 1234 * time.Millisecond, Observed: map[string]any{"attempts": 2}},
		{Kind: Op, Step: "system", Op: "write", Target: "/etc/motd", Pos: "install.star:4:9", User: "root",
			Changes: []host.Change{{What: "content", From: "Welcome.\nold\nEOF\n", To: motd}, {What: "mode", From: "0600", To: "0644"}}},
		{Kind: Effect, Step: "system", Call: "write", Path: "/etc/motd", User: "root", Detail: map[string]any{"mode": "0644", "owner": "root", "sha256": hex.EncodeToString(sum[:])}},
		{Kind: Result, Step: "system", Op: "write", Target: "/etc/motd", Outcome: Changed},
		{Kind: Step, Step: "system", Title: "Prepare the system", State: Ended},
		{Kind: Step, Step: "mail", Title: "Send mail", State: LeftOut, Why: "its condition does not hold"},
		{Kind: Step, Step: "data", State: Begin},
		{Kind: Op, Step: "data", Op: "mkdir", Target: "/srv/a/data"}, {Kind: Result, Step: "data", Op: "mkdir", Target: "/srv/a/data", Outcome: Same},
		{Kind: Op, Step: "data", Op: "extract", Target: "/srv/a/pkgs", Pos: "install.star:10:5", Changes: []host.Change{{What: "files", From: "0", To: "4123"}}},
		{Kind: Effect, Step: "data", Call: "tree", Path: "/srv/a/pkgs", Detail: map[string]any{"files": 4123, "bytes": int64(1) << 40, "digest": "aa11"}},
		{Kind: Result, Step: "data", Op: "extract", Target: "/srv/a/pkgs", Outcome: Changed, Elapsed: 83 * time.Second, Assumed: []string{"the archive is whole"}},
		{Kind: Op, Step: "data", Op: "run", Target: "conda install x", Pos: "install.star:12:5", Changes: []host.Change{{What: "command", To: "conda install x"}}},
		{Kind: Effect, Step: "data", Call: "exec", Argv: []string{"conda", "install", "x y"}, User: "anaconda", Stdin: "<secret:pager>",
			Detail: map[string]any{"cwd": "/srv/a", "env": map[string]string{"TOKEN": "<secret:pager>"}}},
		{Kind: Result, Step: "data", Op: "run", Target: "conda install x", Outcome: Failed, Elapsed: 3400 * time.Millisecond,
			Error: "exit status 1: PackagesNotFoundError", Hint: "look at the channels:\nconda config --show channels"},
		{Kind: End, Outcome: Failed, Counts: Counts{Same: 1, Changed: 3, Failed: 1, Skipped: 1}, Error: "install.star:12:5: step data: run conda install x: exit status 1: PackagesNotFoundError"},
	}
	for i := range events {
		events[i].Time = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(i) * 5 * time.Second)
	}
	return events
}

// written returns events as a trace file.
func written(t *testing.T, events []Event) []byte {
	t.Helper()
	var b bytes.Buffer
	emit(t, &jsonl{w: &b}, events)
	return b.Bytes()
}

func emit(t *testing.T, s Sink, events []Event) {
	t.Helper()
	for _, e := range events {
		if err := s.Emit(e); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, file []byte) []Event {
	t.Helper()
	events, err := ReadAll(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// golden compares with a file in testdata, or writes it with -update.
func golden(t *testing.T, name string, have []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, have, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s differs; run with -update if that is right. Have:\n%s", name, have)
	}
}
