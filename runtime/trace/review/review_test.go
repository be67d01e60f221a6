package review

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"runbook/runtime/trace"
)

func TestFormats(t *testing.T) {
	plan := written(t, sample(trace.DryRun))
	golden(t, "plan.jsonl", plan)
	golden(t, "run.jsonl", written(t, sample(trace.RealRun)))
	if v, err := trace.Verify(bytes.NewReader(plan)); err != nil || !v.OK() {
		t.Fatal(v.String(), err)
	}
	for _, format := range Formats() {
		have := reported(t, plan, format)
		if !bytes.Equal(have, reported(t, plan, format)) {
			t.Errorf("%s: two reports of one trace differ", format)
		}
		golden(t, "plan."+format, have)
	}
	r, err := Read(bytes.NewReader(plan))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Write(&bytes.Buffer{}, "pdf"); err == nil || !strings.Contains(err.Error(), "want one of html, md") {
		t.Errorf("got %v", err)
	}
}

// What a board must see stands in this order, in each format for people.
func TestOrder(t *testing.T) {
	for _, format := range []string{"html", "md"} {
		text := string(reported(t, written(t, sample(trace.DryRun)), format))
		at := 0
		for _, want := range []string{"CHG-4711", "Accounts and groups", "What accounts may do as root", "Setuid, setgid", "Listening ports", "Firewall", "Scheduled commands",
			"Services at boot", "Files that others can write", "Downloads and their digests", "Packages, whose scripts", "Secrets that every account",
			"its scripts make the account nginx", "what it does to /etc/nginx", "9 requirements met|**require**: 9 met", "Nobody logs in as it",
			"    location /private/ { deny all; }", "Send mail", "ask for ann"} {
			first := -1
			for w := range strings.SplitSeq(want, "|") {
				if i := strings.Index(text[at:], w); i >= 0 {
					first = at + i
				}
			}
			if first < 0 {
				t.Fatalf("%s: %q does not stand behind what goes before it", format, want)
			}
			at = first
		}
	}
}

func TestFindings(t *testing.T) {
	r, err := Read(bytes.NewReader(written(t, sample(trace.DryRun))))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range Classes() {
		if len(r.Findings[i]) == 0 && i != privilege {
			t.Errorf("%s: nothing was found", c.ID)
		}
	}
	if r.Met != 9 || r.Ops[trace.Bounded]+r.Ops[trace.Guessed] != 1 || r.Commands["pages"] != 1 {
		t.Errorf("got %d requirements, %v, %v", r.Met, r.Ops, r.Commands)
	}
}

// Each of these is one effect that matters, and the class that it is told in.
func TestEachKindOfFinding(t *testing.T) {
	exec := func(argv ...string) trace.Event { return trace.Event{Call: "exec", Argv: argv, User: "root"} }
	file := func(call, path, mode, owner, group string) trace.Event {
		return trace.Event{Call: call, Path: path, User: "root", Detail: map[string]any{"mode": mode, "owner": owner, "group": group}}
	}
	for _, c := range []struct {
		e    trace.Event
		want int // -1 if it does not matter
	}{
		{exec("usermod", "-aG", "wheel", "x"), accounts}, {exec("/usr/sbin/groupadd", "x"), accounts}, {exec("sh", "-c", "echo x; userdel y"), accounts},
		{exec("passwd", "-l", "x"), accounts}, {file("write", "/etc/passwd", "0644", "root", ""), accounts}, {exec("sed", "-i", "s/a/b/", "/etc/shadow"), accounts},
		{file("write", "/etc/sudoers", "0440", "root", ""), sudoers}, {exec("tee", "/etc/sudoers.d/x"), sudoers}, {exec("bash", "-c", "echo x >/etc/sudoers.d/y"), sudoers},
		{file("write", "/usr/local/bin/x", "4755", "root", ""), setuid}, {file("meta", "/x", "2755", "root", ""), setuid}, {exec("chmod", "u+s", "/x"), setuid},
		{exec("chmod", "6755", "/x"), setuid}, {exec("setcap", "cap_net_bind_service=ep", "/x"), setuid}, {exec("sh", "-c", "chmod 4711 /x"), setuid},
		{trace.Event{Call: "exec", Argv: []string{"x"}, Sets: map[string]string{"port:80": "x"}}, ports},
		{exec("nft", "-f", "x"), firewall}, {exec("firewall-cmd", "--add-port=1/tcp"), firewall}, {file("write", "/etc/sysconfig/iptables", "0600", "root", ""), firewall},
		{exec("crontab", "x"), scheduled}, {file("write", "/etc/cron.d/x", "0644", "root", ""), scheduled}, {file("move", "/var/spool/cron/x", "", "", ""), scheduled},
		{exec("systemctl", "enable", "x"), boot}, {exec("chkconfig", "x", "on"), boot}, {file("write", "/etc/systemd/system/x.service", "0644", "root", ""), boot},
		{trace.Event{Call: "exec", Argv: []string{"x"}, Sets: map[string]string{"enabled:x": "enabled"}}, boot},
		{file("write", "/etc/x", "0666", "root", ""), writable}, {file("mkdir", "/x", "0777", "root", ""), writable}, {file("mkdir", "/x", "0775", "root", "staff"), writable},
		{file("mkdir", "/x", "1777", "root", ""), writable}, {file("write", "/home/x/y", "0666", "x", ""), writable}, {exec("chmod", "o+w", "/x"), writable},
		{exec("chmod", "-R", "777", "/x"), writable},
		{exec("curl", "-O", "https://x/y"), downloads}, {exec("git", "clone", "https://x/y"), downloads}, {exec("bash", "-c", "wget http://x/y | sh"), downloads},
		{exec("rpm", "-i", "x"), packages}, {exec("apt-get", "install", "x"), packages},
		{trace.Event{Call: "exec", Argv: []string{"x"}, Detail: map[string]any{"signatures": "not checked"}}, packages},
		{exec("setenforce", "0"), privilege}, {file("write", "/etc/pam.d/su", "0644", "root", ""), privilege}, {file("write", "/root/.ssh/authorized_keys", "0600", "root", ""), privilege},
		{file("write", "/home/x/.ssh/authorized_keys", "0600", "x", ""), privilege}, {exec("cp", "x", "/etc/ld.so.preload"), privilege}, {exec("sysctl", "-w", "a=b"), privilege},
		{trace.Event{Call: "symlink", Path: "/x", Detail: map[string]any{"target": "/etc/shadow"}}, accounts},
		{trace.Event{Call: "exec", Argv: []string{"x"}, Detail: map[string]any{"confined": "not enforced: so"}}, unconfined},
		{trace.Event{Call: "exec", Argv: []string{"x", "<secret:a>"}, Detail: map[string]any{"argv_exposed": []any{"a"}}}, exposed},
		{file("write", "/etc/motd", "0644", "root", ""), -1}, {file("mkdir", "/srv/x", "0755", "root", ""), -1}, {file("mkdir", "/srv/x", "0770", "x", "x"), -1},
		{exec("echo", "useradd"), -1}, {exec("conda", "install", "numpy"), -1}, {file("write", "/srv/etc/passwd", "0644", "x", ""), -1}, {exec("chmod", "0755", "/x"), -1},
	} {
		found := newClassifier().findings(trace.Act{Event: trace.Event{Op: "run"}, Effects: []trace.Event{c.e}})
		var have []string
		is := c.want < 0 && len(found) == 0
		for _, f := range found {
			have = append(have, Classes()[f.class].ID+": "+f.text)
			is = is || f.class == c.want
		}
		if !is {
			t.Errorf("%s %v %s %v: got %q", c.e.Call, c.e.Argv, c.e.Path, c.e.Detail, have)
		}
	}
}

// A trace that was cut off or changed is reported, with that said first.
func TestTrouble(t *testing.T) {
	file := written(t, sample(trace.RealRun))
	lines := bytes.SplitAfter(file, []byte("\n"))
	changed := bytes.Replace(file, []byte("8443"), []byte("8444"), 1)
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"cut off", bytes.Join(lines[:40], nil), "incomplete: the trace stops after event 40"},
		{"torn", file[:len(file)-200], "incomplete: the trace stops after event"},
		{"changed", changed, "broken: the trace is not as it was written"},
		{"no event", append(bytes.Join(lines[:30], nil), "no event\n"...), "broken: "},
		{"empty", nil, "incomplete"},
	} {
		for _, format := range []string{"html", "md"} {
			text := string(reported(t, c.file, format))
			if !strings.Contains(text, c.want) {
				t.Errorf("%s as %s: %q is not told", c.name, format, c.want)
			}
		}
	}
}

// No list is cut without a word: what is not in it is counted.
func TestLongListsAreCounted(t *testing.T) {
	b := builder{}
	b.add(sample(trace.DryRun)[0])
	b.step("many", "", "")
	for i := range mostNotes + 7 {
		path := fmt.Sprintf("/etc/cron.d/%d", i)
		b.op("write", path, nil, []trace.Event{{Call: "write", Path: path, User: "root"}}, trace.Changed)
	}
	b.done()
	b.add(trace.Event{Kind: trace.End, Outcome: trace.Done})
	for _, format := range []string{"html", "md"} {
		text := string(reported(t, written(t, b.events), format))
		if !strings.Contains(text, "7 more are not in this list") || strings.Count(text, "/etc/cron.d/5006") == 0 {
			t.Errorf("%s: nothing says that 7 are left out, or where they are", format)
		}
	}
}
