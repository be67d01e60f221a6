package builtins

import (
	"strings"
	"testing"

	"runbook/runtime/host"
)

// ordinary is what the examples of the system's builtins find.
var ordinary = map[string]string{
	"/etc/os-release":                "ID=debian\nVERSION_ID=12\n",
	"/etc/hostname":                  "box\n",
	"/etc/init.d/cron":               daemon,
	"/proc/cpuinfo":                  "processor : 0\n",
	"/proc/meminfo":                  "MemTotal: 1024 kB\n",
	"/proc/net/tcp":                  "",
	"/proc/net/tcp6":                 "",
	"/proc/self/mounts":              "",
	"/usr/bin/crontab":               `echo "no crontab for $2" >&2; exit 1`,
	"/usr/bin/iptables":              "exit 1",
	"/usr/bin/iptables-save":         "",
	"/usr/bin/rpm":                   "exit 1",
	"/usr/bin/service":               sysv["/usr/bin/service"],
	"/usr/bin/getent":                "exit 2",
	"/usr/bin/df":                    `printf 'Avail Mounted on\n4000000000 /\n'`,
	"/sys/class/net/eth0/address":    "1",
	"/etc/ssh/moduli":                "",
	"/usr/bin/supervisorctl":         "exit 4",
	"/usr/bin/supervisord":           "",
	"/sys/class/net/bonding_masters": "",
}

// Every example works on an ordinary machine, without changing it.
func TestExamplesOfSystemBuiltins(t *testing.T) {
	for _, b := range systemBuiltins() {
		t.Run(b.Name, func(t *testing.T) {
			m := newMachine(t, ordinary)
			before := m.read("/etc/passwd")
			l := m.local()
			h := host.NewOverlay(l, l.Self())
			if _, err := (&scene{machine: m}).play(h, nil, b.Example); err != nil {
				t.Errorf("%s\n%v", b.Example, err)
			}
			if m.read("/etc/passwd") != before || !strings.Contains(m.read("/srv/conda.sh"), "no such file") {
				t.Error("the example changed the machine")
			}
			if b.Summary == "" || strings.HasSuffix(b.Summary, ".") || !b.Property && b.Read == nil && b.New == nil {
				t.Errorf("got summary %q", b.Summary)
			}
		})
	}
}
