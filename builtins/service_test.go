package builtins

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// daemon is an init script whose daemon is a file.
const daemon = `case $1 in
start) touch $R/var/$(basename $0).running;;
stop) rm -f $R/var/$(basename $0).running;;
restart) touch $R/var/$(basename $0).running; echo x >> $R/var/restarts;;
status) [ -e $R/var/$(basename $0).running ] || exit 3;;
esac`

// sysv are the programs around init scripts.
var sysv = map[string]string{
	"/etc/init.d/mongod": daemon,
	"/usr/bin/service": `[ -x $R/etc/init.d/$1 ] || { echo "$1: unrecognized service" >&2; exit 1; }
$R/etc/init.d/$1 $2`,
	"/usr/bin/update-rc.d": `mkdir -p $R/etc/rc3.d; rm -f $R/etc/rc3.d/?01$1
[ $2 = disable ] && s=K || s=S; touch $R/etc/rc3.d/${s}01$1`,
}

func TestService(t *testing.T) {
	m := newMachine(t, sysv)
	_, real := m.thrice(`service("mongod", enabled = True)`)
	m.shows(strings.Join(eventTexts(real), ""), "[service mongod start]", "[update-rc.d mongod defaults]")
	m.thrice(`service("mongod", state = "stopped", enabled = False)`)
	m.thrice(`service("mongod", enabled = True)`)
	_, real = m.thrice(`service("mongod", enabled = False)`)
	if all := effects(real); len(all) != 1 || fmt.Sprint(changesOf(real, 0)) != "[{at boot enabled disabled}]" {
		t.Errorf("got %v, %v", all, changesOf(real, 0))
	}
	_, err := m.real(`if service("mongod", state = "restarted").changed: log("x")`)
	if err != nil || m.read("/var/restarts") != "x\n" {
		t.Errorf("got %v, %s", err, m.read("/var/restarts"))
	}
}

func TestServiceRefuses(t *testing.T) {
	m := newMachine(t, sysv)
	m.fails(`service("mongo")`, "similar names: mongod")
	m.fails(`service("nginx")`, "there is no such service")
	m.fails(`service("a b")`, "want the name of a service")
	m.fails(`service("mongod", state = "up")`, "want started, stopped or restarted")
	m.fails(`service("mongod", enabled = "yes")`, "want a bool")
	m.must(os.Remove(filepath.Join(m.bin, "update-rc.d")))
	m.fails(`service("mongod", enabled = True)`, "leave enabled= out")
}

// A daemon that says it runs and opens no port has failed.
func TestServicePortIsVerified(t *testing.T) {
	m := newMachine(t, sysv)
	op := &serviceOp{name: "mongod", state: "started", ports: []int{1}}
	h := m.local()
	todo, err := op.Check(t.Context(), h)
	if err != nil || len(todo) != 2 {
		t.Fatalf("got %v, %v", todo, err)
	}
	cmd := op.command(h, "start")
	cmd.Settle = 0
	if _, err := h.Exec(t.Context(), cmd); err == nil || !strings.Contains(err.Error(), `port:1`) {
		t.Errorf("got %v, want a complaint about port 1", err)
	}
}

// fakeSystemd keeps units as files that hold LoadState ActiveState UnitFileState.
var fakeSystemd = map[string]string{
	"/run/systemd/system/.keep": "",
	"/var/units/web.service":    "loaded inactive disabled\n",
	"/var/units/bad.service":    "loaded failed enabled\n",
	"/var/units/off.service":    "masked inactive masked\n",
	"/usr/bin/systemctl": `set_state() { echo "$1" > $R/var/units/$2; }
case $1 in
show) u=$4; read l a f < $R/var/units/$u 2>/dev/null || { l=not-found; a=inactive; f=; }
  printf 'LoadState=%s\nActiveState=%s\nUnitFileState=%s\n' $l $a $f;;
*) read l a f < $R/var/units/$2
  case $1 in start|restart) a=active;; stop) a=inactive;; enable) f=enabled;; disable) f=disabled;; esac
  set_state "$l $a $f" $2;;
esac`,
}

func TestServiceUnderSystemd(t *testing.T) {
	m := newMachine(t, fakeSystemd)
	_, real := m.thrice("service('web', enabled = True)\nservice('bad.service')")
	m.shows(strings.Join(eventTexts(real), ""), "[systemctl start web.service]", "{service failed running}")
	m.thrice(`service("web", state = "stopped")`)
	m.fails(`service("off")`, "systemctl unmask off")
	m.fails(`service("none")`, "there is no such service")
}

// What a dry run would have written under a name nobody asks systemd for.
func TestServiceOfPredictedUnit(t *testing.T) {
	m := newMachine(t, fakeSystemd)
	events, err := m.dry(`run(["make-unit"], creates = "/etc/systemd/system/new.service")
service("new")`)
	if err != nil || !strings.Contains(strings.Join(eventTexts(events), ""), "{service stopped running}") {
		t.Errorf("got %v, %v", events, err)
	}
}
