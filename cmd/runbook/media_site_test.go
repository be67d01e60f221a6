package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
	"runbook/runtime/host/sample"
)

// A siteFromMedia is a host on which the server was installed from what media.star laid out, at a
// place of its own and by a root with a tight umask.
type siteFromMedia struct {
	site
	out string // of the installation
}

// onSite are the flags of that installation.
var onSite = []string{"--var", "airgap=true", "--var", "installer_path=/mnt/media", "--var", "platforms=linux-64", "--var", "mirror_r=true", "--var", "mirror_wakari=true",
	"--var", "port80=true", "--var", "interface=lo", "--secret", "superuser_password=file:/root/password", "--ack", "licence"}

func newSiteFromMedia(t *testing.T) *siteFromMedia {
	t.Helper()
	sample.Slow(t, "it installs in a jail")
	m := newMedium(t, components...)
	m.run(0)
	if err := os.WriteFile(m.out+"/mongodb-org-2.6.8-1.x86_64.md5", []byte("not a package\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	j := lab.New(t, lab.Options{})
	j.Bind(m.out, "/mnt/media")
	j.Bind(binary(t), "/usr/local/bin/runbook")
	if err := j.WriteFile("/root/password", []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &siteFromMedia{site: site{Jail: j, t: t}}
	s.install(0, "--dry-run", "--trace", "/root/dry.jsonl")
	s.out = s.install(0, "--trace", "/root/real.jsonl")
	if out := s.run(0, "audit", "diff", "/root/dry.jsonl", "/root/real.jsonl"); !strings.HasPrefix(out, "equal") {
		t.Errorf("got %s", out)
	}
	return s
}

// install installs with no terminal, nobody to answer, and INSTALLER_PATH set to something else.
func (s *siteFromMedia) install(code int, more ...string) string {
	s.t.Helper()
	script := `umask 077; exec runbook run install.star "$@" </dev/null`
	argv := append(append([]string{"sh", "-c", script, "install"}, onSite...), more...)
	r := s.Exec(lab.Cmd{Argv: argv, Env: []string{"INSTALLER_PATH=/nowhere"}, Timeout: 5 * time.Minute})
	if r.Code != code {
		s.t.Fatalf("install %v: exit %d, want %d\n%s%s", more, r.Code, code, r.Out, r.Err)
	}
	return r.Out + r.Err
}

// again runs once more, with other flags if need be, and returns what it said to have changed.
func (s *siteFromMedia) again(more ...string) (changed string) {
	s.t.Helper()
	for line := range strings.Lines(s.install(0, more...)) {
		if strings.HasPrefix(line, "  changed ") {
			changed += line
		}
	}
	return changed
}

// want runs a script in the site; it must print text.
func (s *siteFromMedia) want(script, text string) {
	s.t.Helper()
	if have := strings.TrimSpace(s.Must(script)); have != text {
		s.t.Errorf("%s: got %q, want %q", script, have, text)
	}
}

// TestManualSite has the faults S10 to S20 of the manual's scripts, those of installing; see TestManualMedia.
func TestManualSite(t *testing.T) {
	t.Parallel()
	s := newSiteFromMedia(t)
	if changed := s.again(); changed != "" {
		t.Fatalf("the second run changed:\n%s", changed)
	}
	for _, test := range []struct {
		name string
		f    func(*siteFromMedia)
	}{{"S10", manualS10}, {"S11", manualS11}, {"S12", manualS12}, {"S13", manualS13}, {"S14", manualS14}, {"S15", manualS15},
		{"S16", manualS16}, {"S17", manualS17}, {"S18", manualS18}, {"S19", manualS19}, {"S20", manualS20}} {
		t.Run(test.name, func(t *testing.T) {
			part := *s
			part.t = t
			test.f(&part)
		})
	}
}

// S10: a mode given to mkdir is the last directory's only, the umask makes the others, and one that is there keeps its own.
func manualS10(s *siteFromMedia) {
	const modes = "stat -c %a /opt/anaconda-server /opt/anaconda-server/package-storage /var/log/anaconda-server | xargs"
	s.want(modes, "755 770 770")
	s.want("find /home/anaconda-server/miniconda2 -type d -perm 0700", "") // what commands make: root's umask was 077
	s.Must("chmod 700 /opt/anaconda-server/package-storage")
	if changed := s.again("--step", "directories"); strings.Count(changed, "\n") != 1 {
		s.t.Errorf("got changes:\n%s", changed)
	}
	s.want(modes, "755 770 770")
}

// S11: "chown user." guesses the group, and is ambiguous where names may hold dots.
func manualS11(s *siteFromMedia) {
	const strangers = "find /etc/anaconda-server /var/log/anaconda-server /opt/anaconda-server/package-storage ! -user anaconda-server -o ! -group anaconda-server"
	s.want(strangers, "")
	s.Must("touch /opt/anaconda-server/package-storage/note; chown anaconda-server:root /opt/anaconda-server/package-storage/note")
	s.again("--step", "directories")
	s.want(strangers, "")
	if out := s.install(3, "--dry-run", "--var", "service_user=anaconda.server"); !strings.Contains(out, `var service_user: got "anaconda.server"`) {
		s.t.Errorf("got %s", out)
	}
}

// S12: the line for cron and the configuration named a prefix that was never made.
func manualS12(s *siteFromMedia) {
	line := s.Must("crontab -u anaconda-server -l | grep ^@reboot")
	for _, word := range strings.Fields(line)[1:] {
		if strings.HasPrefix(word, "/") {
			s.Must("test -e " + word)
		}
	}
	if !strings.HasPrefix(line, "@reboot /home/anaconda-server/miniconda2/bin/supervisord") {
		s.t.Errorf("got %s", line)
	}
	s.want("su anaconda-server -c 'cd; grep -ohE \"/home/[^/]*/miniconda[^/]*\" miniconda2/etc/supervisord.conf | sort -u'", "/home/anaconda-server/miniconda2")
}

// S13: the installers went beside the directory from which they are served, "static" glued to their names.
func manualS13(s *siteFromMedia) {
	const static = "/home/anaconda-server/miniconda2/lib/python2.7/site-packages/binstar/static"
	if want := "not offered, because /mnt/media/anaconda-suite/miniconda lacks them: Miniconda3-latest-Windows-x86.exe, Miniconda-latest-Windows-x86.exe"; !strings.Contains(s.out, want) {
		s.t.Errorf("does not say %q:\n%s", want, s.out)
	}
	s.want("ls "+static+" | grep Miniconda || true", "")
	s.want("ls "+static+"/../ | grep Miniconda || true", "")
	for _, name := range []string{"Miniconda3-latest-Linux-x86_64.sh", "Miniconda-latest-Windows-x86_64.exe"} {
		s.Must("curl -fsS http://127.0.0.1:8080/static/extras/" + name + " | cmp - /mnt/media/anaconda-suite/miniconda/" + name)
	}
}

// S14: conda asked for a yes, and removing a channel that is gone is an error to it.
func manualS14(s *siteFromMedia) {
	const prefix = "/home/anaconda-server/miniconda2/"
	s.want("ls "+prefix+"conda-meta | grep -cE '^(anaconda-client|binstar-server|binstar-static|cas-mirror)-'", "4")
	s.want("grep -c defaults "+prefix+".condarc || true", "0")
	if changed := s.again("--step", "packages"); changed != "" {
		s.t.Errorf("got changes:\n%s", changed)
	}
}

// S15: each run appended to the mirror's configuration.
func manualS15(s *siteFromMedia) {
	const config = "/etc/anaconda-server/mirrors/conda.yaml"
	s.want("grep -c platforms: "+config, "1")
	s.again("--step", "mirror_anaconda", "--var", "platforms=linux-64,win-64")
	s.want("grep -c platforms: "+config, "1")
	s.want("grep -c win-64 "+config, "1")
	s.again("--step", "mirror_anaconda")
	s.want("grep -c win-64 "+config+" || true", "0")
}

// S16: the rules were for eth0, which many hosts do not have: everything "worked" and nothing was redirected.
func manualS16(s *siteFromMedia) {
	before := s.Must("iptables-save -t nat | grep -v ^#")
	out := s.install(3, "--var", "interface=eth7")
	if !strings.Contains(out, "there is no network interface eth7") || !strings.Contains(out, "this host has none but lo") {
		s.t.Errorf("got %s", out)
	}
	s.want("iptables-save -t nat | grep -v ^#", strings.TrimSpace(before))
}

// S17: iptables keeps --to-port under another name, so that comparing texts finds no rule; and the password stood in the script.
func manualS17(s *siteFromMedia) {
	if changed := s.again("--step", "port80"); changed != "" {
		s.t.Errorf("got changes:\n%s", changed)
	}
	s.want("iptables-save -t nat | grep -c 'REDIRECT --to-ports 8080'", "1")
	s.want("iptables-save -t filter | grep -c 'dport 80 .*ACCEPT'", "1")
	s.want("grep -rlF "+password+" /root/real.jsonl /var/lib/runbook /home /etc || true", "")
	s.want(`grep -c '"argv_exposed"' /root/real.jsonl | sed 's/[1-9][0-9]*/some/'`, "some")
	if strings.Contains(s.out, password) {
		s.t.Error("the output holds the password")
	}
}

// S18: nothing started the server, whose state was asked next.
func manualS18(s *siteFromMedia) {
	const status = "su anaconda-server -c 'cd; miniconda2/bin/supervisorctl -c miniconda2/etc/supervisord.conf status' | grep -c RUNNING"
	s.want(status, "11")
	// Stopped, it is started again.
	s.Must("su anaconda-server -c 'cd; miniconda2/bin/supervisorctl -c miniconda2/etc/supervisord.conf shutdown'")
	s.Must("for i in $(seq 50); do pgrep -u anaconda-server supervisord >/dev/null || exit 0; sleep 0.1; done; exit 1")
	if changed := s.again("--step", "supervisor"); changed == "" {
		s.t.Error("nothing changed")
	}
	s.want(status, "11")
}

// S19: the place of the media was a variable of root's shell, which "su -" forgets.
func manualS19(s *siteFromMedia) {
	s.want("grep -o file:.*pkgs /home/anaconda-server/miniconda2/.condarc", "file:///mnt/media/anaconda-suite/pkgs")
	s.want("grep -rl /nowhere /etc/anaconda-server /home/anaconda-server/miniconda2/etc /home/anaconda-server/miniconda2/.condarc || true", "")
}

// S20: the pattern for the packages took in files that are none, or was itself the name of a file when nothing matched.
func manualS20(s *siteFromMedia) {
	s.want("rpm -qa | grep -c ^mongodb-org", "5")
	s.Must("mkdir -p /mnt/empty/anaconda-suite; ln -s /mnt/media/anaconda-suite/miniconda /mnt/media/anaconda-suite/pkgs /mnt/empty/anaconda-suite")
	out := s.install(3, "--var", "installer_path=/mnt/empty")
	if !strings.Contains(out, "no mongodb-org*.rpm in /mnt/empty") {
		s.t.Errorf("got %s", out)
	}
}
