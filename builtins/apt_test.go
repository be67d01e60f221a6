package builtins

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"runbook/runtime"
	"runbook/runtime/host"
)

// fakeDpkg keeps dpkg's list, and installs what the names of files and NAME=VERSION say.
var fakeDpkg = map[string]string{
	"/usr/bin/apt-get": `[ "$1" = --simulate ] && { echo "Remv old [1.0]"; echo "Remv kept [1.0]"; exit; }
echo "$@" >>$R/var/calls; verb=$1; S=$R/var/lib/dpkg/status
[ "$DEBIAN_FRONTEND" = noninteractive ] || exit 9
for p; do case $p in install|remove|-*|*::*|DPkg*|Dpkg*|Dir*) continue;; esac
case $p in
/*) b=${p##*/}; n=${b%%_*}; v=${b#*_}; v=${v%%_*};;
*=*) n=${p%%=*}; v=${p#*=};;
*) n=$p; v=9;;
esac
case $n in
missing) echo "E: Unable to locate package missing" >&2; exit 100;;
sick) printf 'Package: sick\nStatus: install ok half-configured\nArchitecture: all\nVersion: 1\n\n' >>$S
  echo "dpkg: error processing package sick (--configure):" >&2; echo "installed sick package post-installation script subprocess returned error exit status 7" >&2; exit 100;;
web) mkdir -p $R/usr/share/web; echo x >$R/etc/init.d/web; chmod 755 $R/etc/init.d/web
  echo "web:x:99:99::/var/lib/web:/bin/false" >>$R/etc/passwd; echo "web:x:99:" >>$R/etc/group;;
esac
mv $S $S.old; sed "/^Package: $n\$/,/^\$/d" $S.old >$S
[ $verb = remove ] || printf 'Package: %s\nStatus: install ok installed\nArchitecture: all\nVersion: %s\n\n' $n $v >>$S
done`,
	"/usr/bin/dpkg":              `echo "dpkg $@" >>$R/var/calls; rm $R/var/lib/dpkg/updates/*`,
	"/usr/bin/service":           sysv["/usr/bin/service"],
	"/etc/init.d/.keep":          "",
	"/var/lib/dpkg/updates/.dir": "",
	"/var/lib/dpkg/status": "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21\n\n" +
		"Package: old\nStatus: install ok installed\nArchitecture: all\nVersion: 1.0\n\n" +
		"Package: kept\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 1.0\n\n",
	"/srv/media/notes.list": "",
}

func newAptMachine(t *testing.T) *machine {
	m := newMachine(t, fakeDpkg)
	m.must(removeFile(m, "/var/lib/dpkg/updates/.dir"))
	m.write("/srv/media/web_2.0-1_all.deb", debText("web", "2.0-1", "all"))
	m.write("/srv/media/tool_1.1_amd64.deb", debText("tool", "1.1", "amd64"))
	return m
}

func removeFile(m *machine, name string) error {
	return m.local().Remove(name, 1)
}

// debText is a package; web brings a service, an account and a directory of its own.
func debText(name, version, arch string) string {
	control := "Package: " + name + "\nVersion: " + version + "\nArchitecture: " + arch + "\n"
	members := []tar.Header{{Name: "./control", Linkname: control}}
	data := []tar.Header{{Name: "./usr/share/doc/" + name + "/README", Linkname: "x"}}
	if name == "web" {
		members = append(members, tar.Header{Name: "./preinst", Linkname: "adduser --system --group --home /var/lib/web --shell /bin/false web\n"})
		data = append(data, tar.Header{Name: "./etc/init.d/web", Linkname: "x", Mode: 0o755},
			tar.Header{Name: "./usr/share/web/", Typeflag: tar.TypeDir, Mode: 0o755})
	}
	text := "!<arch>\n"
	for _, m := range [][2]string{{"debian-binary", "2.0\n"}, {"control.tar", tarText(members)}, {"data.tar", tarText(data)}} {
		text += fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", m[0], 0, 0, 0, "100644", len(m[1]), m[1])
	}
	return text
}

func tarText(headers []tar.Header) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		text := h.Linkname
		h.Linkname, h.Uname, h.Gname, h.Size = "", "root", "root", int64(len(text))
		_ = w.WriteHeader(&h)
		fmt.Fprint(w, text)
	}
	w.Close()
	return b.String()
}

// Packages from a medium, then the service that one of them brings.
func TestAptFromFiles(t *testing.T) {
	m := newAptMachine(t)
	m.write("/etc/init.d/src", daemon)
	dry, _ := m.thrice("apt('/srv/media/*_*')\nuseradd('web', home = '/var/lib/web', shell = '/bin/false', create_home = False)")
	want := "install -y --no-remove -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=600 " +
		"-o Dpkg::Use-Pty=0 -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=/dev/null " +
		"/srv/media/tool_1.1_amd64.deb /srv/media/web_2.0-1_all.deb\n"
	if got := m.read("/var/calls"); got != want {
		t.Errorf("got %s", got)
	}
	m.shows(strings.Join(guesses(dry), "\n"), `service:web = "stopped"`, `user:web = "present"`, `group:web = "present"`)
}

func TestAptPredictsFiles(t *testing.T) {
	m := newAptMachine(t)
	l := m.local()
	o := host.NewOverlay(l, l.Self())
	todo, err := (&aptOp{packages: []string{"/srv/media/web_2.0-1_all.deb"}}).Check(t.Context(), o)
	for _, a := range todo {
		if a.Do != nil {
			err = errors.Join(err, a.Do(t.Context(), o))
		}
	}
	m.must(err)
	if have, err := o.Lstat("/etc/init.d/web"); err != nil || have.Mode != 0o755 {
		t.Errorf("got %v, %v", have, err)
	}
	if _, err := o.Lstat("/usr/share/doc/web/README"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v: documentation need not be installed", err)
	}
	if have, err := o.Fact(t.Context(), fact(debKind, "web")); err != nil || have != "2.0-1" {
		t.Errorf("got %q, %v", have, err)
	}
}

func TestAptNames(t *testing.T) {
	m := newAptMachine(t)
	_, real := m.thrice(`apt(["old=1.5", "git"])`)
	m.shows(strings.Join(eventTexts(real), ""), "[{old 1.0 1.5} {git  present}]")
	_, real = m.thrice(`apt(["old", "git"], state = "absent")`)
	m.shows(strings.Join(eventTexts(real), ""), "[{old 1.5 } {git 9 } {kept 1.0 }]")
	m.write("/var/lib/dpkg/status", fakeDpkg["/var/lib/dpkg/status"])
	m.thrice(`apt("none", state = "absent")`)
	m.fails(`apt("kept=2.0")`, "kept is on hold at 1.0, want 2.0")
	m.fails(`apt("kept=0.5")`, "newer than 0.5")
	m.thrice(`apt(["kept", "kept=1.0"][:1])`)
	dry, err := m.dry(`apt("https://example.org/a/new_1.0_all.deb")` + "\nservice('newd')")
	m.must(err)
	m.shows(strings.Join(guesses(dry), "\n"), "new_1.0_all.deb is new 1.0", "service newd is installed and stopped")
}

// dpkg that was broken off ends first what it had begun.
func TestAptInterrupted(t *testing.T) {
	m := newAptMachine(t)
	m.write("/var/lib/dpkg/updates/0000", "Package: x\n")
	_, real := m.thrice(`apt("old")`)
	m.shows(strings.Join(eventTexts(real), ""), "[{dpkg interrupted configured}]")
	m.shows(m.read("/var/calls"), "dpkg --force-confdef --force-confold --configure --pending\n")
}

func TestAptRefuses(t *testing.T) {
	m := newAptMachine(t)
	m.write("/srv/media/broken.deb", "<html>"+strings.Repeat("x", 200))
	m.write("/srv/other/tool_1.1_s390x.deb", debText("tool", "1.1", "s390x"))
	m.write("/srv/b/web_2.1_all.deb", debText("web", "2.1", "all"))
	m.fails(`apt("/srv/media/nginx*")`, "there is: broken.deb")
	m.fails(`apt("/srv/none/x*")`, "no such file or directory")
	m.fails(`apt("/srv/media/broken.deb")`, "is no Debian package")
	m.fails(`apt(["/srv/media/web*", "/srv/b/*"])`, "are both web")
	m.fails(`apt("/srv/other/tool_1.1_s390x.deb")`, "tool is for s390x, want one for amd64")
	for call, want := range map[string]string{
		`"web*"`: "list the names", `"a.deb"`: "begin it with /", `"-y"`: "want a name", `"nginx/stable"`: "without a release",
		`"nginx = 1.2"`: "write the version in full", `"nginx=one"`: "write the version in full", `"Nginx"`: "want a name", `[]`: "want at least one",
		`"https://example.org/x.deb"`: "NAME_VERSION_ARCH.deb", `"a1=1", state = "absent"`: "without a version", `"a1", state = "latest"`: "want present or absent",
	} {
		m.fails("apt("+call+")", want)
	}
	for name, want := range map[string]string{"missing": "apt-get update", "sick": "half configured"} {
		if _, err := m.real(`apt("` + name + `")`); err == nil || !strings.Contains(runtime.HintOf(err), want) {
			t.Errorf("%s: got %v, %s", name, err, runtime.HintOf(err))
		}
	}
	dry, err := m.dry(`apt("sick")`)
	m.must(err)
	m.shows(strings.Join(eventTexts(dry), ""), "[{sick half-configured 1 present}]")
}

// A lock counts only while its holder lives, and only if that has the file open.
func TestHolder(t *testing.T) {
	m := newMachine(t, map[string]string{"/run/yum.pid": "123\n", "/var/lib/lock": ""})
	if got := holder(m.local(), "/run/yum.pid"); got != "" {
		t.Errorf("got %q", got)
	}
	m.write("/proc/123/comm", "yum\n")
	if got := holder(m.local(), "/run/yum.pid"); got != "yum (process 123), which holds /run/yum.pid" {
		t.Errorf("got %q", got)
	}
	m.write("/proc/123/comm", "sshd\n")
	if got := holder(m.local(), "/run/yum.pid"); got != "" {
		t.Errorf("got %q", got)
	}
	m.write("/proc/123/comm", "yum\n")
	ino := m.local().LstatAll("/var/lib", []string{"lock"})[0].Ino
	m.write("/proc/locks", fmt.Sprintf("1: POSIX  ADVISORY  WRITE 123 00:38:%d 0 EOF\n1: -> POSIX  ADVISORY  WRITE 9 00:38:%d 0 EOF\n", ino, ino))
	if got := holder(m.local(), "/var/lib/lock"); got != "" {
		t.Errorf("got %q", got)
	}
	m.must(m.local().Mkdir("/proc/123/fd", host.Meta{Mode: 0o755}))
	m.must(m.local().Symlink("/var/lib/lock", "/proc/123/fd/3", host.Owner{}))
	if got := holder(m.local(), "/var/lib/lock"); got != "yum (process 123), which holds /var/lib/lock" {
		t.Errorf("got %q", got)
	}
}
