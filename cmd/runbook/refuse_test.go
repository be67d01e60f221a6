package main

import (
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"runbook/cmd/runbook/internal/lab"
	"runbook/runtime/host/sample"
)

// A refusal is something that keeps an installation from going through.
type refusal struct {
	spoil string   // a script that brings it about; the media are in /media
	args  []string // more flags
	code  int
	says  []string // of what is written to standard error, in order
	cure  string   // what the message says to do; "" if nothing was changed
}

const (
	mediaHint = "check --var installer_path=..."
	firstOfR  = "$(ls /media/R/pkgs/linux-64/*.tar.bz2 | head -1)"
	server    = "/media/anaconda-suite/pkgs/linux-64/binstar-server-2.17.2-py27_0.tar.bz2"
	mongod    = "/media/mongodb-org-server-2.6.8-1.x86_64.rpm"
	miniconda = "/media/anaconda-suite/miniconda/Miniconda2-latest-Linux-x86_64.sh"
	leave     = `leave() { fallocate -l $(($(df --output=avail -B1 / | tail -1) - $1)) /fill; }; leave `
	// so much is left that the smallest part of the channel is mirrored and the largest is not
	fullBeforeMirroring = "runbook run install.star $FLAGS --step mongodb,account,directories,miniconda,packages,configure,superuser,database,supervisor,licence,extras >/dev/null && " +
		leave + "1500000"
)

// unready are hosts and command lines with which nothing may be begun.
var unready = map[string]refusal{
	"unknown var":                   {"", []string{"--var", "airgpa=true"}, 2, []string{`no var "airgpa"`, `did you mean "airgap"?`}, ""},
	"no secret":                     {"rm /root/password", nil, 3, []string{"secret superuser_password: open /root/password: no such file"}, ""},
	"empty secret":                  {": > /root/password", nil, 3, []string{"secret superuser_password: got 0 characters, want at least 4"}, ""},
	"no MongoDB":                    {"rm /media/mongodb-org*", nil, 3, []string{"no mongodb-org*.rpm in /media", mediaHint}, ""},
	"no installer":                  {"rm " + miniconda, nil, 3, []string{"no " + miniconda, mediaHint}, ""},
	"no channel":                    {"rm -r /media/R", nil, 3, []string{"no channel in /media/R/pkgs", mediaHint}, ""},
	"no index":                      {"rm /media/R/pkgs/*/repodata.json", nil, 3, []string{"no channel in /media/R/pkgs", mediaHint}, ""},
	"ports taken":                   {listen("27017") + listen("8080"), nil, 3, []string{"2 requirements are not met", "port 27017 is in use by python3 (stop it", "port 8080 is in use by python3 (stop it, or choose another port: --var port=...)"}, ""},
	"no interface":                  {"", []string{"--var", "interface=eth7"}, 3, []string{"there is no network interface eth7 (this host has none but lo"}, ""},
	"too little space":              {"", []string{"--var", "min_free_gb=5000"}, 3, []string{"GB free for /opt/anaconda-server/package-storage, want 5000 (--var storage="}, ""},
	"no room for the vendor's copy": {"sed -i '0,/\"size\": [0-9]*/s//\"size\": 900000000000/' /media/R/pkgs/linux-64/repodata.json", []string{"--var", "min_free_gb=1"}, 3, []string{"GB free for /opt/anaconda-server/package-storage, want 838.2 (", "storage=... is another place"}, ""},
	"no cron":                       {"rm /usr/bin/crontab", nil, 3, []string{"there is no cron, which starts the server after a reboot (install it: apt-get install cron)"}, ""},
	"nothing restores rules":        {": > /sbin/init", nil, 3, []string{"nothing here restores firewall rules at boot", "apt-get install iptables-persistent", "--var rules_restored=true"}, ""},
	"MongoDB 3.0":                   {"cd /media; for f in mongodb-org*; do mv $f ${f/2.6.8/3.0.1}; done", nil, 3, []string{"mongodb-org-server-3.0.1-1.x86_64.rpm in /media is MongoDB 3.0.1, want 2.6.8 or later, before 3.0 (check --var installer_path"}, ""},
	"MongoDB 2.6.7":                 {"mv " + mongod + " /media/mongodb-org-server-2.6.7-1.x86_64.rpm", nil, 3, []string{"is MongoDB 2.6.7, want 2.6.8", "several versions of MongoDB in /media: 2.6.7, 2.6.8"}, ""},
	"storage is a system directory": {"", []string{"--var", "storage=/usr"}, 3, []string{"/usr is a directory of the system, which the server must not own (--var storage=... is another place)"}, ""},
	"storage in a system directory": {"", []string{"--var", "storage=/etc/packages"}, 3, []string{"/etc/packages is a directory of the system"}, ""},
	"storage for everybody":         {"", []string{"--var", "storage=/opt", "--var", "mirror_dir=/var/lib"}, 3, []string{"/opt is a directory of the system", "/var/lib is a directory of the system", "--var mirror_dir="}, ""},
	"storage in the mirror":         {"", []string{"--var", "storage=/srv/mirror/store", "--var", "mirror_dir=/srv/mirror"}, 3, []string{"storage=/srv/mirror/store lies in mirror_dir: each needs a place of its own"}, ""},
	"storage of others":             {"mkdir /srv/data; touch /srv/data/file", []string{"--var", "storage=/srv/data"}, 3, []string{"/srv/data is not empty and belongs to root: its files would be given to anaconda-server (--var storage=... is another place"}, ""},
	"MongoDB's port":                {"", []string{"--var", "port=27017"}, 3, []string{"port 27017 is MongoDB's (--var port=... is another one)"}, ""},
	"root's port":                   {"", []string{"--var", "port=443"}, 3, []string{"port 443 is not one that an account may open: 1024 to 65535 (--var port=... is another one; --var port80=true"}, ""},
	"no port":                       {"", []string{"--var", "port=70000"}, 3, []string{"port 70000 is not one that an account may open"}, ""},
	"port 80 taken":                 {listen("80"), nil, 3, []string{"port 80 is in use by python3 (stop it: its clients would get the server instead; or leave out --var port80=true)"}, ""},
	"several": {"rm -r /media/R /media/mongodb*", []string{"--var", "interface=eth7", "--var", "min_memory_gb=5000"}, 3,
		[]string{"4 requirements are not met", "GB of memory, want 5000 (--var min_memory_gb=", "mongodb-org*.rpm", "no channel", "eth7"}, ""},
	"read-only": {"mount -o remount,ro /", nil, 1, []string{"state directory: mkdir /var/lib/runbook: read-only file system", "--state DIR"}, ""},
}

// unfit are media and hosts that turn out to be unfit underway.
var unfit = map[string]refusal{
	"package listed but gone":     {"mv " + firstOfR + " /tmp", nil, 1, []string{"step mirror_r_channel", "1 package could not be mirrored:\nlinux-64/", ": is listed and missing at the source", "everything else is in place", "Replace the bad files"}, "mv /tmp/*.tar.bz2 /media/R/pkgs/linux-64"},
	"package cut off":             {"cp " + firstOfR + " /tmp; truncate -s -10 " + firstOfR, nil, 1, []string{"1 package could not be mirrored:\nlinux-64/", " bytes at the source, want ", "everything else is in place"}, "mv /tmp/*.tar.bz2 /media/R/pkgs/linux-64"},
	"package damaged":             {"cp " + firstOfR + " /tmp; printf X | dd of=" + firstOfR + " bs=1 seek=100 conv=notrunc", nil, 1, []string{"got md5:", "want md5:", "Replace the bad files"}, "mv /tmp/*.tar.bz2 /media/R/pkgs/linux-64"},
	"index cut off":               {"cp /media/R/pkgs/noarch/repodata.json /tmp; echo { > /media/R/pkgs/noarch/repodata.json", nil, 1, []string{"file:///media/R/pkgs/noarch/repodata.json: line 2", "damaged or cut off"}, "mv /tmp/repodata.json /media/R/pkgs/noarch"},
	"server's package gone":       {"mv " + server + " /tmp", nil, 1, []string{"step packages: conda.install", server, "no such file", "see what it printed"}, "mv /tmp/binstar* " + server},
	"server's package cut":        {"cp " + server + " /tmp; truncate -s 100 " + server, nil, 1, []string{"step packages: conda.install", "MD5 sums mismatch", server}, "mv /tmp/binstar* " + server},
	"rpm gone":                    {"mv " + mongod + " /tmp", nil, 1, []string{"step mongodb: yum", "nothing provides mongodb-org-server = 2.6.8", "name the packages that it needs"}, "mv /tmp/mongodb* " + mongod},
	"rpm cut off":                 {"cp " + mongod + " /tmp; truncate -s 3000 " + mongod, nil, 1, []string{"step mongodb: yum", "mongodb-org-server", "the file is damaged: fetch it again"}, "mv /tmp/mongodb* " + mongod},
	"rpm is a web page":           {"cp " + mongod + " /tmp; echo '<html>' > " + mongod, nil, 1, []string{"step mongodb: yum", mongod, "damaged or no RPM: fetch it again"}, "mv /tmp/mongodb* " + mongod},
	"another rpm":                 {"cp " + mongod + " /tmp; cp /media/mongodb-org-tools* " + mongod, nil, 1, []string{"are both mongodb-org-tools", "name only one"}, "mv /tmp/mongodb* " + mongod},
	"installer cut off":           {"cp " + miniconda + " /tmp; truncate -s 9000 " + miniconda, nil, 1, []string{"step miniconda: conda.bootstrap", "Unexpected EOF", "whether the installer is whole"}, "mv /tmp/Mini* " + miniconda},
	"installer is a web page":     {"cp " + miniconda + " /tmp; echo '<html>' > " + miniconda, nil, 1, []string{"step miniconda: conda.bootstrap", "is not a shell script", "error page"}, "mv /tmp/Mini* " + miniconda},
	"media for root only":         {"chmod 700 /media", nil, 1, []string{"step miniconda: conda.bootstrap", "Permission denied", "whether the account can read it"}, "chmod 755 /media"},
	"disk full at once":           {leave + "100000", nil, 1, []string{"step mongodb: yum", "0 MB free for /var/lib/rpm, want 16", "make room"}, "rm /fill"},
	"disk full while copying":     {leave + "18000000", nil, 1, []string{"no space left on device (", "bytes needed", "make room on the file system of /home/"}, "rm /fill"},
	"disk full while mirroring":   {"chmod -R g+w /media/anaconda-suite/pkgs; " + fullBeforeMirroring, nil, 1, []string{"step mirror_anaconda: mirror", "no space left on device", "make room on the file system of /opt/"}, "rm /fill"}, // else they are linked
	"disk full while registering": {fullBeforeMirroring, nil, 1, []string{"step mirror_anaconda: run", "anaconda-server-sync-conda", "no space left on device"}, "rm /fill"},
	"no room for the trace":       {"mkdir /small; mount -t tmpfs -o size=64k small /small", []string{"--trace", "/small/trace"}, 1, []string{"trace: write /small/trace: no space left on device", "nothing is done that the trace cannot tell of"}, "umount /small"},
}

// listen is a script that takes a port on this host.
func listen(port string) string {
	return `python3 -c 'import os, socket, time; s = socket.create_server(("", ` + port + `)); os.fork() and os._exit(0); time.sleep(600)' >/dev/null 2>&1; `
}

// What cannot be done is refused in words that say what to do, with the right exit code, and before anything changes.
func TestUnready(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(unready)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := newSpoilt(t, unready[name]), unready[name]
			defer s.Kill()
			before := s.Snapshot("/root", "/var/lib/runbook")
			s.refuses(c)
			if d := before.Diff(s.Snapshot("/root", "/var/lib/runbook")); len(d) > 0 {
				t.Errorf("changed:\n%s", strings.Join(d, "\n"))
			}
		})
	}
}

// Hosts and command lines that look odd and are fine: the dry run goes through.
func TestReady(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]refusal{
		"rules are restored by init":      {": > /sbin/init; ln -s ../init.d/x /etc/rc2.d/S01netfilter-persistent", nil, 0, nil, ""},
		"rules are restored by systemd":   {": > /sbin/init; mkdir -p /etc/systemd/system/basic.target.wants; ln -s x /etc/systemd/system/basic.target.wants/iptables.service", nil, 0, nil, ""},
		"rules are restored by something": {": > /sbin/init", []string{"--var", "rules_restored=true"}, 0, nil, ""},
		"nothing restores rules":          {"", nil, 0, []string{"nothing here restores firewall rules at boot: those for port 80 will be gone; and there is no /sbin/init"}, ""},
		"storage below /usr/local":        {"", []string{"--var", "storage=/usr/local/anaconda/store"}, 0, nil, ""},
		"storage is there and empty":      {"mkdir /srv/data", []string{"--var", "storage=/srv/data"}, 0, nil, ""},
		"the site's account":              {"useradd -m -s /bin/bash -g users builder", []string{"--var", "service_user=builder", "--var", "service_group=users"}, 0, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSpoilt(t, c)
			defer s.Kill()
			r := s.Exec(lab.Cmd{Argv: append(fromMedia("/usr/local/bin/runbook", "run", "install.star", "--dry-run"), c.args...)})
			if r.Code != c.code {
				t.Errorf("got exit %d, want %d\n%s%s", r.Code, c.code, r.Out, r.Err)
			}
			for _, want := range c.says {
				if !strings.Contains(r.Out+r.Err, want) {
					t.Errorf("does not say %q:\n%s%s", want, r.Out, r.Err)
				}
			}
		})
	}
}

// What fails underway leaves nothing that the next run does not mend, once the message was heeded.
func TestUnfit(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(unfit)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := newSpoilt(t, unfit[name]), unfit[name]
			defer s.Kill()
			s.refuses(c)
			s.Must(c.cure)
			s.run(0, fromMedia("run", "install.star")...)
			s.run(0, fromMedia("run", "install.star", "--dry-run", "--exit-code")...)
			s.clean()
		})
	}
}

// newSpoilt is a site with media that can be changed, and are. Its disk is small, since some fill it.
func newSpoilt(t *testing.T, c refusal) site {
	t.Helper()
	sample.Slow(t, "it installs in a jail")
	s := newSiteOf(t, expandedMedia(t), lab.Options{SizeMB: 300})
	flags := "FLAGS='" + strings.Join(fromMedia(), " ") + "'\n"
	s.Must("cp -a /installer/. /media && chmod 755 /media\n" + flags + c.spoil)
	return s
}

// fromMedia adds the flags of an installation from media that can be changed.
func fromMedia(args ...string) []string {
	return slices.Concat(args, alone, []string{"--var", "installer_path=/media", "--var", "min_free_gb=0"})
}

// refuses runs the installation, which must be refused as c says.
func (s site) refuses(c refusal) {
	s.t.Helper()
	r := s.Exec(lab.Cmd{Argv: append(fromMedia("/usr/local/bin/runbook", "run", "install.star"), c.args...)})
	if r.Code != c.code {
		s.t.Errorf("got exit %d, want %d\n%s", r.Code, c.code, r.Out)
	}
	rest := r.Err
	for _, want := range c.says {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			s.t.Errorf("does not say %q:\n%s", want, r.Err)
			return
		}
		rest = after
	}
	if n := strings.Count(r.Err, c.says[0]); n != 1 {
		s.t.Errorf("says %d times %q:\n%s", n, c.says[0], r.Err)
	}
}

// clean looks for what only a run under way may have.
func (s site) clean() {
	s.t.Helper()
	if out := s.Must("find / -xdev \\( -name '.runbook-*' -o -name '*.part' -o -name '*.new' -o -name '*-incomplete' \\) ! -name .runbook-mirror"); out != "" {
		s.t.Errorf("left behind:\n%s", out)
	}
}

// Without root's rights, and without a password, nothing is begun either.
func TestUnreadyUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, expandedMedia(t))
	args := []string{"/usr/local/bin/runbook", "run", "install.star", "--var", "airgap=true"}
	r := s.Exec(lab.Cmd{Argv: append(args, "--secret", "superuser_password=env:PW"), UID: 65534, GID: 65534, Env: []string{"PW=" + password, "HOME=/tmp"}})
	if r.Code != 3 || !strings.Contains(r.Err, "this runbook needs root (run it as root, or with sudo)") {
		t.Errorf("as nobody: exit %d\n%s", r.Code, r.Err)
	}
	r = s.Exec(lab.Cmd{Argv: args})
	if r.Code != 3 || !strings.Contains(r.Err, "secret superuser_password is missing\n  hint: give it with --secret superuser_password=file:PATH") {
		t.Errorf("without a password: exit %d\n%s", r.Code, r.Err)
	}
}

// A second run is told who is at work. A run that was killed is no obstacle, whatever its lock says.
func TestSecondRun(t *testing.T) {
	t.Parallel()
	s := bareSite(t, lab.Options{})
	s.put("/root/one.star", "def one():\n    mkdir(\"/srv/one\")\n\nstep(one)\n")
	g := s.gate("/root/first.jsonl", "run", "/root/one.star")
	g.hold(2)
	out := s.run(1, "run", "/root/one.star")
	for _, want := range []string{"another run holds it: pid ", ", root, one.star, since 20", "nothing was changed"} {
		if !strings.Contains(out, want) {
			t.Errorf("does not say %q:\n%s", want, out)
		}
	}
	s.run(0, "run", "/root/one.star", "--dry-run") // takes no lock
	g.end(syscall.SIGKILL)
	s.run(0, "run", "/root/one.star")
}
