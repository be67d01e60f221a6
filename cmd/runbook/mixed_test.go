package main

import (
	"strings"
	"testing"
)

// mixed has a bit of everything, and each line rests on those before it.
const mixed = `
pw = secret("pw")

def work():
    group("operators", gid = 700)
    useradd("deploy", home = "/home/deploy", groups = ["adm", "operators"])
    mkdir("/srv/app", mode = 0o750, owner = "deploy", group = "deploy")
    archive("/srv/app.tar.gz", texts = {"app/etc/app.conf": "x=1\n", "app/bin/run": "#!/bin/sh\n"})
    extract("/srv/app.tar.gz", "/srv/app", strip_components = 1, owner = "deploy", group = "deploy")
    write("/srv/app/secret.conf", read("/srv/app/etc/app.conf") + "password=" + pw + "\n", mode = 0o600)
    write("/etc/app.yaml", yaml.encode({"password": pw, "url": "https://u/" + pw}), mode = 0o600)
    yum("/installer/mongodb-org*.rpm")
    service("mongod", ports = [27017])
    wait_for(port = 27017)
    cron("deploy", "@daily", "/srv/app/bin/run --all 100%")
    run(["sh", "-c", "cat >/srv/app/stdin; echo $PW"], stdin = pw, env = {"PW": pw}, creates = "/srv/app/stdin", user = "deploy")
    iptables("INPUT", protocol = "tcp", dport = 9000, jump = "ACCEPT", comment = "app")
    iptables.save()
    for f in glob("/srv/app/*.conf"):
        chown(f, owner = "deploy")
    symlink("/srv/current", "app")
    line("/etc/hosts", "10.0.0.1 app", match = " app$")
    if exists("/srv/current/bin/run"):
        copy("/srv/current/bin/run", "/usr/local/bin/start", mode = 0o755)

step(work)
`

// A dry run of a mixed script equals the run, a second run changes nothing, and
// a secret with every kind of quote reaches what needs it and nothing else.
func TestMixed(t *testing.T) {
	t.Parallel()
	const pw = `p"w: %x'\s`
	s := newSite(t, expandedMedia(t))
	s.WriteFile("/root/mixed.star", []byte(mixed), 0o644)
	s.WriteFile("/root/password", []byte(pw+"\n"), 0o600)
	args := []string{"run", "/root/mixed.star", "--secret", "pw=file:/root/password"}

	before := s.Snapshot("/root")
	out := s.run(0, append(args, "--dry-run", "--trace", "/root/dry.jsonl")...)
	if d := before.Diff(s.Snapshot("/root")); len(d) > 0 {
		t.Fatalf("the dry run changed:\n%s", strings.Join(d, "\n"))
	}
	out += s.run(0, append(args, "--trace", "/root/real.jsonl")...)
	if got := s.run(0, "audit", "diff", "/root/dry.jsonl", "/root/real.jsonl"); !strings.HasPrefix(got, "equal") {
		t.Error(got)
	}
	again := s.run(0, append(args, "--trace", "/root/again.jsonl")...)
	if strings.Contains(again, " changed") {
		t.Errorf("the second run changed something:\n%s", again)
	}
	for name, want := range map[string]string{
		"/srv/app/secret.conf": "x=1\npassword=" + pw + "\n",
		"/etc/app.yaml":        `password: "p\"w: %x'\\s"` + "\n" + `url: "https://u/p\"w: %x'\\s"` + "\n",
		"/srv/app/stdin":       pw,
	} {
		if got := s.read(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"real.jsonl", "real.jsonl.out", "again.jsonl", "dry.jsonl"} {
		out += s.read("/root/" + name)
	}
	for _, hidden := range []string{pw, `p\"w`, "%x'"} {
		if strings.Contains(out+again, hidden) {
			t.Errorf("%s was shown", hidden)
		}
	}
	s.run(0, "audit", "show", "/root/real.jsonl", "--format", "sh")
}
