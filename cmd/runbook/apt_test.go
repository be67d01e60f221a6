package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
)

// A debian is a package that a test makes with dpkg-deb.
type debian struct {
	name, version, arch string            // the architecture is all if none is given
	more                string            // other fields: "Depends: x\n"
	files               map[string]string // by absolute name; what lies in DEBIAN is by its bare name
}

// deb makes a package in a directory of the site and returns its name.
func (s site) deb(dir string, d debian) string {
	s.t.Helper()
	if d.arch == "" {
		d.arch = "all"
	}
	version := d.version
	if _, rest, ok := strings.Cut(version, ":"); ok {
		version = rest
	}
	out := fmt.Sprintf("%s/%s_%s_%s.deb", dir, d.name, version, d.arch)
	tree := "/tmp/build"
	s.Must("rm -rf " + tree + " && mkdir -p " + dir + " " + tree + "/DEBIAN")
	s.put(tree+"/DEBIAN/control", fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: A <a@example.org>\n%sDescription: a test\n",
		d.name, d.version, d.arch, d.more))
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		file := tree + "/DEBIAN/" + name
		if path.IsAbs(name) {
			file = tree + name
		}
		s.Must("mkdir -p " + path.Dir(file))
		s.put(file, d.files[name])
		if strings.HasPrefix(d.files[name], "#!") {
			s.Must("chmod 755 " + file)
		}
	}
	s.Must("dpkg-deb --root-owner-group --build " + tree + " " + out)
	return out
}

// repository makes a repository of the packages in a directory, and has apt know no other.
func (s site) repository(dir string) {
	s.t.Helper()
	s.Must("cd " + dir + ` && for f in *.deb; do dpkg-deb -f $f; echo "Filename: ./$f"; echo "Size: $(stat -c %s $f)"; ` +
		`echo "SHA256: $(sha256sum $f | cut -d' ' -f1)"; echo; done >Packages
echo "deb [trusted=yes] file:` + dir + ` ./" >/etc/apt/sources.list && apt-get update`)
}

// aptSite is a Debian machine without a network.
func aptSite(t *testing.T) site {
	t.Helper()
	t.Parallel()
	s := bareSite(t, lab.Options{})
	s.put("/etc/apt/sources.list", "deb http://192.0.2.1/debian bookworm main\n")
	return s
}

// book writes a runbook of one step.
func (s site) bookOf(body string) string {
	s.t.Helper()
	s.put("/root/p.star", "def p():\n    "+strings.ReplaceAll(body, "\n", "\n    ")+"\nstep(p)\n")
	return "/root/p.star"
}

// thrice runs a step dry, really, and again: the two traces must be equal, and the third run changes nothing. It
// returns what the dry run and the run printed.
func (s site) thrice(body string) (dry, real string) {
	s.t.Helper()
	book := s.bookOf(body)
	s.Must("rm -f /root/dry.jsonl* /root/real.jsonl*")
	dry = s.run(0, "run", book, "--dry-run", "--trace", "/root/dry.jsonl")
	real = s.run(0, "run", book, "--trace", "/root/real.jsonl")
	if got := s.run(0, "audit", "diff", "/root/dry.jsonl", "/root/real.jsonl"); !strings.HasPrefix(got, "equal") {
		s.t.Errorf("%s: %s\n%s", body, got, s.Must("tail -n +1 /root/dry.jsonl /root/real.jsonl"))
	}
	if again := s.run(0, "run", book); strings.Contains(again, " changed") {
		s.t.Errorf("%s: the second run changed something:\n%s", body, again)
	}
	return dry, real
}

// forbids runs a step dry and really; both must fail with each text, and change nothing that dpkg knows.
func (s site) forbids(body string, texts ...string) {
	s.t.Helper()
	book := s.bookOf(body)
	before := s.read("/var/lib/dpkg/status")
	for _, args := range [][]string{{"run", book, "--dry-run"}, {"run", book}} {
		got := s.run(1, args...)
		for _, want := range texts {
			if !strings.Contains(got, want) {
				s.t.Errorf("%s %q: got %s, want %s", body, args, got, want)
			}
		}
	}
	if after := s.read("/var/lib/dpkg/status"); after != before {
		s.t.Errorf("%s changed the list of packages", body)
	}
}

// shows fails the test unless the output of a script is what is wanted.
func (s site) shows(script, want string) {
	s.t.Helper()
	if got := strings.TrimSpace(s.Must(script)); got != want {
		s.t.Errorf("%s: got %q, want %q", script, got, want)
	}
}

const statusOf = "dpkg-query -W -f '${db:Status-Abbrev} ${Version}\\n' "

// web is a server with a configuration, a service, an account and a library.
func web(version string) debian {
	return debian{name: "web", version: version, more: "Depends: libweb\n", files: map[string]string{
		"/usr/bin/web": "#!/bin/sh\necho web " + version + "\n", "/etc/web.conf": "port = 80 # " + version[:1] + "\n",
		"/etc/init.d/web":        "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: web\n# Default-Start: 2\n# Default-Stop: 0\n### END INIT INFO\necho $1 >>/var/log/web.log\n",
		"/usr/share/doc/web/new": "x\n", "conffiles": "/etc/web.conf\n/etc/init.d/web\n",
		"preinst":  "#!/bin/sh\nid web >/dev/null 2>&1 || useradd -r -M -d /var/lib/web -s /bin/false web\n",
		"postinst": "#!/bin/sh\nset -e\nif [ \"$1\" = configure ]; then\nupdate-rc.d web defaults >/dev/null\ninvoke-rc.d web start || true\nfi\n",
	}}
}

// Packages from a medium: what a dry run says of them is what dpkg and apt-get then do, and no repository is asked.
func TestAptFiles(t *testing.T) {
	s := aptSite(t)
	s.deb("/srv/media", web("1:2.0-1"))
	s.deb("/srv/media", debian{name: "libweb", version: "1.0"})
	s.put("/srv/media/libweb.md5", "x\n")
	dry, _ := s.thrice(`apt("/srv/media/*web*")
mkdir("/srv/web", owner = "web")`)
	for _, want := range []string{"web", "1:2.0-1", `user:web = "present"`, "libweb"} {
		if !strings.Contains(dry, want) {
			t.Errorf("got %s, want %s", dry, want)
		}
	}
	s.shows(statusOf+"web libweb", "ii  1.0\nii  1:2.0-1")
	s.shows("web; stat -c %U /srv/web", "web 1:2.0-1\nweb")
	trace := s.read("/root/real.jsonl")
	for _, want := range []string{`"deb:web":"1:2.0-1"`, `"inputs":[{"path":"/srv/media/libweb_1.0_all.deb"`, "noninteractive", "SourceList=/dev/null"} {
		if !strings.Contains(trace, want) {
			t.Errorf("got the trace %s, want %s", trace, want)
		}
	}
	if got := s.run(0, "why", "package:web", "/root/real.jsonl"); !strings.Contains(got, "deb:web = 1:2.0-1") {
		t.Errorf("why: got %s", got)
	}
	s.run(0, "audit", "recheck", "/root/real.jsonl")
	book := s.bookOf(`apt("libweb", state = "absent")`)
	if got := s.run(0, "run", book, "--dry-run"); !strings.Contains(got, "web     1:2.0-1 -> ") {
		t.Errorf("web needs libweb, and goes with it: got %s", got)
	}
	s.Must("dpkg --remove web && dpkg --purge libweb")
	if got := s.run(0, "audit", "recheck", "/root/real.jsonl"); !strings.Contains(got, "deb:libweb") {
		t.Errorf("recheck: got %s", got)
	}
	s.thrice(`apt("/srv/media/*web*")`)
	s.thrice(`apt("libweb", state = "absent")`)
	s.shows("dpkg-query -W -f '${db:Status-Abbrev} ${Package}\\n' web libweb", "un  libweb\nrc  web")
}

// Debian starts a service as it installs it, where the machine is up and nobody has forbidden it. Whether it did is for
// the run to see: the dry run says what would start it otherwise.
func TestAptServices(t *testing.T) {
	const daemon = "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: web\n# Default-Start: 2\n# Default-Stop: 0\n### END INIT INFO\n" +
		"case $1 in\nstart) setsid sleep 100 >/dev/null 2>&1 & echo $! >/run/web.pid; echo start >>/var/log/web;;\nstop) kill $(cat /run/web.pid); rm /run/web.pid;;\n" +
		"status) kill -0 $(cat /run/web.pid 2>/dev/null) 2>/dev/null || exit 3;;\nesac\n"
	for machine, script := range map[string]string{
		"up":        "printf '#!/bin/sh\necho N 2\n' >/sbin/runlevel; cp /sbin/runlevel /sbin/init; chmod 755 /sbin/runlevel /sbin/init",
		"forbidden": "printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d",
	} {
		t.Run(machine, func(t *testing.T) {
			s := aptSite(t)
			s.Must(script)
			d := web("1.0")
			d.more, d.files["/etc/init.d/web"] = "", daemon
			file := s.deb("/srv/media", d)
			s.thrice(`apt("` + file + `")
service("web")`)
			s.shows("cat /var/log/web", "start")
			started := strings.Contains(s.read("/root/real.jsonl"), `"argv":["service","web","start"]`)
			if started == (machine == "up") {
				t.Errorf("got %v: who started it?\n%s", started, s.read("/root/real.jsonl.out"))
			}
		})
	}
}

// Versions: older is replaced, newer stays, another epoch counts, and going back is refused where it is asked for.
func TestAptVersions(t *testing.T) {
	s := aptSite(t)
	for _, v := range []string{"1.0", "2.0", "1:0.5"} {
		s.deb("/srv/repo", debian{name: "tool", version: v})
	}
	s.repository("/srv/repo")
	_, real := s.thrice(`apt("tool=1.0")`)
	if !strings.Contains(real, "1.0") {
		t.Errorf("got %s", real)
	}
	s.thrice(`apt("/srv/repo/tool_2.0_all.deb")`)
	if got := s.read("/root/real.jsonl"); !strings.Contains(got, `{"what":"tool","from":"1.0","to":"2.0"}`) {
		t.Errorf("got %s", got)
	}
	s.forbids(`apt("tool=1.0")`, "tool: 2.0 is installed, which is newer than 1.0", "going back")
	s.thrice(`apt("/srv/repo/tool_1.0_all.deb")`)
	s.shows(statusOf+"tool", "ii  2.0")
	if got := s.read("/root/real.jsonl"); !strings.Contains(got, `"newer":"tool 2.0"`) {
		t.Errorf("got %s", got)
	}
	s.thrice(`apt("tool=1:0.5")`)
	s.shows(statusOf+"tool", "ii  1:0.5")
	s.thrice(`apt("tool")`)
	book := s.bookOf(`apt("tool=2:9.9")`)
	if got := s.run(1, "run", book); !strings.Contains(got, "apt-cache policy") {
		t.Errorf("got %s", got)
	}
	book = s.bookOf(`apt("nothing")`)
	if got := s.run(1, "run", book); !strings.Contains(got, "no repository has it") {
		t.Errorf("got %s", got)
	}
}

// A configuration file that somebody changed stays; one that nobody did is replaced; one that was deleted stays away.
func TestAptConffiles(t *testing.T) {
	s := aptSite(t)
	conf := func(version string) debian {
		return debian{name: "conf", version: version, files: map[string]string{
			"/etc/c/edited": version + "\n", "/etc/c/plain": version + "\n", "/etc/c/gone": version + "\n", "conffiles": "/etc/c/edited\n/etc/c/plain\n/etc/c/gone\n"}}
	}
	old, fresh := s.deb("/srv/a", conf("1")), s.deb("/srv/b", conf("2"))
	s.thrice(`apt("` + old + `")`)
	s.Must("echo mine >/etc/c/edited; rm /etc/c/gone")
	s.thrice(`apt("` + fresh + `")
log(read("/etc/c/edited"))
if exists("/etc/c/gone"):
    fail("is there")`)
	s.shows("cat /etc/c/edited /etc/c/plain; ls /etc/c", "mine\n2\nedited\nedited.dpkg-dist\ngone.dpkg-dist\nplain")
}

// What is half done is seen, and ended: a script that failed, and a dpkg that was broken off.
func TestAptHalfConfigured(t *testing.T) {
	s := aptSite(t)
	sick := debian{name: "sick", version: "1.0", files: map[string]string{"postinst": "#!/bin/sh\ntest -e /srv/cured || { echo no cure >&2; exit 7; }\n"}}
	file := s.deb("/srv/media", sick)
	book := s.bookOf(`apt("` + file + `")`)
	if got := s.run(1, "run", book); !strings.Contains(got, "half configured") || !strings.Contains(got, "exit status 100") {
		t.Errorf("got %s", got)
	}
	s.shows(statusOf+"sick", "iF  1.0")
	if got := s.run(0, "run", book, "--dry-run"); !strings.Contains(got, "half-configured 1.0") {
		t.Errorf("got %s", got)
	}
	s.put("/srv/cured", "")
	s.thrice(`apt("` + file + `")`)
	s.shows(statusOf+"sick", "ii  1.0")

	s.Must("rm /srv/cured; dpkg --purge sick; ! dpkg -i " + file + " && touch /srv/cured")
	s.thrice(`apt("sick")`)
	s.shows(statusOf+"sick", "ii  1.0")

	s.Must("dpkg --purge sick; dpkg --unpack " + file)
	s.put("/var/lib/dpkg/updates/0000", s.Must("sed -n '/^Package: sick$/,/^$/p' /var/lib/dpkg/status"))
	s.thrice(`apt("sick")`)
	s.shows(statusOf+"sick; ls /var/lib/dpkg/updates", "ii  1.0")
}

// A package that is broken off before it is unpacked, or while it is, is taken up again from its file.
func TestAptHalfInstalled(t *testing.T) {
	s := aptSite(t)
	timid := debian{name: "timid", version: "1.0", files: map[string]string{"/opt/timid": "x\n", "preinst": "#!/bin/sh\ntest -e /srv/cured\n"}}
	file := s.deb("/srv/media", timid)
	book := s.bookOf(`apt("` + file + `")`)
	if got := s.run(1, "run", book); !strings.Contains(got, "its script failed") {
		t.Errorf("got %s", got)
	}
	s.put("/srv/cured", "")
	s.thrice(`apt("` + file + `")`)
	s.shows(statusOf+"timid", "ii  1.0")
	s.Must("rm /opt/timid; sed -i '/^Package: timid$/,/^$/s/^Status: .*/Status: install reinstreq half-installed/' /var/lib/dpkg/status")
	s.thrice(`apt("` + file + `")`)
	s.shows(statusOf+"timid; cat /opt/timid", "ii  1.0\nx")
}

// Packages for another architecture than the machine's are told from its own.
func TestAptForeign(t *testing.T) {
	s := aptSite(t)
	s.Must("dpkg --add-architecture s390x")
	own := strings.TrimSpace(s.Must("dpkg --print-architecture"))
	foreign := s.deb("/srv/a", debian{name: "lib", version: "1.0", arch: "s390x", more: "Multi-Arch: same\n", files: map[string]string{"/opt/s390x": "x\n"}})
	native := s.deb("/srv/a", debian{name: "lib", version: "1.0", arch: own, more: "Multi-Arch: same\n", files: map[string]string{"/opt/own": "x\n"}})
	s.thrice(`apt("` + foreign + `")`)
	s.thrice(`apt("` + native + `")`)
	s.shows("dpkg-query -W -f '${db:Status-Abbrev} ${Package}:${Architecture}\\n' lib:s390x lib:"+own+" | sort", "ii  lib:"+own+"\nii  lib:s390x")
	s.thrice(`apt("lib:s390x", state = "absent")`)
	s.shows("ls /opt/*", "/opt/own")
	s.thrice(`apt("lib", state = "absent")`)
}

// What cannot be is refused before anything is changed, by the dry run with the same words.
func TestAptRefuses(t *testing.T) {
	s := aptSite(t)
	file := s.deb("/srv/media", debian{name: "plain", version: "1.0"})
	fresh := s.deb("/srv/media", debian{name: "plain", version: "2.0"})
	foreign := s.deb("/srv/media", debian{name: "other", version: "1.0", arch: "s390x"})
	s.Must("head -c 300 " + file + " >/srv/media/cut.deb; echo '<html>' >/srv/media/page.deb")
	s.forbids(`apt("/srv/media/nothing*")`, "no .deb file matches", "there is: cut.deb")
	s.forbids(`apt("/srv/media/cut.deb")`, "ends early", "damaged or no Debian package")
	s.forbids(`apt("/srv/media/page.deb")`, "no Debian package")
	s.forbids(`apt("`+foreign+`")`, "other is for s390x, want one for "+strings.TrimSpace(s.Must("dpkg --print-architecture")), "--add-architecture s390x")
	s.forbids(`apt("/srv/media/plain*")`, "are both plain", "name only one")
	s.thrice(`apt("` + file + `")`)
	s.Must("apt-mark hold plain")
	s.forbids(`apt("`+fresh+`")`, "plain is on hold at 1.0, want 2.0", "apt-mark unhold plain")
	s.forbids(`apt("plain", state = "absent")`, "on hold", "want it removed")
	s.thrice(`apt("plain")`)
	s.Must("apt-mark unhold plain")

	needy := s.deb("/srv/needy", debian{name: "needy", version: "1.0", more: "Depends: absent (>= 2)\n"})
	rival := s.deb("/srv/rival", debian{name: "rival", version: "1.0", more: "Conflicts: plain\n"})
	clash := s.deb("/srv/clash", debian{name: "clash", version: "1.0", files: map[string]string{"/usr/bin/perl": "x\n"}})
	for file, want := range map[string]string{
		needy: "name the packages that it needs", rival: "it conflicts with what is installed",
		clash: "two packages have the same file",
	} {
		book := s.bookOf(`apt("` + file + `")`)
		if got := s.run(1, "run", book); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", file, got, want)
		}
		s.shows(statusOf+"plain", "ii  1.0")
	}
}

// A package by URL is fetched once, and installed as a file.
func TestAptURL(t *testing.T) {
	s := aptSite(t)
	s.deb("/srv/www", debian{name: "plain", version: "1:1.0"})
	s.Must("mv /srv/www/plain_1.0_all.deb /srv/www/plain_1:1.0_all.deb")
	if _, err := s.Start(lab.Cmd{Argv: []string{"python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", "/srv/www", "8000"}}); err != nil {
		t.Fatal(err)
	}
	s.Must("until curl -fs http://127.0.0.1:8000/ >/dev/null; do sleep 0.05; done")
	s.thrice(`apt("http://127.0.0.1:8000/plain_1%3a1.0_all.deb")`)
	s.shows(statusOf+"plain; ls /var/cache/runbook", "ii  1:1.0\nplain_1%3a1.0_all.deb")
	book := s.bookOf(`apt("http://127.0.0.1:8000/none_1.0_all.deb")`)
	if got := s.run(1, "run", book); !strings.Contains(got, "got status 404") {
		t.Errorf("got %s", got)
	}
}

// A lock that somebody holds is waited for, and whoever watches is told who it is.
func TestAptWaits(t *testing.T) {
	s := aptSite(t)
	file := s.deb("/srv/media", debian{name: "plain", version: "1.0"})
	s.put("/srv/hold.py", "import fcntl, time\nf = open('/var/lib/dpkg/lock-frontend', 'w')\nfcntl.lockf(f, fcntl.LOCK_EX)\n"+
		"open('/srv/held', 'w')\ntime.sleep(3)\n")
	if _, err := s.Start(lab.Cmd{Argv: []string{"python3", "/srv/hold.py"}}); err != nil {
		t.Fatal(err)
	}
	s.Must("until test -e /srv/held; do sleep 0.05; done")
	book, began := s.bookOf(`apt("`+file+`")`), time.Now()
	s.run(0, "run", book, "--dry-run")
	s.run(0, "run", book, "--trace", "/root/real.jsonl")
	if spent := time.Since(began); spent < 2*time.Second {
		t.Errorf("it took %s, want as long as the lock was held", spent)
	}
	if got := s.read("/root/real.jsonl"); !strings.Contains(got, `"waited_for":"python3 (process `) ||
		!strings.Contains(got, "which holds /var/lib/dpkg/lock-frontend") {
		t.Errorf("got %s", got)
	}
	s.shows(statusOf+"plain", "ii  1.0")
}

// A package manager is never killed: what ends the run waits until dpkg is done, and a lost terminal ends nothing.
func TestAptInterrupted(t *testing.T) {
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 130, syscall.SIGHUP: 0} {
		t.Run(signal.String(), func(t *testing.T) {
			s := aptSite(t)
			file := s.deb("/srv/media", debian{name: "slow", version: "1.0", files: map[string]string{"postinst": "#!/bin/sh\ntouch /srv/begun\nsleep 1\n"}})
			book := s.bookOf(`apt("` + file + `")`)
			p, err := s.Start(lab.Cmd{Argv: []string{"/usr/local/bin/runbook", "run", book}})
			if err != nil {
				t.Fatal(err)
			}
			s.Must("until test -e /srv/begun; do sleep 0.02; done")
			p.Signal(signal)
			if r := p.Wait(); r.Code != want {
				t.Errorf("got exit %d, want %d\n%s%s", r.Code, want, r.Out, r.Err)
			}
			s.shows(statusOf+"slow", "ii  1.0")
		})
	}
}
