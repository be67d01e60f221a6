package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// Each policy that is shipped denies, or wants approval of, what it is about, and lets its neighbours pass.
func TestShippedPolicies(t *testing.T) {
	op := func(name, target string, args map[string]any) trace.Event {
		return trace.Event{Kind: trace.Op, Op: name, Target: target, Args: args}
	}
	effect := func(call, path string, argv ...string) trace.Event {
		return trace.Event{Kind: trace.Effect, Call: call, Path: path, Argv: argv}
	}
	exposed := effect("exec", "", "create-user", "--password", "<secret:pw>")
	exposed.Detail = map[string]any{"argv_exposed": []string{"pw"}}
	touching := effect("exec", "", "/opt/install.sh")
	touching.Detail = map[string]any{"touches": []string{"/usr/lib/x"}}
	wall := op("iptables", "INPUT", nil)
	wall.Changes = append(wall.Changes, host.Change{What: "rule", To: "present"})
	type judged struct {
		event  trace.Event
		reason string // "" if it passes
	}
	cases := map[string][]judged{
		"paths.star": {
			{effect("write", "/etc/motd"), ""}, {effect("mkdir", "/opt"), ""}, {effect("exec", "", "true"), ""},
			{effect("write", "/bin/sh"), "/bin/sh lies in none of"}, {effect("write", "/etcetera"), "lies in none"},
			{effect("remove", "/etc/ssh/sshd_config"), "not to be changed"}, {touching, "/usr/lib/x lies in none"},
		},
		"airgap.star": {
			{op("download", "/opt/x", map[string]any{"url": "https://example.org/x"}), "download url=https://example.org/x is on a network"},
			{op("mirror", "acc", map[string]any{"channels": []any{"file:///media", "https://conda.example.org/main"}}), "is on a network"},
			{op("mirror", "acc", map[string]any{"dest": "s3://bucket/x"}), "s3://bucket/x"},
			{op("mirror", "acc", map[string]any{"channels": []any{"file:///media"}}), ""},
			{op("wait_for", "", map[string]any{"url": "http://127.0.0.1:8080/healthz"}), ""},
			{op("wait_for", "", map[string]any{"url": "http://127.0.0.1.example.org/"}), "is on a network"},
			{effect("exec", "", "/usr/bin/curl", "x"), "fetches"}, {effect("exec", "", "curling"), ""},
		},
		"setuid.star": {
			{effect("exec", "", "chmod", "4755", "/bin/x"), "chmod sets mode 4755"}, {effect("exec", "", "/bin/chmod", "u+s", "/bin/x"), "u+s"},
			{effect("exec", "", "install", "-m2755", "a", "b"), "m2755"}, {effect("exec", "", "chmod", "ug=rxs", "x"), "ug=rxs"},
			{effect("exec", "", "setcap", "cap_net_raw+ep", "/bin/x"), "capabilities"},
			{effect("exec", "", "chmod", "1777", "/tmp/x"), ""}, {effect("exec", "", "chmod", "u+x", "/bin/vscode+s"), ""},
			{effect("exec", "", "chmod", "0755", "/bin/x"), ""}, {effect("write", "/bin/x"), ""},
		},
		"firewall.star": {
			{wall, "changes the firewall: INPUT"}, {op("iptables", "INPUT", nil), ""}, {op("write", "/etc/iptables", nil), ""},
			{effect("exec", "", "/usr/sbin/iptables", "-A", "INPUT"), "runs /usr/sbin/iptables"}, {effect("exec", "", "iptables-save"), ""},
		},
		"argv.star": {{exposed, "the secret pw would be an argument of create-user"}, {effect("exec", "", "create-user"), ""}},
	}
	files, err := filepath.Glob("../../runbooks/policies/*.star")
	if err != nil || len(files) != len(cases) {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		own := filepath.Join(t.TempDir(), filepath.Base(file)) // only its reader's own is taken
		lay(t, own, string(text))
		policy, err := newProgram().policyAt(own)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases[filepath.Base(file)] {
			v := policy.Judge(c.event)
			want := runtime.Verdict{}
			if c.reason != "" {
				want.Approval = filepath.Base(file) == "firewall.star"
				want.Denied = !want.Approval
			}
			if v.Denied != want.Denied || v.Approval != want.Approval || !strings.Contains(v.Reason, c.reason) {
				t.Errorf("%s: %s %q: got %+v, want %+v with %q", file, c.event.Op, c.event.Argv, v, want, c.reason)
			}
		}
	}
}

// The policy of the README does what its text says.
func TestReadmePolicy(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(readme), "```python site-policy.star\n")
	text, _, _ = strings.Cut(text, "```")
	file := filepath.Join(t.TempDir(), "site-policy.star")
	lay(t, file, text)
	policy, err := newProgram().policyAt(file)
	if err != nil || !found {
		t.Fatal(found, err)
	}
	for path, want := range map[string]runtime.Verdict{
		"/etc/ssh/sshd_config": {Denied: true, Reason: "/etc/ssh/sshd_config belongs to the security team"},
		"/etc/sudoers.d/x":     {Approval: true, Reason: "gives rights: /etc/sudoers.d/x"}, "/etc/motd": {},
	} {
		if have := policy.Judge(trace.Event{Kind: trace.Effect, Call: "write", Path: path}); have != want {
			t.Errorf("%s: got %+v, want %+v", path, have, want)
		}
	}
}
