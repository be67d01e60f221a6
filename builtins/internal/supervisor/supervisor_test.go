package supervisor

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const status = `binstar-scheduler                RUNNING   pid 101, uptime 0:00:02
binstar-server                   RUNNING   pid 100, uptime 12 days, 3:04:05
binstar-worker                   STARTING
binstar-worker-low:binstar-worker-low_00   RUNNING   pid 7, uptime 1 day, 0:00:00
binstar-worker-low:binstar-worker-low_01 FATAL     Exited too quickly (process log may have details)
old                              EXITED    Aug 03 12:00 PM
`

func TestParseStatus(t *testing.T) {
	got, err := ParseStatus(status)
	want := []Process{
		{"binstar-scheduler", Running, "101"},
		{"binstar-server", Running, "100"},
		{"binstar-worker", "STARTING", ""},
		{"binstar-worker-low:binstar-worker-low_00", Running, "7"},
		{"binstar-worker-low:binstar-worker-low_01", Fatal, ""},
		{"old", "EXITED", ""},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, got\n%+v want\n%+v", err, got, want)
	}
	for _, text := range []string{"unix:///tmp/x.sock no such file\n", "unix:///tmp/x.sock refused connection", "http://localhost:9001 refused connection",
		"error: <class 'ConnectionRefusedError'>, [Errno 111] Connection refused: file: x", "error: <Fault 6: 'SHUTDOWN_STATE'>"} {
		if _, err := ParseStatus(text); !errors.Is(err, ErrDown) {
			t.Errorf("%q: got %v", text, err)
		}
	}
	if _, err := ParseStatus("x: ERROR (no such process)"); err == nil || errors.Is(err, ErrDown) {
		t.Errorf("got %v", err)
	}
	if list, err := ParseStatus(""); len(list) != 0 || err != nil {
		t.Errorf("nothing: got %v, %v", list, err)
	}
}

const config = `; a comment
[unix_http_server]
file=/tmp/s.sock   ; the socket
[supervisord]
User = anaconda-server
[supervisorctl]
serverurl=unix:///tmp/s.sock
[include]
files = /etc/supervisor/conf.d/*.conf
    relative/*.ini
[program:server]
command: /bin/sleep 100 # inline
 ;not this
[program:worker-low]
command=/bin/sleep 100
process_name=%(program_name)s_%(process_num)02d
numprocs=3
numprocs_start=9
[program:idle]
command=/bin/sleep 1
autostart=False
[program:one]
command=/bin/sleep 1
process_name=first-%%
[program:two]
command=/bin/sleep 1
[group:both]
programs=one, two
[eventlistener:ears]
command=/bin/cat
events=TICK_5
`

func TestParseConfig(t *testing.T) {
	c, err := ParseConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Programs) != 6 {
		t.Errorf("got %+v", c)
	}
	file, err := parseINI(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][3]string{
		{"unix_http_server", "file", "/tmp/s.sock"}, {"supervisord", "user", "anaconda-server"},
		{"supervisorctl", "serverurl", "unix:///tmp/s.sock"},
		{"include", "files", "/etc/supervisor/conf.d/*.conf\nrelative/*.ini"},
	} {
		if got := file[want[0]][want[1]]; got != want[2] {
			t.Errorf("[%s] %s: got %q, want %q", want[0], want[1], got, want[2])
		}
	}
	want := "both:first-% both:two ears server worker-low:worker-low_09 worker-low:worker-low_10 worker-low:worker-low_11"
	if got := strings.Join(c.Processes(), " "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for text, want := range map[string]string{
		"a=b":                                                   "in a section",
		"[x]\nnonsense":                                         "NAME=VALUE",
		"[program:a]\n":                                         "no command",
		"[program:a b]\ncommand=x":                              "name",
		"[program:a]\ncommand=x\nnumprocs=2":                    "process_num",
		"[program:a]\ncommand=x\nnumprocs=-1":                   "want 0 to",
		"[program:a]\ncommand=x\nnumprocs=x":                    "want 0 to",
		"[program:a]\ncommand=x\nnumprocs_start=99999999":       "want 0 to",
		"[program:a]\ncommand=x\nautostart=perhaps":             "true or false",
		"[program:a]\ncommand=x\nprocess_name=%(ENV_X)s":        "without running",
		"[program:a]\ncommand=x\nprocess_name=100%":             "without running",
		"[program:a]\ncommand=x\nprocess_name=%(program_name)d": "without running",
	} {
		if _, err := ParseConfig(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// programs are as a runbook would give them.
var programs = map[string]map[string]string{
	"server":     {"command": `/bin/sh -c 'date +%F; exec sleep 1000'`, "autorestart": "true"},
	"worker-low": {"command": "/bin/sleep 1000", "numprocs": "3"},
	"named":      {"command": "/bin/sleep 1000", "process_name": "%(program_name)s-x", "environment": `A="50%"`},
}

func settings(dir string) Settings {
	return Settings{filepath.Join(dir, "s.sock"), filepath.Join(dir, "s.pid"), filepath.Join(dir, "s.log")}
}

func TestGenerate(t *testing.T) {
	text, err := Generate(settings("/run/x"), programs)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := Generate(settings("/run/x"), programs); again != text {
		t.Error("equal arguments give different texts")
	}
	for _, want := range []string{"\nserverurl=unix:///run/x/s.sock\n", "[program:worker-low]\ncommand=/bin/sleep 1000\nnumprocs=3\nprocess_name=%(program_name)s_%(process_num)02d\n",
		"date +%%F;", `environment=A="50%%"`} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%swant %q in it", text, want)
		}
	}
	for want, p := range map[string]map[string]map[string]string{
		"name \"a b\"": {"a b": {"command": "x"}}, "name \"a]\"": {"a]": {"command": "x"}}, "no command": {"a": nil}, "option \"A\"": {"a": {"command": "x", "A": "1"}},
		"one line": {"a": {"command": "x\ny"}}, "comment": {"a": {"command": "x ; y"}}, "comment; want": {"a": {"command": "x #y"}}, "without blanks": {"a": {"command": " x"}},
		"want 0 to": {"a": {"command": "x", "numprocs": "many"}},
	} {
		if text, err := Generate(settings("/run/x"), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, %s, want %q", p, err, text, want)
		}
	}
	for _, dir := range []string{"relative", "/with blank", "/" + strings.Repeat("long", 30)} {
		if _, err := Generate(settings(dir), nil); err == nil {
			t.Errorf("%s: got no error", dir)
		}
	}
}

// What supervisord runs of our file is what we expect, and it shows it as we read it.
func TestRealSupervisor(t *testing.T) {
	if _, err := exec.LookPath("supervisord"); err != nil {
		t.Skip("NOT TESTED: there is no supervisord here")
	}
	dir, err := os.MkdirTemp("", "sv") // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	text, err := Generate(settings(dir), programs)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "s.conf")
	os.WriteFile(conf, []byte(text), 0o600)
	ctl := func(args ...string) string {
		out, _ := exec.Command("supervisorctl", append([]string{"-c", conf}, args...)...).CombinedOutput()
		return string(out)
	}
	if _, err := ParseStatus(ctl("status")); !errors.Is(err, ErrDown) {
		t.Errorf("before: got %v", err)
	}
	cmd := exec.Command("supervisord", "-n", "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer ctl("shutdown")
	var list []Process
	for range 100 {
		stopped := func(p Process) bool { return p.State != Running }
		if list, err = ParseStatus(ctl("status")); err == nil && len(list) > 0 && !slices.ContainsFunc(list, stopped) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	var names []string
	for _, p := range list {
		names = append(names, p.Name)
		if p.State != Running {
			t.Errorf("got %+v, want a process that runs", p)
		}
	}
	slices.Sort(names)
	if err != nil || len(names) != 5 || !slices.Equal(names, c.Processes()) {
		t.Errorf("%v, got %q, want %q", err, names, c.Processes())
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add(config)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConfig(text)
		if err != nil {
			return
		}
		for _, p := range c.Programs {
			if p.Name == "" || p.Command == "" {
				t.Errorf("got %+v", p)
			}
		}
	})
}

func FuzzGenerate(f *testing.F) {
	f.Add("a", "echo 50% %(program_name)s", "numprocs", "3")
	f.Fuzz(func(t *testing.T, name, command, key, value string) {
		text, err := Generate(settings("/run/x"), map[string]map[string]string{name: {"command": command, key: value}})
		if err != nil {
			return
		}
		c, err := ParseConfig(text)
		if err != nil || len(c.Programs) != 1 || c.Programs[0].Name != name {
			t.Errorf("%v, %+v of\n%s", err, c, text)
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add(status)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseStatus(text)
		for _, p := range list {
			if err == nil && (p.Name == "" || p.State == "") {
				t.Errorf("got %+v", p)
			}
		}
	})
}
