package builtins

import (
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"go.starlark.net/starlark"

	"runbook/runtime"
)

// tests runs files of tests; shipped runbooks are those in files.
func tests(t *testing.T, files map[string]string, name string) (failed map[string]string) {
	t.Helper()
	dir := fstest.MapFS{}
	for name, text := range files {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	s, err := runtime.New(All()...).LoadSuite(runtime.Library{Dir: dir, Shipped: fstest.MapFS{}}, name, Testing())
	if err != nil {
		t.Fatalf("%v (%s)", err, runtime.HintOf(err))
	}
	failed = map[string]string{}
	for _, test := range s.Tests {
		if _, err := test.Do(t.Context()); err != nil {
			failed[test.Name] = err.Error() + " (" + runtime.HintOf(err) + ")"
		}
	}
	return failed
}

// body makes a test of a few lines.
func body(text string) string {
	return "def test_it():\n    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}

// The example of each builtin of tests passes.
func TestExamplesOfTests(t *testing.T) {
	t.Parallel()
	book := "dir = var(\"dir\")\ndef s():\n    mkdir(dir)\nstep(s)\n"
	for _, b := range Testing() {
		text := "def test_it():\n    " + strings.ReplaceAll(b.Example, "\n", "\n    ") + "\n"
		text = strings.NewReplacer("\n    -- ", "\n-- ", "\n    port: ", "\nport: ").Replace(text)
		for _, why := range tests(t, map[string]string{"x_test.star": text, "quickstart.star": book}, "x_test.star") {
			t.Errorf("%s: %s", b.Name, why)
		}
	}
}

// What a machine is described with is what runbooks find.
func TestMachineIsFound(t *testing.T) {
	t.Parallel()
	book := `
found = []
def s():
    log("%s" % [host.os, host.version, host.family, host.user, host.hostname, host.cpus, host.memory, host.interfaces])
    log("%s" % [host.disk_free("/data/x") >> 30, host.disk_free("/srv") >> 30, host.listening(80), host.listening(81)])
    log("%s" % [query(argv, ok = [0, 1, 2, 3]).stdout for argv in [
        "rpm -q nginx", ["rpm", "-q", "--qf", "%{VERSION}", "nginx"], "rpm -q none", "id -u ann", "id -gn ann", "getent group staff",
        "stat -c '%U:%G %a %s' /srv/conf", "hostname", "systemctl is-active web", "systemctl is-enabled web", "cat /srv/conf"]])
    log("%s" % [query(["test", flag, "/srv/conf"], ok = [0, 1]).code for flag in ["-e", "-f", "-d", "-L"]])
step(s)
`
	text := `
def test_it():
    m = machine(os = "rocky 9.3", hostname = "box", cpus = 4, memory = "2 GB", interfaces = ["ens3"],
        users = {"ann": {"uid": 1234, "group": "staff", "groups": ["adm"], "shell": "/bin/sh"}}, groups = ["team"],
        packages = {"nginx": "1:1.20.1-14.el9"}, services = {"web": "stopped enabled"}, listening = {80: "nginx"},
        disk = {"/": "10 GB", "/data": "1 TB"}, files = """
-- /srv/conf 0640 ann:staff --
port: 1
""")
    r = m.run("book.star")
    check.eq((r.outcome, r.error), ("done", ""))
    check.eq(r.logs, [
        '["rocky", "9.3", "rhel", "root", "box", 4, 2147483648, ["ens3", "lo"]]',
        '[1024, 10, "nginx", ""]',
        '["nginx-1.20.1-14.el9.x86_64\\n", "1.20.1", "package none is not installed\\n", "1234\\n", "staff\\n", "staff:x:1234:\\n", "ann:staff 640 8\\n", "box\\n", "inactive\\n", "enabled\\n", "port: 1\\n"]',
        "[0, 0, 1, 1]",
    ])
    check.eq([m.fact("rpm:nginx"), m.fact("service:web"), m.fact("enabled:web"), m.fact("home:ann"), m.fact("user:ann")],
        ["1:1.20.1-14.el9", "stopped", "enabled", "/home/ann", "1234"])
`
	for _, why := range tests(t, map[string]string{"x_test.star": text, "book.star": book}, "x_test.star") {
		t.Error(why)
	}
}

// What commands= says is what questions and commands get.
func TestCommandsOfMachines(t *testing.T) {
	t.Parallel()
	book := `
def s():
    log(query(["tool", "a"], ok = [0, 7]).stdout)
    log(str(query("tool b c", ok = [0, 7]).code))
    log(run("tool make").stdout)
    log(read("/srv/made"))
step(s)
`
	text := `
def answers(argv):
    return {"stdout": "made\n", "files": {"/srv/made": argv[1]}} if argv[1] == "make" else None

def test_it():
    r = machine(commands = {"tool": answers, "tool a": "A\n", "tool b": 1, "tool b c": {"code": 7}}).run("book.star")
    check.eq((r.outcome, r.error), ("done", ""))
    check.eq(r.logs, ["A\n", "7", "made\n", "make"])

def test_unanswered():
    r = machine(commands = {"tool": lambda argv: None}).run("book.star")
    check.eq(r.outcome, "failed")
    check.contains(r.hint, "commands = {\"tool a\"")

def test_missing():
    check.contains(machine().run("book.star").error, "executable file not found")

def test_fails():
    r = machine(commands = {"tool": "x", "tool make": {"code": 3, "stderr": "no"}}).run("book.star")
    check.contains(r.error, "exit status 3: no")
`
	for _, why := range tests(t, map[string]string{"x_test.star": text, "book.star": book}, "x_test.star") {
		t.Error(why)
	}
}

// A question of unless= that was answered by the command is the same for the next run.
func TestUnlessOfTests(t *testing.T) {
	t.Parallel()
	book := `
port = var("port", 1)
def s():
    write("/srv/base", "x\n")
    run(["set", "a", str(port)], unless = ["grep", "a%d" % port, "/srv/conf"], touches = ["/srv/conf"])
    run(["set", "b", "2"], unless = ["grep", "b2", "/srv/conf"], touches = ["/srv/conf"])
step(s)
`
	text := `
def test_it():
    m = machine(commands = {"set": 0}, files = "-- /srv/conf --\n")
    check.eq(m.run("book.star").changed, 3)
    check.same(m.run("book.star"))
    check.eq(m.run("book.star", vars = {"port": 2}).changed, 2)
    check.same(m.run("book.star", vars = {"port": 2}))
    check.eq(m.run("book.star").changed, 2)
`
	for _, why := range tests(t, map[string]string{"x_test.star": text, "book.star": book}, "x_test.star") {
		t.Error(why)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	have := map[string]size{}
	for _, text := range []string{"8 GB", "8G", "1.5 GiB", "512 MB", "2TB", "100", "0"} {
		var s size
		if err := s.Unpack(starlark.String(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		have[text] = s
	}
	want := map[string]size{"8 GB": 8 << 30, "8G": 8 << 30, "1.5 GiB": 3 << 29, "512 MB": 512 << 20, "2TB": 2 << 40, "100": 100, "0": 0}
	if !maps.Equal(have, want) {
		t.Errorf("got %v, want %v", have, want)
	}
	for _, v := range []starlark.Value{starlark.String("much"), starlark.String("-1 GB"), starlark.String("1 XB"), starlark.String(""),
		starlark.MakeInt(-1), starlark.None} {
		if err := new(size).Unpack(v); err == nil {
			t.Errorf("%s: got no error", v)
		}
	}
}

// What a machine cannot be described with is an error that says what to write.
func TestMachineMistakes(t *testing.T) {
	t.Parallel()
	for call, want := range map[string]string{
		`os = "debian"`:                              `want a version with it`,
		`os = "solaris 11"`:                          `want one of`,
		`user = "ann"`:                               `name it, too: users = {"ann": None}`,
		`users = ["ann"]`:                            `write it as in users = {"ann": None}`,
		`users = {"ann": {"hom": "/x"}}`:             `did you mean "home"?`,
		`users = {"ann": {"groups": ["x"]}}`:         `name it, too: groups = ["x"]`,
		`services = {"x": "on"}`:                     `want one of running`,
		`listening = {0: "x"}`:                       `want a port and the name of a process`,
		`files = "hello"`:                            `a file begins with a line such as: -- /etc/motd --`,
		`files = "-- /etc/x 0644 oops --"`:           `got "oops" behind the name`,
		`files = "-- /x/ --\ntext"`:                  `got a text for what is no file of known content`,
		`files = "-- /x ? --\ntext"`:                 `got a text for what is no file of known content`,
		`files = "-- /x --\n1\n-- //x --\n2\n"`:      `//x is there twice`,
		`files = "-- /etc/x ann:ann --"`:             `no user "ann"`,
		`memory = "lots"`:                            `want a number of bytes`,
		`disk = {"data": "1 GB"}`:                    `want an absolute one`,
		`commands = {"x y": None}`:                   `got None, which says that there is no such program`,
		`commands = {"x": []}`:                       `want a text, an exit status`,
		`commands = {"x": {"exit": 1}}`:              `want code, stdout, stderr or files`,
		`commands = {"x": {"files": {"y": "text"}}}`: `want an absolute path and a text`,
		`comands = {}`:                               `did you mean "commands"?`,
	} {
		failed := tests(t, map[string]string{"x_test.star": body("machine(" + call + ")")}, "x_test.star")
		if why := failed["test_it"]; !strings.Contains(why, want) {
			t.Errorf("%s: got %s, want %s", call, why, want)
		}
	}
}

// Packages of a Debian machine are known to apt, to questions about them, and to later runs.
func TestPackagesOfDebianMachines(t *testing.T) {
	t.Parallel()
	book := `
def s():
    log(query("dpkg-query -W -f '${Version} ${Status}' nginx", ok = [0, 1]).stdout)
    apt(["nginx=1.22.1-9", "git"])
    apt("/srv/tool_1.0_all.deb")
    apt("nano", state = "absent")
    log(query("dpkg-query -W -f '${Version}' nginx").stdout)
step(s)
`
	text := `
def test_it():
    m = machine(os = "debian 12", packages = {"nginx": "1.20.1-1", "nano": "7.2-1"}, files = "-- /srv/tool_1.0_all.deb ? --\n")
    r = m.run("book.star")
    check.eq((r.outcome, r.error), ("done", ""))
    check.eq(r.logs, ["1.20.1-1 install ok installed", "1.22.1-9"])
    check.eq([m.fact("deb:nginx"), m.fact("deb:git"), m.fact("deb:nano"), m.fact("deb:tool")], ["1.22.1-9", "present", "", "1.0"])
    check.same(m.run("book.star"))

def test_other():
    r = machine(os = "ubuntu 24.04", packages = {"nginx": "2.0-1"}).run("book.star")
    check.contains(r.error, "newer than 1.22.1-9")
    check.contains(machine(os = "rocky 9.3").run("book.star").error, "not found")
`
	for _, why := range tests(t, map[string]string{"x_test.star": text, "book.star": book}, "x_test.star") {
		t.Error(why)
	}
}
