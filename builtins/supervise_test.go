package builtins

import (
	"os"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"
)

// newSupervised has a supervisord that is a file with the states of processes.
// What lies beside a configuration is run by its absolute name, so the root is
// the machine's own. Below /app is the application, in /var what is remembered.
func newSupervised(t *testing.T) (m *machine, at func(string) string) {
	dir := t.TempDir()
	m = &machine{t: t, root: "/", bin: dir + "/usr/bin", tools: toolbox(t)}
	at = func(s string) string { return strings.NewReplacer("/app", dir+"/app", "/var/", dir+"/var/").Replace(s) }
	up := `sed -n 's/^\[program:\(.*\)\]/\1 RUNNING   pid 7, uptime 0:00:02/p' $2 > /var/up`
	for name, text := range map[string]string{
		"/app/bin/supervisord": up,
		"/app/bin/supervisorctl": `[ -e /var/up ] || { echo "unix:///x.sock no such file"; exit 4; }
case $3 in
status) cat /var/up;;
update) ` + up + `;;
start) sed -i 's/ FATAL.*/ RUNNING   pid 9, uptime 0:00:01/' /var/up; echo "web: ERROR (already started)"; exit 1;;
esac`,
		"/usr/bin/crontab": `case $3 in
-l) cat /var/$2 2>/dev/null || { echo "no crontab for $2" >&2; exit 1; };;
-) cat > /var/$2;;
esac`,
	} {
		file := at(name)
		if strings.HasPrefix(name, "/usr") {
			file = dir + name
		}
		m.write(file, "#!/bin/sh\n"+at(text)+"\n")
		m.must(os.Chmod(file, 0o755))
	}
	for _, d := range []string{"/app/etc", "/var/x"} {
		m.must(os.MkdirAll(at(d), 0o755))
	}
	return m, at
}

func TestSupervise(t *testing.T) {
	m, at := newSupervised(t)
	m.thrice(at(`supervise(config = "/app/etc/s.conf",
    programs = {"web": "/bin/web", "job": {"command": "/bin/job", "autorestart": True}})`))
	m.shows(m.read(at("/app/etc/s.conf")), "[program:job]\ncommand=/bin/job\nautorestart=true\n")
	// Another program is added to the one that runs.
	_, real := m.thrice(at(`supervise(config = "/app/etc/s.conf", programs = {"web": "/bin/web"})`))
	m.shows(strings.Join(eventTexts(real), ""), at("/app/bin/supervisorctl -c /app/etc/s.conf update]"))
}

// A vendor's configuration, its line in the crontab, and a process that died.
func TestSuperviseVendor(t *testing.T) {
	m, at := newSupervised(t)
	m.write(at("/app/etc/s.conf"), "[program:web]\ncommand=/bin/web\n[program:job]\ncommand=/bin/job\n")
	m.write(at("/var/up"), "web RUNNING   pid 7, uptime 0:00:02\njob FATAL   Exited too quickly\n")
	m.write(at("/var/root"), "@reboot /opt/miniconda/bin/supervisord\n@reboot /opt/b/bin/supervisord -c /other.conf\n")
	_, real := m.thrice(at(`supervise(config = "/app/etc/s.conf")`))
	m.shows(strings.Join(eventTexts(real), ""), "{job FATAL RUNNING}", "start job web]")
	table := m.read(at("/var/root"))
	m.shows(table, "/other.conf\n", at("/app/bin/supervisord -c /app/etc/s.conf\n"))
	if strings.Contains(table, "miniconda") {
		t.Errorf("got %q", table)
	}
}

func TestSuperviseRefuses(t *testing.T) {
	m, at := newSupervised(t)
	m.fails(at(`supervise(config = "/app/etc/s.conf")`), "run first what writes it")
	m.fails(at(`supervise(config = "/app/etc/s.conf", programs = {"a b": "x"})`), "got name")
	m.fails(at(`supervise(config = "/app/etc/s.conf", programs = ["x"])`), "want a dict")
	m.failsDry(at("run('true', touches = ['/app'])\nsupervise(config = '/app/etc/s.conf')"), "expect =")
	m.write(at("/app/etc/s.conf"), "[supervisord]\n")
	m.fails(at(`supervise(config = "/app/etc/s.conf")`), "expect =")
	m.fails(at(`supervise(config = "/app/etc/s.conf", user = "none")`), `useradd("none")`)
}

// In a dry run nobody can read what a vendor's command would write.
func TestSuperviseUnknownConfig(t *testing.T) {
	m, at := newSupervised(t)
	dry, err := m.dry(at(`run('true', touches = ['/app', 'crontab:root'])
supervise(config = '/app/etc/s.conf', expect = ['web', 'low:*'])
supervise(config = '/app/etc/s.conf', expect = ['web'])`))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(eventTexts(dry), "")
	m.shows(all, "{low:*  RUNNING}")
	if strings.Count(all, "effect ") != 3 || dry[len(dry)-1].Counts.Same != 1 {
		t.Errorf("got %s", all)
	}
}

func TestProcessStates(t *testing.T) {
	status := "up\nweb RUNNING\nlow:low_00 RUNNING\nlow:low_01 BACKOFF\n"
	for name, want := range map[string]string{
		"web": "RUNNING", "low:low_00": "RUNNING", "low:*": "BACKOFF", "job": "", "lo": "",
	} {
		if have := stateIn(status, name); have != want {
			t.Errorf("%s: got %q, want %q", name, have, want)
		}
	}
}

func TestOptionText(t *testing.T) {
	for want, v := range map[string]starlark.Value{
		"true": starlark.True, "2": starlark.MakeInt(2), "a": starlark.String("a"),
	} {
		if have := optionText(v); have != want {
			t.Errorf("got %q, want %q", have, want)
		}
	}
}

// A process that supervisord has given up is not waited for.
func TestSuperviseFatal(t *testing.T) {
	m, at := newSupervised(t)
	m.write(at("/app/etc/s.conf"), "[program:web]\ncommand=/bin/web\n")
	m.write(at("/app/bin/supervisord"), at("#!/bin/sh\necho 'web FATAL   Exited too quickly' > /var/up\n"))
	m.must(os.Chmod(at("/app/bin/supervisord"), 0o755))
	start := time.Now()
	_, err := m.real(at(`supervise(config = "/app/etc/s.conf", wait = "5m")`))
	if err == nil || !strings.Contains(err.Error(), `have "FATAL"`) || time.Since(start) > time.Minute {
		t.Errorf("got %v after %s", err, time.Since(start))
	}
}
