package builtins

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/rpmpack"

	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// fakeRPM keeps the versions of packages in files and installs what the names
// of files say; mongodb-org-server brings what its header says.
var fakeRPM = map[string]string{
	"/usr/bin/rpm": `[ "$1" = --eval ] && { echo x86_64; exit; }
[ -e $R/var/rpms/$4 ] || { echo "package $4 is not installed"; exit 1; }
case $3 in *ARCH*) echo x86_64;; *SHA256*) cat $R/var/headers/$4 2>/dev/null || echo "(none)";; *SHA1*) exit 1;; *) cat $R/var/rpms/$4;; esac`,
	"/usr/bin/yum": `echo "$@" >> $R/var/calls; verb=$1; shift 2; mkdir -p $R/var/headers
for p; do case $p in --*) continue;; esac
b=${p##*/}; n=${b%%-[0-9]*}; v=${b#$n-}; v=${v%.x86_64.rpm}; [ $v = $n ] && v=1-1
case $n in
missing) echo "Error: Unable to find a match: missing" >&2; exit 1;;
sick) echo "Error in POSTIN scriptlet in rpm package sick";;
mongodb-org-server) cp $R/srv/mongod $R/etc/init.d/mongod; chmod 755 $R/etc/init.d/mongod; mkdir -p $R/var/lib/mongo
  echo "mongod:x:99:99::/var/lib/mongo:/bin/false" >> $R/etc/passwd; echo "mongod:x:99:" >> $R/etc/group;;
esac
if [ $verb = reinstall ]; then cp $R/srv/header $R/var/headers/$n; elif [ $verb = install ]; then echo $v > $R/var/rpms/$n; else rm $R/var/rpms/$n; fi; done`,
	"/usr/bin/service":           sysv["/usr/bin/service"],
	"/etc/init.d/.keep":          "",
	"/var/rpms/.keep":            "",
	"/srv/media/notes.list":      "",
	"/srv/media/mongodb-org.md5": "",
}

// newYumMachine has the packages of the manual on a medium.
func newYumMachine(t *testing.T) *machine {
	m := newMachine(t, fakeRPM)
	m.write("/etc/init.d/src", daemon)
	m.write("/srv/mongod", m.read("/etc/init.d/src"))
	for _, name := range []string{"mongodb-org", "mongodb-org-server", "mongodb-org-tools"} {
		m.write("/srv/media/"+name+"-2.6.8-1.x86_64.rpm", packageText(t, name, "2.6.8"))
	}
	return m
}

func packageText(t *testing.T, name, version string) string {
	t.Helper()
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{
		Name: name, Version: version, Release: "1", Arch: "x86_64", OS: "linux", Compressor: "gzip",
	})
	if err != nil {
		t.Fatal(err)
	}
	if name == "mongodb-org-server" {
		for _, f := range []rpmpack.RPMFile{
			{Name: "/etc/init.d/mongod", Body: []byte("x"), Mode: 0o100755, Owner: "root", Group: "root"},
			{Name: "/var/lib/mongo", Mode: 0o040755, Owner: "mongod", Group: "mongod"},
			{Name: "/usr/share/doc/mongodb/README", Body: []byte("x"), Mode: 0o100644, Owner: "root", Group: "root"},
		} {
			r.AddFile(f)
		}
		r.AddPrein("useradd -r -M -d /var/lib/mongo -s /bin/false mongod\n")
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The step of the manual: packages from a medium, then the service that they bring.
func TestYumFiles(t *testing.T) {
	m := newYumMachine(t)
	dry, _ := m.thrice("yum('/srv/media/mongodb-org*')\nservice('mongod')")
	const version = "-2.6.8-1.x86_64.rpm"
	want := "install -y --disablerepo=* /srv/media/mongodb-org" + version + " /srv/media/mongodb-org-server" + version +
		" /srv/media/mongodb-org-tools" + version + "\n"
	if got := m.read("/var/calls"); got != want {
		t.Errorf("got %s", got)
	}
	notes := strings.Join(guesses(dry), "\n")
	for _, want := range []string{`service:mongod = "stopped"`, `user:mongod = "present"`} {
		if !strings.Contains(notes, want) {
			t.Errorf("got %s, want %s", notes, want)
		}
	}
}

// The group of an account that a package's script makes is a guess, which the run confirms.
func TestYumPredictsOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root may give files away")
	}
	m := newYumMachine(t)
	m.write("/srv/app/etc/.keep", "")
	dry, _ := m.thrice(`yum("/srv/media/mongodb-org*")
conda.channels("/srv/app", add = ["file:///x"], user = "mongod")`)
	m.shows(strings.Join(guesses(dry), "\n"), "the group of mongod is mongod")
}

// What the script does not say of an account is assumed: the run, which knows, may leave
// out what the dry run would have changed.
func TestUseraddAfterAScript(t *testing.T) {
	m := newYumMachine(t)
	m.write("/usr/bin/usermod", "exit 1")
	dry, err := m.dry(`yum("/srv/media/mongodb-org*")
useradd("mongod", group = "mongod", shell = "/bin/sh", create_home = False)`)
	if err != nil {
		t.Fatal(err)
	}
	m.shows(strings.Join(eventTexts(dry), ""), "shell /bin/false /bin/sh", "[usermod -g mongod -s /bin/sh mongod]")
	m.shows(strings.Join(guesses(dry), ""), "the account mongod is as an earlier command makes it")
	m.write("/etc/passwd", m.read("/etc/passwd")+"mongod:x:99:99::/var/lib/mongo:/bin/sh\n")
	m.write("/etc/group", m.read("/etc/group")+"mongod:x:99:\n")
	real, err := m.real(`yum("/srv/media/mongodb-org*")
useradd("mongod", group = "mongod", shell = "/bin/sh", create_home = False)`)
	if d := trace.Diff(withoutOp(dry, "yum"), withoutOp(real, "yum")); err != nil || !d.Equal || len(d.Assumed) != 1 {
		t.Errorf("got %v, %v", err, d)
	}
}

// withoutOp leaves out an op with its effects and its result.
func withoutOp(events []trace.Event, name string) (rest []trace.Event) {
	inside := false
	for _, e := range events {
		inside = inside || e.Kind == trace.Op && e.Op == name
		if !inside {
			rest = append(rest, e)
		}
		if e.Kind == trace.Result {
			inside = false
		}
	}
	return rest
}

// Later steps of a dry run see the files of a package and who owns them.
func TestYumPredictsFiles(t *testing.T) {
	m := newYumMachine(t)
	l := m.local()
	o := host.NewOverlay(l, l.Self())
	op := &yumOp{packages: []string{"/srv/media/mongodb-org-server-2.6.8-1.x86_64.rpm"}}
	todo, err := op.Check(t.Context(), o)
	for _, a := range todo {
		if a.Do != nil {
			err = errors.Join(err, a.Do(t.Context(), o))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	have, err := o.Lstat("/var/lib/mongo")
	if err != nil || have.Mode != fs.ModeDir|0o755 || have.User != "mongod" {
		t.Errorf("got %v, %v", have, err)
	}
	if _, err := host.ReadFile(o, "/etc/init.d/mongod"); !errors.Is(err, host.ErrUnknown) {
		t.Errorf("got %v, want unknown content", err)
	}
	if _, err := o.Lstat("/usr/share/doc/mongodb/README"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v: documentation need not be installed", err)
	}
}

func TestYumVersions(t *testing.T) {
	m := newYumMachine(t)
	m.write("/var/rpms/mongodb-org", "2.10.0-1\n")
	m.write("/var/rpms/mongodb-org-tools", "2.6.7-9\n")
	_, real := m.thrice(`yum(["/srv/media/mongodb-org-2.6.8-1.x86_64.rpm",
    "file:///srv/media/mongodb-org-tools-2.6.8-1.x86_64.rpm"])`)
	if all := strings.Join(eventTexts(real), ""); !strings.Contains(all, "[{mongodb-org-tools 2.6.7-9 2.6.8-1}]") {
		t.Errorf("got %s: a newer package must stay, an older one is replaced", all)
	}
	m.shows(m.read("/var/calls"), "install -y --disablerepo=* /srv/media/mongodb-org-tools-2.6.8-1.x86_64.rpm\n")
	m.thrice(`yum(["mongodb-org", "mongodb-org-tools"], state = "absent")`)
	m.thrice(`yum(["git", "https://example.org/a/tool-1.0-2.x86_64.rpm"])`)
	m.shows(m.read("/var/calls"), "\ninstall -y --setopt=localpkg_gpgcheck=1 git https://example.org/a/tool-1.0-2.x86_64.rpm\n")
}

// A file that only an earlier step would fetch, and names: what they bring
// nobody knows, so a service is taken for theirs.
func TestYumUnknownContent(t *testing.T) {
	m := newYumMachine(t)
	for _, what := range []string{`run("fetch", creates = "/srv/new-1.0-1.x86_64.rpm")
yum("/srv/new-1.0-1.x86_64.rpm")`, `yum("new")`} {
		dry, err := m.dry(what + "\nservice('newd')")
		m.must(err)
		m.shows(strings.Join(guesses(dry), "\n"), "service newd is installed and stopped")
	}
}

// What is installed in the wanted version may be another build, or for another machine.
func TestYumBuilds(t *testing.T) {
	m := newYumMachine(t)
	const file = "/srv/media/mongodb-org-2.6.8-1.x86_64.rpm"
	m.write("/var/rpms/mongodb-org", "2.6.8-1\n")
	m.write("/var/headers/mongodb-org", strings.Repeat("a", 64)+"\n")
	p, err := readPackage(m.local(), file)
	m.must(err)
	m.write("/srv/header", p.header.SHA256+"\n")
	_, real := m.thrice(`yum("` + file + `", gpg_check = True)`)
	m.shows(strings.Join(eventTexts(real), ""), "{mongodb-org 2.6.8-1, another build 2.6.8-1, header "+p.header.SHA256[:12]+"}")
	m.shows(m.read("/var/calls"), "reinstall -y --disablerepo=* --setopt=gpgcheck=1 --setopt=*.gpgcheck=1 --setopt=localpkg_gpgcheck=1 "+file+"\n")
	m.write("/usr/bin/rpm", strings.ReplaceAll(fakeRPM["/usr/bin/rpm"], "echo x86_64;;", "echo i686;;"))
	dry, err := m.dry(`yum("` + file + `", gpg_check = False)`)
	m.must(err)
	m.shows(strings.Join(eventTexts(dry), ""), "{mongodb-org 2.6.8-1.i686 2.6.8-1.x86_64}", "[yum install -y --disablerepo=* --nogpgcheck "+file, "not checked")
	m.write("/usr/bin/rpm", strings.ReplaceAll(fakeRPM["/usr/bin/rpm"], "echo x86_64; exit", "echo aarch64; exit"))
	m.fails(`yum("`+file+`")`, "mongodb-org is for x86_64, want one for aarch64")
}

// A version that is named is not gone back to.
func TestYumLabels(t *testing.T) {
	m := newYumMachine(t)
	m.write("/var/rpms/mongodb-org", "2.6.8-1\n")
	for _, label := range []string{"mongodb-org-2.6.9", "mongodb-org-1:2.6.7"} {
		dry, err := m.dry(`yum("` + label + `")`)
		m.must(err)
		m.shows(strings.Join(eventTexts(dry), ""), " 2.6.8-1 present}", "[yum install -y "+label+"]")
	}
	m.fails(`yum("mongodb-org-2.6.7-1.x86_64")`, "mongodb-org: 2.6.8-1 is installed, which is newer than 2.6.7-1")
	m.fails(`yum("nginx = 1.20")`, "write it as in nginx-1.20.1")
	m.fails(`yum("a", gpg_check = "no")`, "want a bool")
}

func TestYumRefuses(t *testing.T) {
	m := newYumMachine(t)
	m.write("/srv/media/broken.rpm", "<html>"+strings.Repeat("x", 200))
	m.write("/srv/b/mongodb-org-2.6.9-1.x86_64.rpm", packageText(t, "mongodb-org", "2.6.9"))
	m.fails(`yum("/srv/media/nginx*")`, "there is: broken.rpm mongodb-org-2.6.8-1.x86_64.rpm")
	m.fails(`yum("/srv/none/x*")`, "no such file or directory")
	m.fails(`yum("/srv/media/broken.rpm")`, "is no RPM package")
	m.fails(`yum(["/srv/media/mongodb-org-2*", "/srv/b/*"])`, "are both mongodb-org")
	m.fails(`yum("mongodb-org*")`, "list the names")
	m.fails(`yum("a.rpm")`, "begin it with /")
	m.fails(`yum("-y")`, "want a name")
	m.fails(`yum([])`, "want at least one")
	m.fails(`yum("a", state = "latest")`, "want present or absent")
	_, err := m.real(`yum("missing")`)
	if err == nil || !strings.Contains(runtime.HintOf(err), "no repository has it") {
		t.Errorf("got %v", err)
	}
	_, err = m.real(`yum("sick")`)
	if err == nil || !strings.Contains(err.Error(), "installed, but not set up") {
		t.Errorf("got %v: yum exits with 0 when a scriptlet failed", err)
	}
}
