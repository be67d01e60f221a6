package main

import (
	"bytes"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
	"runbook/cmd/runbook/internal/signing"
)

// testKey is a key that ssh-keygen has made.
func testKey(t *testing.T) signing.Key {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key")
	if said, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name).CombinedOutput(); err != nil {
		lab.Skip(t, "ssh-keygen: "+err.Error()+string(said))
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	key, err := signing.PrivateKey(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var approvedThen = statement{
	V: 1, Plan: "00ff", Runbook: "a\u202e.star", Host: "web1", Approved: "2026-12-04T16:00:00Z",
	Until: "2026-12-11T16:00:00Z", Ticket: "CHG-1 <b>\"quoted\"</b>",
}

// An approval with another byte anywhere, one byte less or one more is none, or still says and signs the same.
func TestApprovalBytes(t *testing.T) {
	key := testKey(t)
	dir := filepath.Join(t.TempDir(), "approvals")
	name, err := approvedThen.sign(key, dir)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := readApproval(name); err != nil || a.statement != approvedThen || !a.key.Is(key.Public()) {
		t.Fatalf("got %v of\n%s", err, whole)
	}
	if bytes.Contains(whole, []byte("\u202e")) {
		t.Error("a character that does not show stands in the file")
	}
	block := armored(whole)
	try := func(what string, at int, text []byte) {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readApproval(name)
		if err == nil && !bytes.Equal(armored(text), block) {
			t.Errorf("accepted with byte %d %s:\n%s", at, what, text)
		}
	}
	for i := range whole {
		for _, with := range []byte{whole[i] ^ 1, ' ', '\n'} {
			if with != whole[i] {
				changed := bytes.Clone(whole)
				changed[i] = with
				try("changed", i, changed)
			}
		}
		try("left out", i, append(bytes.Clone(whole[:i]), whole[i+1:]...))
		try("and all after it left out", i, whole[:i])
		try("twice", i, append(bytes.Clone(whole[:i+1]), whole[i:]...))
	}
}

// armored returns what a signature holds, whatever white space is around it; nil if there is none.
func armored(text []byte) []byte {
	at := max(0, bytes.Index(text, []byte(signing.Armor)))
	if b, _ := pem.Decode(bytes.TrimSpace(text[at:])); b != nil {
		return b.Bytes
	}
	return nil
}

// A file of approvals that is there is never written over, and what lies in its way is not followed.
func TestApprovalIsNew(t *testing.T) {
	key := testKey(t)
	dir := filepath.Join(t.TempDir(), "approvals")
	target := filepath.Join(t.TempDir(), "target")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, filepath.Join(dir, key.Public().ID()+approvalSuffix)); err != nil {
		t.Fatal(err)
	}
	var names []string
	for range 3 {
		name, err := approvedThen.sign(key, dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readApproval(name); err != nil {
			t.Error(err)
		}
		names = append(names, filepath.Base(name))
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("the link was followed")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 || names[0] == names[1] || names[1] == names[2] {
		t.Errorf("got files %v, and %d in the directory (%v)", names, len(entries), err)
	}
}

func TestUntil(t *testing.T) {
	t.Setenv("TZ", "UTC")
	now := time.Date(2026, 12, 4, 16, 0, 0, 0, time.UTC)
	local := time.Local
	time.Local = time.UTC
	defer func() { time.Local = local }()
	for text, want := range map[string]string{
		"": "2026-12-11T16:00:00Z", "7d": "2026-12-11T16:00:00Z", "36h": "2026-12-06T04:00:00Z", "90m": "2026-12-04T17:30:00Z",
		"2026-12-24": "2026-12-25T00:00:00Z", "2026-12-04": "2026-12-05T00:00:00Z", "2026-12-24 18:00": "2026-12-24T18:00:00Z",
		"2026-12-24T18:00:05": "2026-12-24T18:00:05Z", "2026-12-24T18:00:00+01:00": "2026-12-24T17:00:00Z",
		"2026-12-24T18:00:00Z": "2026-12-24T18:00:00Z",

		"2026-12-03": "", "2026-12-04T16:00:00Z": "", "0d": "", "-1h": "", "tomorrow": "", "7": "", "2026-13-01": "", "7d7d": "",
		"99999d": "", "24.12.2026": "", "1h 2": "",
	} {
		have, err := untilWhen(text, now)
		if want == "" != (err != nil) || err == nil && have.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q: got %s, %v, want %q", text, have, err, want)
		}
	}
}

// FuzzStatement reads what somebody has signed: it is what this program writes, to the byte, or refused.
func FuzzStatement(f *testing.F) {
	f.Add(approvedThen.text())
	f.Add(bytes.ToUpper(approvedThen.text()))
	f.Add([]byte(`{"approval":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := parseStatement(text); err == nil && !bytes.Equal(s.text(), text) {
			t.Errorf("accepted %q, which is written %q", text, s.text())
		}
	})
}
