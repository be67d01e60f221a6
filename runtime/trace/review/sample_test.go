package review

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

var update = flag.Bool("update", false, "write the golden files anew")

const siteConf = "server {\n    listen 8443 ssl;\n    server_name repo.example.org;\n    root /srv/pages;\n    location /private/ { deny all; }\n}\n"

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// sample is a run in which each thing happens that a report tells of.
func sample(mode string) []trace.Event {
	b := builder{}
	b.add(trace.Event{Kind: trace.Run, Run: &trace.RunInfo{Mode: mode, Runbook: "web.star", Ticket: "CHG-4711",
		Sources: []trace.Source{{Name: "web.star", SHA256: digest("web"), Origin: "local"}, {Name: "lib/tls.star", SHA256: digest("tls"), Origin: "shipped"}},
		Vars:    []trace.Var{{Name: "port", Value: 8443, From: "--var"}, {Name: "hosts", Value: []any{"a", "b"}, From: "default"}, {Name: "token", Value: "<secret:token>", From: "secret"}},
		Binary:  trace.Binary{Version: "v1.4.0", SHA256: digest("binary")},
		Host:    trace.Machine{Hostname: "web01.example.org", OS: "Rocky Linux 9.4", Kernel: "5.14.0-427.el9", Machine: "x86_64", Boot: "b-1"},
		User:    trace.Person{Name: "root", SudoUser: "ann"}, Previous: digest("before")}})
	b.step("preflight", "Check this host", "Look whether the host can take it.\n\nNothing is changed here.", "CM-3", "CM-4(2)")
	for i := range 9 {
		b.op("require", fmt.Sprintf("%d GB of memory, want 4", i), nil, nil, trace.Same)
	}
	b.add(trace.Event{Kind: trace.Probe, Step: b.in, Argv: []string{"rpm", "-q", "nginx"}, Code: 1, Asker: "query"})
	b.done()
	b.step("account", "The account that serves", "Nobody logs in as it.", "AC-2")
	b.op("useradd", "pages", []host.Change{{What: "user", To: "pages"}, {What: "home", To: "/srv/pages"}, {What: "shell", To: "/sbin/nologin"}},
		[]trace.Event{{Call: "exec", Argv: []string{"useradd", "-d", "/srv/pages", "-s", "/sbin/nologin", "pages"}, User: "root",
			Sets: map[string]string{"user:pages": "1001", "group:pages": "1001", "home:pages": "/srv/pages"}}}, trace.Changed)
	rule := "pages ALL=(root) NOPASSWD: /usr/bin/systemctl reload nginx\n"
	b.op("write", "/etc/sudoers.d/pages", []host.Change{{What: "content", To: rule}, {What: "mode", To: "0440"}},
		[]trace.Event{{Call: "write", Path: "/etc/sudoers.d/pages", User: "root", Detail: map[string]any{"mode": "0440", "owner": "root", "sha256": digest(rule)}}}, trace.Changed)
	b.op("mkdir", "/srv/pages/upload", []host.Change{{What: "directory", To: "made"}, {What: "mode", To: "0777"}},
		[]trace.Event{{Call: "mkdir", Path: "/srv/pages/upload", User: "root", Detail: map[string]any{"mode": "0777", "owner": "root"}}}, trace.Changed)
	b.op("mkdir", "/srv/pages", nil, nil, trace.Same)
	b.op("group", "www", nil, nil, trace.Same)
	b.done()
	b.step("nginx", "Install and configure nginx", "The package comes from the site's mirror.\n\n    nginx -t\n\nmust say that the test is successful.")
	b.op("download", "https://mirror.example.org/nginx-1.20.1.rpm", []host.Change{{What: "mode", To: "0644"}},
		[]trace.Event{{Call: "tree", Path: "/var/cache/web", User: "root", Detail: map[string]any{"file": "nginx-1.20.1.rpm", "files": 1}}}, trace.Changed,
		map[string]any{"url": "https://mirror.example.org/nginx-1.20.1.rpm", "dest": "/var/cache/web/nginx-1.20.1.rpm"})
	b.op("yum", "nginx-1.20.1", []host.Change{{What: "nginx", To: "1.20.1"}},
		[]trace.Event{{Call: "exec", Argv: []string{"yum", "install", "-y", "/var/cache/web/nginx-1.20.1.rpm"}, User: "root", Sets: map[string]string{"rpm:nginx": "1.20.1"},
			Inputs: []trace.Input{{Path: "/media/gpg.key", SHA256: digest("key")}}, Detail: map[string]any{"touches": []string{"/etc/nginx"}}}}, trace.Changed)
	b.events[len(b.events)-1].Assumed = []string{"nginx-1.20.1.rpm is nginx 1.20.1", "its scripts make the account nginx"}
	old := strings.Replace(strings.Replace(siteConf, "8443 ssl", "8080", 1), "    location /private/ { deny all; }\n", "", 1)
	b.op("write", "/etc/nginx/conf.d/site.conf", []host.Change{{What: "content", From: old, To: siteConf}, {What: "mode", From: "0600", To: "0644"}},
		[]trace.Event{{Call: "write", Path: "/etc/nginx/conf.d/site.conf", User: "root", Detail: map[string]any{"mode": "0644", "owner": "root", "sha256": digest(siteConf)}}}, trace.Changed)
	b.op("service", "nginx", []host.Change{{What: "state", From: "stopped", To: "started"}, {What: "at boot", From: "disabled", To: "enabled"}},
		[]trace.Event{{Call: "exec", Argv: []string{"systemctl", "enable", "nginx"}, User: "root", Sets: map[string]string{"enabled:nginx": "enabled"}},
			{Call: "exec", Argv: []string{"systemctl", "start", "nginx"}, User: "root", Sets: map[string]string{"service:nginx": "started", "port:8443": "nginx"}}}, trace.Changed)
	b.op("iptables", "INPUT -p tcp --dport 8443 -j ACCEPT", []host.Change{{What: "rule", To: "first in filter/INPUT"}},
		[]trace.Event{{Call: "exec", Argv: []string{"iptables", "-I", "INPUT", "-p", "tcp", "--dport", "8443", "-j", "ACCEPT"}, User: "root",
			Sets: map[string]string{"iptables-rule:filter/INPUT -p tcp --dport 8443 -j ACCEPT": "present"}}}, trace.Changed)
	b.op("cron", "pages", []host.Change{{What: "line", To: "0 3 * * * /usr/bin/find /srv/pages/upload -mtime +7 -delete"}},
		[]trace.Event{{Call: "exec", Argv: []string{"crontab", "-u", "pages", "-"}, User: "root", Stdin: digest("cron"), Sets: map[string]string{"cron:pages 0 3 * * *": "present"}}}, trace.Changed)
	b.op("run", "chmod 4755 /usr/local/bin/purge", []host.Change{{What: "command", To: "chmod 4755 /usr/local/bin/purge"}},
		[]trace.Event{{Call: "exec", Argv: []string{"chmod", "4755", "/usr/local/bin/purge"}, User: "root"}}, trace.Changed)
	b.op("run", "register --token <secret:token>", []host.Change{{What: "command", To: "register --token <secret:token>"}},
		[]trace.Event{{Call: "exec", Argv: []string{"/opt/agent/register", "--token", "<secret:token>"}, User: "pages",
			Detail: map[string]any{"confined": "not enforced: it is a test", "argv_exposed": []string{"token"}, "cwd": "/srv/pages"}}}, trace.Changed)
	b.done()
	b.add(trace.Event{Kind: trace.Step, Step: "mail", Title: "Send mail", State: trace.LeftOut, Why: "its condition does not hold"})
	b.step("tell", "Tell the users", "")
	b.add(trace.Event{Kind: trace.Log, Step: b.in, Text: "the window is from 02:00 to 04:00\nask for ann"})
	b.op("manual", "tell the users", nil, nil, trace.Same)
	if mode == trace.DryRun {
		b.done()
		b.add(trace.Event{Kind: trace.End, Outcome: trace.Done})
		return b.events
	}
	b.op("run", "curl -fsS https://repo.example.org:8443/", nil, []trace.Event{{Call: "exec", Argv: []string{"curl", "-fsS", "https://repo.example.org:8443/"}, User: "root"}}, trace.Failed)
	last := &b.events[len(b.events)-1]
	last.Error, last.Hint = "exit status 7: curl: (7) connection refused\nafter 3 tries", "journalctl -u nginx says why"
	b.add(trace.Event{Kind: trace.End, Outcome: trace.Failed, Error: "web.star:40:5: step tell: run curl: exit status 7"})
	return b.events
}

type builder struct {
	events []trace.Event
	in     string
	line   int
}

func (b *builder) add(e trace.Event) {
	e.Time = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(len(b.events)) * 700 * time.Millisecond)
	b.events = append(b.events, e)
}

func (b *builder) step(name, title, text string, controls ...string) {
	b.in = name
	b.add(trace.Event{Kind: trace.Step, Step: name, Title: title, Text: text, State: trace.Begin, Controls: controls})
}

func (b *builder) done() { b.add(trace.Event{Kind: trace.Step, Step: b.in, State: trace.Ended}) }

func (b *builder) op(op, target string, changes []host.Change, effects []trace.Event, o trace.Outcome, args ...map[string]any) {
	b.line++
	e := trace.Event{Kind: trace.Op, Step: b.in, Op: op, Target: target, Pos: fmt.Sprintf("web.star:%d:5", b.line), User: "root", Changes: changes}
	if len(args) > 0 {
		e.Args = args[0]
	}
	b.add(e)
	for _, f := range effects {
		f.Kind, f.Step = trace.Effect, b.in
		b.add(f)
	}
	b.add(trace.Event{Kind: trace.Result, Step: b.in, Op: op, Target: target, Outcome: o, Elapsed: 1300 * time.Millisecond})
}

type buffer struct{ bytes.Buffer }

func (*buffer) Sync() error { return nil }

// written returns events as a trace file.
func written(t testing.TB, events []trace.Event) []byte {
	t.Helper()
	var b buffer
	f := trace.NewFile(&b)
	for _, e := range events {
		if err := f.Emit(e); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// reported returns the report of a trace in a format.
func reported(t testing.TB, file []byte, format string) []byte {
	t.Helper()
	r, err := Read(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.Write(&b, format); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
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
		i := 0
		for i < min(len(have), len(want)) && have[i] == want[i] {
			i++
		}
		t.Errorf("%s differs from byte %d on; run with -update if that is right. Have:\n%.400s", name, i, have[i:])
	}
}
