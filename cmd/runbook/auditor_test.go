package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"runbook/cmd/runbook/internal/lab"
)

// What an auditor does with an installation: a plan on Friday, two approvals; on Monday the runbook has another character
// and nothing is done; then what was approved is done, once, and who signed what can be shown.
func TestAuditor(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		lab.Skip(t, "no ssh-keygen")
	}
	s := newSite(t, expandedMedia(t))
	signers := ""
	for _, name := range []string{"author", "alice", "bob"} {
		key := filepath.Join(t.TempDir(), name)
		if said, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		for _, file := range []string{key, key + ".pub"} {
			text, err := os.ReadFile(file)
			if err == nil {
				err = s.WriteFile("/root/"+filepath.Base(file), text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(file, ".pub") {
				signers += name + "@example.org " + string(text)
			}
		}
	}
	if err := s.WriteFile("/root/signers", []byte(signers), 0o644); err != nil {
		t.Fatal(err)
	}
	s.run(0, "init", "/root/site")
	s.book = "/root/site/install.star"
	s.install(0, "--var", "interface=lo", "--dry-run", "--trace", "/root/plan.jsonl")
	s.run(0, "audit", "sign", "/root/plan.jsonl", "--key", "/root/author")
	follow := []string{"--var", "interface=lo", "--follow", "/root/plan.jsonl", "--approvals", "2", "--signers", "/root/signers"}
	before := s.Snapshot("/root", "/var/lib/runbook")
	s.run(0, "audit", "approve", "/root/plan.jsonl", "--key", "/root/alice", "--ticket", "CHG-4711")
	s.says(s.install(4, follow...), "has 1 of the 2 approvals that are wanted; nothing was changed", "counts: alice@example.org")
	s.run(0, "audit", "approve", "/root/plan.jsonl", "--key", "/root/bob", "--ticket", "CHG-4711")
	s.Must("cp /root/site/install.star /root/kept; sed -i '0,/e/s/e/E/' /root/site/install.star")
	s.says(s.install(5, follow...), "differs from the approved trace", "field sources.install.star", "nothing was changed")
	if d := before.Diff(s.Snapshot("/root", "/var/lib/runbook")); len(d) > 0 {
		t.Fatalf("what was refused changed:\n%s", strings.Join(d, "\n"))
	}
	s.Must("cp /root/kept /root/site/install.star")
	s.says(s.install(0, append(follow, "--trace", "/root/run.jsonl")...), "ticket CHG-4711",
		"approved by alice@example.org", "approved by bob@example.org", "\nrunbook: head: ")
	s.says(s.run(0, "audit", "diff", "/root/plan.jsonl", "/root/run.jsonl"), "equal")
	s.run(0, "audit", "sign", "/root/run.jsonl", "--key", "/root/author")
	s.says(s.run(0, "audit", "verify", "/root/run.jsonl", "--signers", "/root/signers"), "author@example.org has signed this head")
	s.says(s.run(0, "audit", "verify", "/root/plan.jsonl", "--signers", "/root/signers"), "author@example.org has signed this head",
		"alice@example.org has approved this head", "bob@example.org has approved this head")
	s.says(s.install(5, follow...), "a run that followed it ended done", "nothing was changed")
}

// says wants texts in what the program said.
func (s site) says(have string, want ...string) {
	s.t.Helper()
	for _, w := range want {
		if !strings.Contains(have, w) {
			s.t.Errorf("got no %q in\n%s", w, have)
		}
	}
}
