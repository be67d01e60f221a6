package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
	"runbook/cmd/runbook/internal/media"
	"runbook/runtime/host/sample"
)

// made uses each kind of effect that files have, and what else a bare host can do.
const made = `
STEADY = """#!/bin/sh
### BEGIN INIT INFO
# Provides: steady
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
pid=$(cat /run/steady.pid 2>/dev/null)
case "$1" in
start) setsid sleep 100000 </dev/null >/dev/null 2>&1 & echo $! >/run/steady.pid ;;
stop) kill "$pid"; rm -f /run/steady.pid ;;
status) [ -n "$pid" ] && [ -d "/proc/$pid" ] || exit 3 ;;
esac
"""

def made():
    write("/etc/init.d/steady", STEADY, mode = 0o755)
    service("steady", enabled = True)
    group("crew", gid = 4711)
    group("guests")
    useradd("app", uid = 4710, home = "/srv/app", shell = "/bin/sh", group = "crew", groups = ["guests"], comment = "The app")
    for i in range(3):
        mkdir("/srv/dir%d" % i, mode = 0o750, owner = "app", group = "crew")
        write("/srv/dir%d/owned" % i, "text %d\n" % i, mode = 0o640, owner = "app", group = "crew")
        write("/srv/dir%d/plain" % i, "text\n")
        symlink("/srv/dir%d/link" % i, "owned", owner = "app")
    mkdir("/srv/files")
    line("/srv/files/lines", "wanted")
    line("/srv/files/lines", "also wanted")
    copy("/srv/dir0/plain", "/srv/files/copied", mode = 0o600)
    download("file:///srv/dir0/plain", "/srv/files/fetched")
    if not exists("/srv/files/moved"):
        write("/srv/files/before", "it moves\n")
        move("/srv/files/before", "/srv/files/moved")
        write("/srv/files/gone", "x")
        remove("/srv/files/gone")
    archive("/srv/files/all.tar", texts = {"t/one": "1\n", "t/two": "22\n", "t/sub/three": "333\n"})
    mkdir("/srv/tree")
    extract("/srv/files/all.tar", "/srv/tree", owner = "app", group = "crew")
    mkdir("/srv/given")
    write("/srv/given/file", "x\n")
    chown("/srv/given", "app", group = "crew")
    run(["touch", "/srv/files/created"], creates = "/srv/files/created")
    cron("app", "@daily", "/bin/true --daily")
    cron("app", "5 4 * * *", "/bin/true --nightly")
    for port in [80, 443, 8080]:
        iptables("INPUT", protocol = "tcp", dport = port, jump = "ACCEPT", comment = "made")
step(made)
`

// A drift is what somebody does behind the back of runbook, how it is taken back, and what must be found: "WHAT ATTRIBUTE",
// and nothing else.
type drift struct{ do, undo, find string }

// fileDrift puts a file aside and brings it back with its times, which are part of a tree.
func fileDrift(name, do, attribute string) drift {
	return drift{"cp -a " + name + " /root/kept && " + do, "rm -rf " + name + " && mv /root/kept " + name, name + " " + attribute}
}

// fileDrifts are drifts of one attribute that any file or directory can have.
func fileDrifts(name string, dir bool) (all []drift) {
	for _, mode := range []string{"700", "777", "4755", "600"} {
		if mode != "600" || dir {
			all = append(all, fileDrift(name, "chmod "+mode+" "+name, "mode"))
		}
	}
	all = append(all, fileDrift(name, "rm -rf "+name, "type"))
	all = append(all, fileDrift(name, "rm -rf "+name+" && ln -s /etc/passwd "+name, "type"))
	if dir {
		return append(all, fileDrift(name, "rm -rf "+name+" && touch "+name, "type"))
	}
	return append(all, fileDrift(name, "rm "+name+" && mkdir "+name, "type"), fileDrift(name, "echo more >>"+name, "content"), fileDrift(name, ": >"+name, "content"))
}

func ownerDrifts(name string) []drift {
	return []drift{fileDrift(name, "chown -h nobody "+name, "owner"), fileDrift(name, "chown -h 4999 "+name, "owner"), fileDrift(name, "chgrp -h nogroup "+name, "group"), fileDrift(name, "chgrp -h 4999 "+name, "group")}
}

// accountDrifts are those of the rest.
var accountDrifts = []drift{
	{"usermod -s /bin/bash app", "usermod -s /bin/sh app", "shell:app "},
	{"usermod -c Another app", "usermod -c 'The app' app", "comment:app "},
	{"usermod -d /srv/other app", "usermod -d /srv/app app", "home:app "},
	{"usermod -G '' app", "usermod -G guests app", "groups:app "},
	{"usermod -G guests,adm app", "usermod -G guests app", "groups:app "},
	{"sed -i 's/^guests:/others:/' /etc/group", "sed -i 's/^others:/guests:/' /etc/group", "group:guests , groups:app "},
	{"sed -i s/:4711:/:4712:/ /etc/group", "sed -i s/:4712:/:4711:/ /etc/group", "group:crew , primary:app "},
	{"sed -i s/:4710:/:4709:/ /etc/passwd", "sed -i s/:4709:/:4710:/ /etc/passwd", "user:app "},
	{"service steady stop", "service steady start", "service:steady "},
	{"update-rc.d steady disable", "update-rc.d steady enable", "enabled:steady "},
	{"crontab -u app -l | grep -v daily | crontab -u app -", "(crontab -u app -l; echo '@daily /bin/true --daily') | crontab -u app -", "cron:app @daily /bin/true --daily "},
	{"crontab -u app -l | sed 's/^@daily/@weekly/' | crontab -u app -", "crontab -u app -l | sed 's/^@weekly/@daily/' | crontab -u app -", "cron:app @daily /bin/true --daily "},
	{"crontab -u app -l | sed 's/^5 4/#5 4/' | crontab -u app -", "crontab -u app -l | sed 's/^#5/5/' | crontab -u app -", "cron:app 5 4 * * * /bin/true --nightly "},
	{"crontab -u app -l | sed 's/nightly/other/' | crontab -u app -", "crontab -u app -l | sed 's/other/nightly/' | crontab -u app -", "cron:app 5 4 * * * /bin/true --nightly "},
	{"sed -i /^wanted/d /srv/files/lines", "echo wanted >>/srv/files/lines", "/srv/files/lines line"},
	{"sed -i 's/^also/not/' /srv/files/lines", "sed -i 's/^not/also/' /srv/files/lines", "/srv/files/lines line"},
	{"echo x >/srv/files/gone", "rm /srv/files/gone", "/srv/files/gone type"},
	{"mkdir /srv/files/before", "rmdir /srv/files/before", "/srv/files/before type"},
	{"mv /srv/files/created /root", "mv /root/created /srv/files", "/srv/files/created type"},
	{"chown root /srv/given/file", "chown app /srv/given/file", "/srv/given owner"},
	{"chgrp root /srv/given", "chgrp crew /srv/given", "/srv/given owner"},
	{"touch /srv/given/new", "rm /srv/given/new", "/srv/given owner"},
}

// recheck returns what audit recheck finds: "WHAT ATTRIBUTE", sorted and joined, then what it could not ask.
func (s site) recheck(file string) string {
	s.t.Helper()
	r := s.Exec(lab.Cmd{Argv: []string{"/usr/local/bin/runbook", "audit", "recheck", file, "--json", "--exit-code"}})
	var out struct {
		Drifted, Unasked []struct{ What, Attribute, Want, Have, Why string }
	}
	if err := json.Unmarshal([]byte(r.Out), &out); err != nil || r.Code != 0 && r.Code != 10 || r.Code == 10 != (len(out.Drifted) > 0) {
		s.t.Fatalf("exit %d, %v\n%s%s", r.Code, err, r.Out, r.Err)
	}
	var found []string
	for _, f := range append(out.Drifted, out.Unasked...) {
		if found = append(found, f.What+" "+f.Attribute+f.Why); f.Why == "" && f.Want == f.Have {
			s.t.Errorf("%s: want and have %q", found, f.Want)
		}
	}
	slices.Sort(found)
	return strings.Join(found, ", ")
}

// drifts does them one by one; each must be found, and nothing else, also when it is over.
func (s site) drifts(file string, all []drift) {
	s.t.Helper()
	for _, d := range all {
		s.Must(d.do)
		if have := s.recheck(file); have != d.find {
			s.t.Errorf("%s: found %q, want %q", d.do, have, d.find)
		}
		s.Must(d.undo)
	}
	if have := s.recheck(file); have != "" {
		s.t.Errorf("when all is as it was: found %q", have)
	}
}

// Each thing that can drift is found, one by one, and nothing else is told of.
func TestRecheckDrifts(t *testing.T) {
	t.Parallel()
	s := bareSite(t, lab.Options{})
	s.put("/root/made.star", made)
	s.run(0, "run", "/root/made.star", "--trace", "/root/made.jsonl")
	if have := s.recheck("/root/made.jsonl"); have != "" {
		t.Fatalf("after the run: found %q", have)
	}
	s.run(0, "run", "/root/made.star")
	if have := s.recheck("/root/made.jsonl"); have != "" {
		t.Fatalf("after a second run: found %q", have)
	}
	all := accountDrifts
	for i := range 3 {
		dir := fmt.Sprintf("/srv/dir%d", i)
		all = append(append(all, fileDrifts(dir, true)...), ownerDrifts(dir)...)
		all = append(append(all, fileDrifts(dir+"/owned", false)...), ownerDrifts(dir+"/owned")...)
		all = append(append(all, fileDrifts(dir+"/plain", false)...), fileDrift(dir+"/plain", "chown nobody "+dir+"/plain", "owner"))
		link := dir + "/link"
		all = append(all, fileDrift(link, "ln -sfn plain "+link+" && chown -h app:crew "+link, "target"), fileDrift(link, "rm "+link, "type"), fileDrift(link, "rm "+link+"; touch "+link, "type"), fileDrift(link, "chown -h nobody "+link, "owner"))
	}
	for _, name := range []string{"copied", "fetched", "moved", "all.tar"} {
		all = append(all, fileDrifts("/srv/files/"+name, false)...)
	}
	for _, name := range []string{"one", "two", "sub/three"} {
		all = append(append(all, fileDrifts("/srv/tree/t/"+name, false)...), ownerDrifts("/srv/tree/t/"+name)...)
	}
	one := "/srv/tree/t/one"
	all = append(all, fileDrift(one, "printf '2\\n' >"+one, "content"))
	for _, port := range []string{"80", "443", "8080"} {
		rule := s.Must("iptables-save | grep -- '--dport " + port + " '")
		rule = strings.TrimPrefix(strings.TrimSpace(rule), "-A INPUT ")
		found := s.Must("grep -o 'iptables-rule:[^:]*--dport " + port + " [^:]*\":' /root/made.jsonl | head -1")
		found = strings.ReplaceAll(strings.TrimSuffix(strings.TrimSpace(found), `":`), `\"`, `"`)
		all = append(all, drift{"iptables -D INPUT " + rule, "iptables -I INPUT " + rule, found + " "})
	}
	if t.Logf("%d drifts", len(all)); len(all) < 150 {
		t.Errorf("got %d drifts, want at least 150", len(all))
	}
	s.drifts("/root/made.jsonl", all)
	s.Reboot()
	s.Must("service steady start") // as init does
	if have := s.recheck("/root/made.jsonl"); have != "" {
		t.Errorf("after a reboot: found %q", have)
	}
	if out := s.Exec(lab.Cmd{Argv: []string{"runbook", "audit", "recheck", "/root/made.jsonl"}, UID: 1}); out.Code != 2 || !strings.Contains(out.Err, "permission denied") {
		t.Errorf("as somebody who may not read the trace: exit %d, %s", out.Code, out.Err)
	}
	s.Must("cp -r /root/made.jsonl /root/made.jsonl.blobs /tmp && chown -R 1 /tmp/made*")
	out := s.Exec(lab.Cmd{Argv: []string{"runbook", "audit", "recheck", "/tmp/made.jsonl"}, UID: 1})
	s.says(out.Out, " 0 drifted", "only root may look", "/srv/dir0/owned  type: ")
}

// What the installation made still holds after it, after a second run, and is asked again in a moment.
func TestRecheckInstall(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it installs in a jail")
	s := newSiteOf(t, expandedMedia(t), lab.Options{})
	const file = "/root/real.jsonl"
	s.install(0, "--var", "interface=lo", "--trace", file)
	if have := s.recheck(file); have != "" {
		t.Fatalf("after the run: found %q", have)
	}
	s.install(0, "--var", "interface=lo")
	best := time.Hour
	for range 10 {
		began := time.Now()
		if have := s.recheck(file); have != "" {
			t.Fatalf("after a second run: found %q", have)
		}
		best = min(best, time.Since(began))
	}
	t.Logf("best of 10: %s; %s", best, s.run(0, "audit", "recheck", file))
	const control = "su - anaconda-server -c 'miniconda2/bin/supervisorctl -c miniconda2/etc/supervisord.conf "
	const program = "supervisor:/home/anaconda-server/miniconda2/etc/supervisord.conf "
	listed := s.Must(`grep -hE '" [0-9a-f]{64} -$' ` + file + ".blobs/* | head -1")
	pkg := strings.TrimSpace(s.Must("find /opt/anaconda-server /home -path '*/" + strings.Split(listed, `"`)[1] + "' | head -1"))
	s.Must("cp -a " + pkg + " /root/kept; printf X | dd of=" + pkg + " bs=1 seek=100 conv=notrunc; touch -r /root/kept " + pkg)
	s.says(s.run(10, "audit", "recheck", file, "--deep", "--exit-code"), " 1 drifted", pkg+"  content")
	s.Must("mv /root/kept " + pkg)
	s.says(s.run(0, "audit", "recheck", file, "--deep", "--exit-code"), " 0 drifted")
	newer, err := media.Newer("mongodb-org-shell")
	if err == nil {
		err = s.WriteFile("/root/newer.rpm", newer, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	const old = "/installer/mongodb-org-shell-*.rpm"
	s.drifts(file, []drift{
		{"rpm -U --justdb --nodeps --noscripts /root/newer.rpm", "rpm -U --oldpackage --justdb --nodeps --noscripts " + old, "rpm:mongodb-org-shell "},
		{"rpm -e --justdb --nodeps mongodb-org-shell", "rpm -i --justdb --nodeps --noscripts /installer/mongodb-org-shell-*.rpm", "rpm:mongodb-org-shell "},
		{"service mongod stop", "service mongod start; sleep 1", "port:27017 , service:mongod "},
		{control + "stop binstar-scheduler'", control + "start binstar-scheduler'; sleep 2", program + "binstar-scheduler "},
		{control + "stop binstar-worker-low:binstar-worker-low_03'", control + "start binstar-worker-low:binstar-worker-low_03'; sleep 2", program + "binstar-worker-low:binstar-worker-low_03 "},
		{"crontab -u anaconda-server -l >/root/tab; crontab -u anaconda-server -r", "crontab -u anaconda-server /root/tab", "cron:anaconda-server @reboot /home/anaconda-server/miniconda2/bin/supervisord -c /home/anaconda-server/miniconda2/etc/supervisord.conf "},
		fileDrift("/etc/iptables/rules.v4", "echo >>/etc/iptables/rules.v4", "content"),
	})
	s.says(s.run(0, "why", "package:mongodb-org-server", file), "was set: rpm:mongodb-org-server = 2.6.8-1 by", "step     mongodb", "line     install.star:")
	s.says(s.run(0, "why", "/opt/anaconda-server/package-storage", file), "mkdir /opt/anaconda-server/package-storage")
	s.says(s.run(0, "why", "service:mongod", file), "step     mongodb")
	s.says(s.run(0, "why", "port:27017", file), "step     mongodb")
	s.says(s.run(0, "why", "user:anaconda-server", file), "useradd anaconda-server")
}

// BenchmarkRecheck asks for all that the installation made.
func BenchmarkRecheck(b *testing.B) {
	s := newSiteOf(b, expandedMedia(b), lab.Options{})
	s.install(0, "--var", "interface=lo", "--trace", "/root/real.jsonl")
	best := time.Hour
	for b.Loop() {
		began := time.Now()
		s.run(0, "audit", "recheck", "/root/real.jsonl", "--exit-code")
		best = min(best, time.Since(began))
	}
	b.ReportMetric(best.Seconds()*1000, "best-ms")
}
