package builtins

import (
	"strings"
	"testing"
)

// unitSystemd reads units on daemon-reload, and knows of each whether its file is another since.
var unitSystemd = map[string]string{
	"/run/systemd/system/.keep": "",
	"/etc/systemd/system/.keep": "",
	"/usr/bin/systemctl": `case "$1" in
show) if [ -e $R/etc/systemd/system/$4 ] && ! /usr/bin/cmp -s $R/etc/systemd/system/$4 $R/read/$4; then echo NeedDaemonReload=yes; else echo NeedDaemonReload=no; fi ;;
daemon-reload) rm -rf $R/read; cp -r $R/etc/systemd/system $R/read ;;
*) exit 1 ;;
esac`,
	"/usr/bin/systemd-analyze": `if grep -q Exek "$R$2"; then echo "$2:2: Unknown key name 'Exek' in section 'Service', ignoring." >&2; exit 1; fi
echo "/usr/lib/systemd/system/other.service:1: bad" >&2`,
}

func TestUnit(t *testing.T) {
	m := newMachine(t, unitSystemd)
	_, real := m.thrice(`unit("web.service", "[Service]\nExecStart=/usr/bin/web")`)
	m.shows(strings.Join(effects(real), ", "), "write /etc/systemd/system/web.service, exec ")
	if have := m.read("/etc/systemd/system/web.service"); have != "[Service]\nExecStart=/usr/bin/web\n" {
		t.Errorf("got %q", have)
	}
	m.thrice(`unit("web.service", "[Service]\nExecStart=/usr/bin/other\n")`)
	// One that a run has written, which was cut short, is read.
	m.write("/etc/systemd/system/web.service", "[Service]\nExecStart=/usr/bin/web\n")
	_, real = m.thrice(`unit("web.service", "[Service]\nExecStart=/usr/bin/web\n")`)
	if have := effects(real); len(have) != 1 || have[0] != "exec " {
		t.Errorf("got %q, want only a reload", have)
	}
}

func TestUnitRefused(t *testing.T) {
	m := newMachine(t, unitSystemd)
	_, err := m.real(`unit("new.service", "[Service]\nExek=/usr/bin/web\n")`)
	if !says(err, "systemd-analyze verify refuses it: /etc/systemd/system/new.service:2: Unknown key name") {
		t.Errorf("got %v", err)
	}
	m.shows(m.read("/etc/systemd/system/new.service"), "no such file")
	m.real(`unit("web.service", "[Service]\nExecStart=/usr/bin/web\n")`)
	if _, err = m.real(`unit("web.service", "[Service]\nExek=/usr/bin/web\n")`); err == nil {
		t.Error("a bad unit was written")
	}
	m.shows(m.read("/etc/systemd/system/web.service"), "ExecStart=/usr/bin/web\n")
	for body, why := range map[string]string{
		`unit("web", "[Unit]\n")`:               `"web.service"`,
		`unit("../web.service", "[Unit]\n")`:    "want the name of a unit",
		`unit("web.service", "ExecStart=/x\n")`: `begin with "[Unit]"`,
		`unit("web.service", 5)`:                "want a string",
	} {
		m.fails(body, why)
	}
	newMachine(t, nil).fails(`unit("web.service", "[Unit]\n")`, "systemd does not run here")
}
