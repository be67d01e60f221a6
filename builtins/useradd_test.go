package builtins

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"runbook/runtime/host"
)

// fakeUseradd does what the real ones do with the options that are passed.
var fakeUseradd = map[string]string{
	"/usr/bin/getent": "exit 2",
	"/usr/bin/useradd": `home= mk= sh= own= gid= c=
while [ $# -gt 1 ]; do case $1 in
-d) home=$2; shift;; -s) sh=$2; shift;; -c) c=$2; shift;; -u) uid=$2; shift;; -g) gid=$2; shift;; -G) more=$2; shift;;
-m) mk=1;; -U) own=1;; esac; shift; done
[ "$1" = taken ] && { echo "useradd: UID is not unique" >&2; exit 4; }
[ $own ] && { gid=$1; echo "$1:x:1001:" >> $R/etc/group; }
n=$(sed -n "s/^$gid:x:\([0-9]*\):.*/\1/p" $R/etc/group | head -1)
echo "$1:x:${uid:-0}:$n:$c:$home:$sh" >> $R/etc/passwd
for g in $(echo $more | tr , ' '); do sed -i "s/^$g:x:\([0-9]*\):$/$g:x:\1:$1/" $R/etc/group; done
if [ $mk ] && [ ! -d $R$home ]; then mkdir -m 700 $R$home && cp -a $R/etc/skel/. $R$home; chmod 700 $R$home; fi; true`,
	"/usr/bin/usermod": `for n; do :; done
while [ $# -gt 1 ]; do case $1 in
-s) sed -i "/^$n:/s,[^:]*$,$2," $R/etc/passwd; shift;;
-c) sed -i "s,^\($n:x:[0-9]*:[0-9]*:\)[^:]*,\1$2," $R/etc/passwd; shift;;
-G) for g in $(echo $2 | tr , ' '); do sed -i "s/^$g:x:\([0-9]*\):.*$/$g:x:\1:$n/" $R/etc/group; done; shift;;
esac; shift; done`,
	"/etc/skel/.bashrc":     "# rc\n",
	"/etc/skel/.config/one": "1",
	"/etc/login.defs":       "# mode\nUMASK\t022\nHOME_MODE\t0700\n",
}

func TestUseradd(t *testing.T) {
	m := newMachine(t, fakeUseradd)
	_, real := m.thrice(`useradd("app", groups = ["wheel", "adm"], comment = "the app")`)
	m.shows(strings.Join(eventTexts(real), ""), "[useradd -d /home/app -s /bin/bash -c the app -m -U -G adm,wheel app]")
	_, real = m.thrice(`useradd("app", shell = "/bin/sh", comment = "else", groups = ["nogroup"])`)
	m.shows(strings.Join(eventTexts(real), ""), "[usermod -s /bin/sh -c else -a -G nogroup app]")
	m.shows(m.read("/etc/passwd"), "app:x:0:1001:else:/home/app:/bin/sh\n")
	m.shows(m.read("/etc/group"), "nogroup:x:65534:app\n")
	m.thrice(`useradd("sys", create_home = False, group = "adm", uid = 77, system = True)`)
}

// Later steps of a dry run see the home directory and what is in it.
func TestUseraddPredictsHome(t *testing.T) {
	m := newMachine(t, fakeUseradd)
	l := m.local()
	o := host.NewOverlay(l, l.Self())
	op := &useraddOp{name: "app", createHome: true}
	todo, err := op.Check(t.Context(), o)
	for _, a := range todo {
		if a.Do != nil {
			err = errors.Join(err, a.Do(t.Context(), o))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	rc, err := host.ReadFile(o, "/home/app/.bashrc")
	if err != nil || string(rc) != "# rc\n" {
		t.Errorf("got %q, %v", rc, err)
	}
	for name, mode := range map[string]fs.FileMode{"/home/app": fs.ModeDir | 0o700, "/home/app/.config/one": 0o644} {
		have, err := o.Lstat(name)
		if err != nil || have.Mode != mode || have.Owner != (host.Owner{User: "app", Group: "app"}) {
			t.Errorf("%s: got %v %v, %v", name, have.Mode, have.Owner, err)
		}
	}
}

func TestUseraddRepairsHome(t *testing.T) {
	m := newMachine(t, fakeUseradd)
	m.write("/etc/passwd", m.read("/etc/passwd")+"app:x:0:0::/home/app:/bin/sh\n")
	m.thrice(`useradd("app")`)
	if m.read("/home/app/.config/one") != "1" {
		t.Error("no skeleton")
	}
}

func TestUseraddRefuses(t *testing.T) {
	m := newMachine(t, fakeUseradd)
	m.write("/etc/passwd", m.read("/etc/passwd")+"app:x:5:0::/home/app:/bin/sh\n")
	m.fails(`useradd("a b")`, "want letters")
	m.fails(`useradd("-r")`, "want letters")
	m.fails(`useradd("app", uid = 6)`, "has number 5, want 6")
	m.fails(`useradd("new", uid = 5)`, "number 5: got user app, want none with it")
	m.fails(`useradd("app", home = "/srv/app")`, "has home /home/app")
	m.fails(`useradd("new", groups = ["none"])`, "no group none")
	m.fails(`useradd("new", home = "/srv/a/b")`, `mkdir("/srv/a")`)
	m.fails(`useradd("new", home = "/etc/passwd/b")`, "want a directory")
	m.fails(`useradd("new", comment = "a:b")`, "colon")
	if _, err := m.real(`useradd("taken")`); !says(err, "another account has that number") {
		t.Errorf("got %v", err)
	}
}

func TestHomeMode(t *testing.T) {
	for text, want := range map[string]fs.FileMode{
		"": 0o755, "UMASK 077\n": 0o700, "UMASK x\n": 0o755,
		"UMASK 022\nHOME_MODE 0750": 0o750, "#HOME_MODE 0700\n UMASK\t027 \n": 0o750,
	} {
		m := newMachine(t, map[string]string{"/etc/login.defs": text})
		if have, err := homeMode(m.local()); err != nil || have != want {
			t.Errorf("%q: got %v, %v, want %v", text, have, err, want)
		}
	}
}
