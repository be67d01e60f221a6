package builtins

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runbook/runtime/host"
)

// dated is an init script whose daemon is number 77, with what the kernel says of the shell that started it.
const dated = `me=$(cat /proc/$$/stat)
case $1 in
start) [ -e $R/proc/77 ] && exit 0; mkdir -p $R/proc/77; echo "$me" > $R/proc/77/stat;;
stop) rm -rf $R/proc/77;;
restart) mkdir -p $R/proc/77; echo "$me" > $R/proc/77/stat; echo x >> $R/var/restarts;;
status) [ -e $R/proc/77 ] || exit 3; STATUS;;
esac`

// datedUnit is systemd with a unit that is dated in the same way.
const datedUnit = `me=$(cat /proc/$$/stat)
case $1 in
show) a=inactive; [ -e $R/proc/77 ] && a=active
  printf 'LoadState=loaded\nActiveState=%s\nUnitFileState=enabled\nMainPID=77\n' $a;;
start | restart) mkdir -p $R/proc/77; echo "$me" > $R/proc/77/stat;;
stop) rm -rf $R/proc/77;;
esac`

func datedFiles(status string) map[string]string {
	return map[string]string{"/etc/init.d/web": strings.ReplaceAll(dated, "STATUS", status), "/usr/bin/service": sysv["/usr/bin/service"], "/etc/web.conf": "a\n"}
}

// A service that started before a file changed is restarted: whoever changed it, whenever, and however its process is found.
func TestServiceNewerThan(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"status":   datedFiles(`echo "web (pid  77) is running..."`),
		"pid file": datedFiles("# pidfile: /run/web/web.pid"),
		"name":     datedFiles("true"),
		"systemd":  {"/run/systemd/system/.keep": "", "/usr/bin/systemctl": datedUnit, "/etc/web.conf": "a\n"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, files)
			if name == "pid file" {
				m.write("/run/web/web.pid", "77\n")
			}
			if name == "name" {
				script := m.read("/etc/init.d/web")
				m.must(os.WriteFile(filepath.Join(m.root, "/etc/init.d/web"), []byte(strings.ReplaceAll(script, "; echo \"$me\" >", `; printf '/bin/sh\0/opt/web\0' > $R/proc/77/cmdline; echo "$me" >`)), 0o755))
			}
			const body = `service("web", newer_than = ["/etc/web.conf"])`
			m.thrice(body)
			m.write("/etc/web.conf", "by hand\n")
			_, real := m.thrice(body)
			m.shows(strings.Join(eventTexts(real), ""), "{service running, older than /etc/web.conf restarted}", "restart", "started:web:after the last change of /etc/web.conf")
			m.must(os.Chmod(filepath.Join(m.root, "/etc/web.conf"), 0o600)) // it may not be able to read it any more
			_, real = m.thrice(body)
			m.shows(strings.Join(effects(real), ""), "exec")

			m.thrice("write('/etc/web.conf', 'b')\n" + body) // a dry run sees what it would change
			m.must(os.RemoveAll(filepath.Join(m.root, "/proc/77")))
			_, real = m.thrice(body) // one that does not run is started
			m.shows(strings.Join(eventTexts(real), ""), "{service stopped running}")
		})
	}
}

// A run that stops between the change and the restart leaves the restart to the next one.
func TestServiceNewerThanInterrupted(t *testing.T) {
	m := newMachine(t, datedFiles(`echo "pid 77"`))
	m.thrice(`service("web", newer_than = ["/etc/web.conf"])`)
	if _, err := m.real("write('/etc/web.conf', 'c')\nrun(['false'])"); err == nil {
		t.Fatal("got no error")
	}
	_, real := m.thrice("write('/etc/web.conf', 'c')\nservice('web', newer_than = ['/etc/web.conf'])")
	if all := effects(real); len(all) != 1 || m.read("/var/restarts") != "x\n" {
		t.Errorf("got %v, %q", all, m.read("/var/restarts"))
	}
	// A change on either side of a start, in one run.
	body := "write('/etc/web.conf', '%d')\nservice('web', newer_than = ['/etc/web.conf'])\n"
	_, real = m.twice(fmt.Sprintf(body, 1) + fmt.Sprintf(body, 2) + "service('web', newer_than = ['/etc/web.conf'])")
	if all := effects(real); len(all) != 4 {
		t.Errorf("got %v", all)
	}
	m.twice("service('web', state = 'stopped')\nservice('web')\nwrite('/etc/web.conf', '3')\nservice('web', newer_than = ['/etc/web.conf'])")
}

// A directory stands for all below it, a link for itself and what it leads to.
func TestServiceNewerThanTree(t *testing.T) {
	m := newMachine(t, datedFiles(`echo "pid 77"`))
	m.write("/etc/web.d/sub/a", "a")
	m.write("/srv/site", "s")
	m.must(os.Symlink("/srv/site", filepath.Join(m.root, "/etc/web.d/site")))
	const body = `service("web", newer_than = ["/etc/web.d"])`
	m.thrice(body)
	for i, change := range []func(){
		func() { m.write("/etc/web.d/sub/a", "b") },
		func() { m.write("/etc/web.d/new", "b") },
		func() { m.must(os.Remove(filepath.Join(m.root, "/etc/web.d/new"))) },
		func() { m.write("/srv/site", "t") },
	} {
		change()
		if _, real := m.thrice(body); len(effects(real)) != 1 {
			t.Errorf("change %d: got %v", i, effects(real))
		}
	}
	m.write("/srv/other", "o")
	m.thrice(body)
	for _, deed := range []string{"remove('/etc/web.d/sub/a')", "move('/srv/other', '/etc/web.d/x')", "mkdir('/etc/web.d/y')"} {
		m.thrice(deed + "\n" + body)
	}
}

func TestServiceNewerThanRefuses(t *testing.T) {
	m := newMachine(t, datedFiles("true"))
	m.fails(`service("web", newer_than = ["/etc/none"])`, "there is no such file")
	m.fails(`service("web", newer_than = ["web.conf"])`, "got relative path")
	m.fails(`service("web", state = "restarted", newer_than = ["/etc/web.conf"])`, `want it with "started"`)
	m.thrice(`service("web")`)
	m.fails(`service("web", newer_than = ["/etc/web.conf"])`, "it is not known when the service started")
	if _, err := notAhead("/x", time.Now().Add(time.Hour), nil); !says(err, "then: touch /x") {
		t.Errorf("got %v", err)
	}

	// A restart that leaves the process as it was.
	m = newMachine(t, datedFiles(`echo "pid 77"`))
	m.thrice(`service("web")`)
	m.write("/etc/init.d/web", strings.ReplaceAll(strings.ReplaceAll(dated, "STATUS", `echo "pid 77"`), "restart)", "restart) exit 0;; other)"))
	m.write("/etc/web.conf", "new")
	op := &serviceOp{name: "web", state: "started", newer: newerThan{"/etc/web.conf"}}
	cmd := op.command(m.local(), "restart")
	cmd.Settle = 0
	if _, err := m.local().Exec(t.Context(), cmd); !says(err, "want started:web =") {
		t.Errorf("got %v", err)
	}
}

func TestPidsIn(t *testing.T) {
	for text, want := range map[string]string{
		"0 mongod (pid  1234) is running...\n": "1234", "0 httpd (pid 12 13  14) is running": "12 13 14", "0 web start/running, process 9": "9",
		"0 cron is running": "", "3 stopped, 12 of 13": "", "0 PID: 5": "5",
	} {
		if have := strings.Join(pidsIn(text), " "); have != want {
			t.Errorf("%q: got %q, want %q", text, have, want)
		}
	}
}

func TestNewestStart(t *testing.T) {
	m := newMachine(t, nil)
	boot, starts := "", map[string]int{"10": 500, "11": 900, "12": 100, "13": 700}
	for pid, ticks := range starts {
		m.write("/proc/"+pid+"/stat", pid+" (a) b) S "+strings.Repeat("0 ", 18)+fmt.Sprint(ticks)+" 0 0\n")
		m.write("/proc/"+pid+"/status", "PPid:\t10\n")
	}
	m.write("/proc/10/status", "PPid:\t1\n")
	m.write("/proc/13/status", "PPid:\t1\n")
	h := m.local()
	for pids, want := range map[string]string{"10 11 12": "10", "10 11 12 13": "13", "12": "12", "99": "", "99 12": "12"} {
		have, err := newestStart(t.Context(), h, strings.Fields(pids))
		if want != "" {
			boot, _ = h.Fact(t.Context(), fact(host.Started, want))
		} else {
			boot = ""
		}
		if have != boot || err != nil {
			t.Errorf("%s: got %q, %v, want that of %q: %q", pids, have, err, want, boot)
		}
	}
}

// newAged is newSupervised with processes that are there: sleep, started anew for each program.
func newAged(t *testing.T) (m *machine, at func(string) string) {
	m, at = newSupervised(t)
	m.write(at("/app/bin/supervisorctl"), at(`#!/bin/sh
begin() { /bin/sleep 300 >/dev/null 2>&1 </dev/null & echo $! >> /var/pids; echo "$1 RUNNING   pid $!, uptime 0:00:01" > "/var/p/$1"; }
mkdir -p /var/p
[ -e /var/up ] || { echo "unix:///x.sock no such file"; exit 4; }
verb=$3 conf=$2; shift 3
case $verb in
status) cat /var/p/*;;
update) cp $conf /var/read; echo x >> /var/updates;;
*) echo "$verb $*" >> /var/verbs
  for n; do case $n in *:"*") for f in /var/p/${n%:*}:*; do begin "${f##*/}"; done;; *) begin "$n";; esac; done;;
esac
`))
	m.write(at("/app/bin/supervisord"), at(`#!/bin/sh
mkdir -p /var/p; touch /var/up
exec /app/bin/supervisorctl -c x begin web low:low_00 low:low_01
`))
	for _, name := range []string{"supervisord", "supervisorctl"} {
		m.must(os.Chmod(at("/app/bin/"+name), 0o755))
	}
	m.write(at("/app/etc/s.conf"), "[program:web]\ncommand=/bin/web\n[program:low]\ncommand=/bin/low\nnumprocs=2\nprocess_name=%(program_name)s_%(process_num)02d\n")
	m.write(at("/app/web.conf"), "a\n")
	t.Cleanup(func() {
		for _, pid := range strings.Fields(m.read(at("/var/pids"))) {
			if p, err := os.FindProcess(int(number(t, pid))); err == nil {
				p.Kill()
			}
		}
	})
	return m, at
}

func number(t *testing.T, text string) (n int64) {
	t.Helper()
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Processes that started before a file changed are restarted, as few as have to be, and groups at once.
func TestSuperviseNewerThan(t *testing.T) {
	m, at := newAged(t)
	body := at(`supervise(config = "/app/etc/s.conf", newer_than = ["/app/web.conf"])`)
	m.thrice(body)
	m.write(at("/app/web.conf"), "by hand\n")
	_, real := m.thrice(body)
	m.shows(strings.Join(eventTexts(real), ""), at("{web RUNNING, older than /app/web.conf restarted}"), "s.conf restart low:* web]")
	m.thrice(at("write('/app/web.conf', 'b')\n") + body)
	m.must(os.Remove(at("/var/p/web")))
	m.write(at("/app/web.conf"), "c\n")
	_, real = m.thrice(body)
	m.shows(strings.Join(eventTexts(real), ""), "{web  RUNNING}", "restart low:* web]")
	m.write(at("/app/web.conf"), "d\n")
	time.Sleep(5 * host.FileTick)
	m.must(os.Remove(at("/var/verbs")))
	m.write(at("/var/p/low:low_00"), m.read(at("/var/p/web"))) // for a moment two processes of which one has just started
	m.must(m.run(at("/app/bin/supervisorctl"), "-c", "x", "start", "low:low_00"))
	m.thrice(body)
	m.shows(m.read(at("/var/verbs")), "restart low:low_01 web\n")
}

// A run that stops between writing a configuration and having it read leaves that to the next one.
func TestSuperviseInterrupted(t *testing.T) {
	m, at := newAged(t)
	body := at(`supervise(config = "/app/etc/s.conf", programs = {"web": "%s", "low": {"command": "/bin/low", "numprocs": 2}})`)
	m.thrice(fmt.Sprintf(body, "/bin/web"))
	good := m.read(at("/app/bin/supervisorctl"))
	program := func(text string) {
		m.must(os.WriteFile(at("/app/bin/supervisorctl"), []byte(text), 0o755))
		m.must(os.Chmod(at("/app/bin/supervisorctl"), 0o755))
	}
	program(strings.Replace(good, "update)", "update) exit 1;; other)", 1))
	if _, err := m.real(fmt.Sprintf(body, "/bin/other")); err == nil {
		t.Fatal("got no error")
	}
	program(good)
	_, real := m.thrice(fmt.Sprintf(body, "/bin/other"))
	m.shows(strings.Join(eventTexts(real), ""), "{config written by a run that was cut short read by supervisord}", "update]")
	m.shows(m.read(at("/var/read")), "/bin/other")
}

// run runs a stand-in.
func (m *machine) run(argv ...string) error {
	_, err := m.local().Query(m.t.Context(), host.Process{Argv: argv})
	return err
}

func TestWholeGroups(t *testing.T) {
	const status = "up\nweb RUNNING 1\nlow:a RUNNING 2\nlow:b RUNNING 3\nhigh:a RUNNING 4\n"
	for names, want := range map[string]string{
		"web": "web", "low:a low:b": "low:*", "low:a web": "low:a web", "high:a low:b": "high:* low:b", "low:*": "low:*",
	} {
		if have := strings.Join(wholeGroups(status, strings.Fields(names)), " "); have != want {
			t.Errorf("%s: got %s, want %s", names, have, want)
		}
	}
}
