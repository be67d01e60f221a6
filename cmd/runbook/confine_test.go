package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"runbook/cmd/runbook/internal/lab"
	"runbook/runtime/host"
)

// confines reports whether commands can be confined here.
func confines() bool {
	l := host.NewLocal("/")
	l.Helper = "/proc/self/exe"
	res, err := l.Query(context.Background(), host.Process{Argv: []string{"true"}, Confined: true})
	return err == nil && res.Loose == ""
}

// The real programs for accounts do under --confine what they do without, and a dry run equals that.
func TestConfinedAccounts(t *testing.T) {
	t.Parallel()
	s := bareSite(t, lab.Options{})
	s.put("/root/accounts.star", accounts)
	s.run(0, "run", "/root/accounts.star", "--dry-run", "--trace", "/root/dry.jsonl")
	out := s.run(0, "run", "/root/accounts.star", "--confine=offline", "--trace", "/root/real.jsonl")
	if strings.Contains(out, "not enforced") {
		t.Errorf("got %s", out)
	}
	if got := s.run(0, "audit", "diff", "/root/dry.jsonl", "/root/real.jsonl"); !strings.HasPrefix(got, "equal") {
		t.Error(got)
	}
	if again := s.run(0, "run", "/root/accounts.star", "--confine"); strings.Contains(again, " changed") {
		t.Errorf("the second run changed something:\n%s", again)
	}
	if got := strings.TrimSpace(s.Must("id -nG bob; stat -c %U /home/bob; ls /home/bob -A | wc -l; ls -d /tmp/runbook-* | wc -l")); got !=
		"staff2 people\nbob\n3\n0" {
		t.Errorf("got %q", got)
	}
}

// An installer that does more than it should, under names of everyday: each is stopped where it stands.
func TestConfinedInstallers(t *testing.T) {
	t.Parallel()
	s := bareSite(t, lab.Options{})
	s.Must("useradd -m svc && mkdir -p /opt/other && echo theirs >/opt/other/f && echo key >/root/key && chmod 600 /root/key")
	for name, script := range map[string]string{
		"sudoers":      "echo 'svc ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/svc",
		"keys":         "mkdir -p /root/.ssh && echo key >>/root/.ssh/authorized_keys",
		"profile":      "echo 'PATH=/opt/app/bin:$PATH' >>/etc/profile",
		"library path": "echo /opt/app/lib >/etc/ld.so.conf.d/app.conf && ldconfig",
		"alternatives": "ln -sf /opt/app/bin/python /usr/local/bin/python",
		"home":         "echo 'alias ls=x' >>/home/svc/.bashrc",
		"neighbour":    "chmod -R 777 /opt/other",
		"replace":      "rm -rf /opt/other && ln -s /opt/app /opt/other",
		"account":      "useradd evil",
		"password":     "echo root:x | chpasswd",
		"spool":        "echo '* * * * * x' | crontab -",
		"package":      "rpm --initdb --dbpath /var/lib/rpm2",
		"firewall":     "iptables -I INPUT -j DROP",
		"interfaces":   "ip link set lo down",
		"log":          "rm -f /var/log/lastlog /var/log/wtmp /var/log/dpkg.log; echo x >/var/log/app",
	} {
		before := s.Snapshot("/root", "/var/lib/runbook", "/run", "/tmp")
		s.put("/root/i.star", "def i():\n    run([\"sh\", \"-ec\", "+strconv.Quote("mkdir -p /opt/app/bin\necho x >/opt/app/bin/tool\n"+script)+
			"], creates = \"/opt/app/\")\nstep(i)\n")
		s.run(1, "run", "/root/i.star", "--confine")
		s.Must("test -f /opt/app/bin/tool && rm -rf /opt/app /var/lib/runbook")
		if d := before.Diff(s.Snapshot("/root", "/var/lib/runbook", "/run", "/tmp")); len(d) > 0 {
			t.Errorf("%s: it changed %s", name, strings.Join(d, "\n"))
		}
	}
	s.put("/root/g.star", "def g():\n    run([\"sh\", \"-ec\", \"mkdir -p /opt/app/bin; cp /bin/true /opt/app/bin\"], creates = \"/opt/app/\")\nstep(g)\n")
	s.run(0, "run", "/root/g.star", "--confine")
	s.Must("test -x /opt/app/bin/true")
}

// The example of the README does what is said of it.
func TestConfineExample(t *testing.T) {
	if !confines() {
		lab.Skip(t, "this machine confines no commands")
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "## Confined commands")
	var code strings.Builder
	for line := range strings.Lines(section[:strings.Index(section, "\n## ")]) {
		if c, ok := strings.CutPrefix(line, "    "); ok || line == "\n" {
			code.WriteString(c)
		}
	}
	dir := t.TempDir()
	script := strings.ReplaceAll(confineExample, "APP.STAR", strings.NewReplacer("/opt/", dir+"/", "/media/", dir+"/").Replace(code.String()))
	if err := os.WriteFile(filepath.Join(dir, "example.txtar"), []byte(strings.ReplaceAll(script, "DIR", dir)), 0o644); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: dir, Setup: func(env *testscript.Env) error {
		env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "xdg"))
		return nil
	}})
}

// DIR stands for /opt and /media, and has the profile.
const confineExample = `exec cp good.sh DIR/install.sh
mkdir DIR/etc
cp was DIR/etc/profile
exec runbook run app.star --confine
exists DIR/app/tool
rm DIR/app
cp bad.sh DIR/install.sh
! exec runbook run app.star --confine
stderr 'it wanted to change DIR/etc/profile, which its effect does not declare'
stderr 'touches=\["DIR/etc/profile"\]'
cmp DIR/etc/profile was
-- good.sh --
mkdir -p "$1" && echo tool >"$1/tool"
-- was --
as it was
-- bad.sh --
mkdir -p "$1" && echo tool >"$1/tool" && echo x >>DIR/etc/profile
-- app.star --
APP.STAR
`

// The main job does under --confine what it does without: only what is listed is not confined.
func TestInstallConfined(t *testing.T) {
	t.Parallel()
	s, client := newSiteOf(t, expandedMedia(t), lab.Options{}), lab.New(t, lab.Options{Hostname: "client"})
	lab.Wire(t, s.Jail, client, "10.77.0.1/24", "10.77.0.2/24")
	s.install(0, "--dry-run", "--trace", "/root/dry.jsonl")
	out := s.install(0, "--confine", "--trace", "/root/real.jsonl")
	for line := range strings.Lines(out) {
		if _, why, ok := strings.Cut(line, "not enforced: "); ok {
			t.Log(why)
		}
	}
	if out := s.run(0, "audit", "diff", "/root/dry.jsonl", "/root/real.jsonl"); !strings.HasPrefix(out, "equal") {
		t.Errorf("got %s", out)
	}
	checkServer(t, s, client)
	checkMirrors(t, s)
}
