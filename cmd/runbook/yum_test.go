package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/rpmpack"

	"runbook/cmd/runbook/internal/lab"
)

// rpm makes a package in a directory of the site and returns its name. The note tells builds of one version apart.
func (s site) rpm(dir, name, version, arch, note string, more ...func(*rpmpack.RPM)) string {
	s.t.Helper()
	meta := rpmpack.RPMMetaData{Name: name, Version: version, Release: "1", Arch: arch, OS: "linux", Summary: note, Licence: "none",
		Compressor: "gzip", BuildTime: time.Unix(1420070400, 0)}
	if epoch, rest, ok := strings.Cut(version, ":"); ok {
		meta.Version, meta.Epoch = rest, uint32(epoch[0]-'0')
	}
	r, err := rpmpack.NewRPM(meta)
	if err != nil {
		s.t.Fatal(err)
	}
	r.AddFile(rpmpack.RPMFile{Name: "/opt/" + name + "/" + arch, Body: []byte(note), Mode: 0o100644, Owner: "root", Group: "root"})
	for _, add := range more {
		add(r)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		s.t.Fatal(err)
	}
	file := fmt.Sprintf("%s/%s-%s-1.%s.rpm", dir, name, meta.Version, arch)
	s.Must("mkdir -p " + dir)
	s.put(file, b.String())
	return file
}

const evrOf = "rpm -q --qf '%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}.%{ARCH}\\n' "

// Versions, epochs, builds and architectures are told apart, with the real dnf and rpm.
func TestYumFilesForReal(t *testing.T) {
	t.Parallel()
	s := bareSite(t, lab.Options{})
	one, two := s.rpm("/srv/a", "tool", "1.0", "x86_64", "one"), s.rpm("/srv/a", "tool", "2.0", "x86_64", "two")
	again, epoch := s.rpm("/srv/b", "tool", "2.0", "x86_64", "another build"), s.rpm("/srv/b", "tool", "1:1.0", "x86_64", "epoch")
	s.thrice(`yum("` + one + `")`)
	s.thrice(`yum("` + two + `")`)
	s.changed(`{"what":"tool","from":"1.0-1","to":"2.0-1"}`, "of files not checked, as this machine is set up")
	s.thrice(`yum("` + one + `")`)
	s.changed(`"newer":"tool 2.0-1"`)
	s.shows("rm -rf /srv/a; "+evrOf+"tool", "0:2.0-1.x86_64")
	s.thrice(`yum("` + again + `")`)
	s.changed(`"from":"2.0-1, another build"`, `"reinstall"`, `"rpm-build:tool `)
	s.shows("rpm -q --qf '%{SUMMARY}' tool; cat /opt/tool/x86_64", "another buildanother build")
	s.run(0, "audit", "recheck", "/root/real.jsonl")
	s.thrice(`yum("` + epoch + `")`)
	s.shows(evrOf+"tool", "1:1.0-1.x86_64")

	s.rpm("/srv/c", "tool", "1:1.0", "i686", "small")
	s.thrice(`yum("/srv/c/*")`)
	s.changed(`{"what":"tool","from":"1:1.0-1.x86_64","to":"1:1.0-1.i686"}`)
	s.shows(evrOf+"tool | sort", "1:1.0-1.i686\n1:1.0-1.x86_64")
	s.thrice(`yum("tool", state = "absent")`)
}

// changed fails the test unless the trace of the last run has each text.
func (s site) changed(texts ...string) {
	s.t.Helper()
	trace := s.read("/root/real.jsonl")
	for _, want := range texts {
		if !strings.Contains(trace, want) {
			s.t.Errorf("got %s, want %s", trace, want)
		}
	}
}

// Names with versions, from a repository on disk.
func TestYumNamesForReal(t *testing.T) {
	t.Parallel()
	s := bareSite(t, lab.Options{})
	s.rpm("/srv/repo", "tool", "1.0", "x86_64", "one")
	s.rpm("/srv/repo", "tool", "2.0", "x86_64", "two")
	s.rpm("/srv/repo", "other", "3.0", "noarch", "three")
	s.Must("createrepo_c -q /srv/repo")
	s.put("/etc/yum.repos.d/local.repo", "[local]\nname=local\nbaseurl=file:///srv/repo\ngpgcheck=0\n")
	unsigned := s.bookOf(`yum("other", gpg_check = True)`)
	if got := s.run(1, "run", unsigned); !strings.Contains(got, "import the key that signed it") {
		t.Errorf("got %s", got)
	}
	s.thrice(`yum(["tool-1.0", "other"])`)
	s.shows(evrOf+"tool other", "0:1.0-1.x86_64\n0:3.0-1.noarch")
	s.thrice(`yum("tool-2.0-1.x86_64")`)
	s.changed(`"from":"1.0-1","to":"present"`, "of repositories as they are set up")
	book := s.bookOf(`yum("tool-1.0")`)
	for _, args := range [][]string{{"run", book, "--dry-run"}, {"run", book}} {
		if got := s.run(1, args...); !strings.Contains(got, "tool: 2.0-1 is installed, which is newer than 1.0") {
			t.Errorf("got %s", got)
		}
	}
	s.shows(evrOf+"tool", "0:2.0-1.x86_64")
}

// Signatures: an unsigned file is taken unless the runbook wants them checked.
func TestYumSignaturesForReal(t *testing.T) {
	t.Parallel()
	s := bareSite(t, lab.Options{})
	file := s.rpm("/srv/a", "tool", "1.0", "x86_64", "one")
	foreign := s.rpm("/srv/a", "alien", "1.0", "aarch64", "one")
	book := s.bookOf(`yum("` + file + `", gpg_check = True)`)
	if got := s.run(1, "run", book); !strings.Contains(got, "is not signed") {
		t.Errorf("got %s", got)
	}
	s.Must("echo localpkg_gpgcheck=1 >>/etc/dnf/dnf.conf")
	book = s.bookOf(`yum("` + file + `")`)
	if got := s.run(1, "run", book); !strings.Contains(got, "is not signed") {
		t.Errorf("got %s", got)
	}
	if got := s.run(0, "run", book, "--dry-run"); !strings.Contains(got, "of files checked, as this machine is set up") {
		t.Errorf("got %s", got)
	}
	s.thrice(`yum("` + file + `", gpg_check = False)`)
	s.changed(`"--nogpgcheck"`, `"signatures":"not checked"`, `"gpg_check":false`)
	book = s.bookOf(`yum("` + foreign + `")`)
	if got := s.run(1, "run", book, "--dry-run"); !strings.Contains(got, "alien is for aarch64, want one for x86_64") {
		t.Errorf("got %s", got)
	}
}

// A database that somebody has locked is waited for, and whoever watches is told who did.
func TestYumWaits(t *testing.T) {
	t.Parallel()
	s := bareSite(t, lab.Options{})
	file := s.rpm("/srv/a", "tool", "1.0", "x86_64", "one")
	s.put("/srv/hold.py", "import fcntl, time\nf = open('/var/lib/rpm/.rpm.lock', 'a')\nfcntl.lockf(f, fcntl.LOCK_EX)\nopen('/srv/held', 'w')\ntime.sleep(3)\n")
	if _, err := s.Start(lab.Cmd{Argv: []string{"python3", "/srv/hold.py"}}); err != nil {
		t.Fatal(err)
	}
	s.Must("until test -e /srv/held; do sleep 0.05; done")
	s.thrice(`yum("` + file + `")`)
	s.changed(`"waited_for":"python3 (process `, "which holds /var/lib/rpm/.rpm.lock")
	s.shows(evrOf+"tool", "0:1.0-1.x86_64")
}
