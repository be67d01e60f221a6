package builtins

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"runbook/runtime"
)

// ordinary is what the examples find.
var ordinary = map[string]string{
	"/etc/os-release": "ID=debian\nVERSION_ID=12\n",
	"/etc/hostname":   "box\n",
	"/etc/hosts":      "127.0.0.1 x\n",
	"/srv/x":          "", "/tmp/x": "",
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
	"/usr/bin/yum":                   "exit 1",
	"/usr/bin/apt-get":               "exit 1",
	"/usr/bin/groupadd":              "exit 1",
	"/usr/bin/useradd":               "exit 1",
	"/usr/bin/ssh-keygen":            "exit 1",
	"/usr/bin/hostname":              "exit 1",
	"/usr/bin/df":                    `printf 'Avail Mounted on\n4000000000 /\n'`,
	"/sys/class/net/eth0/address":    "1",
	"/etc/ssh/moduli":                "",
	"/usr/bin/supervisorctl":         "exit 4",
	"/usr/bin/supervisord":           "",
	"/sys/class/net/bonding_masters": "",
}

// Every example works on an ordinary machine, without changing it.
func TestExamples(t *testing.T) {
	for _, b := range All() {
		t.Run(b.Name, func(t *testing.T) {
			m := newMachine(t, ordinary)
			before := m.stats()
			if _, err := m.dry(b.Example); err != nil {
				t.Errorf("%s\n%v (hint: %s)", b.Example, err, runtime.HintOf(err))
			}
			if after := m.stats(); !maps.Equal(before, after) {
				t.Errorf("the example changed the machine from %v to %v", before, after)
			}
			if b.Summary == "" || strings.HasSuffix(b.Summary, ".") {
				t.Errorf("got summary %q", b.Summary)
			}
		})
	}
}

// stats returns the mode, size and time of every file.
func (m *machine) stats() map[string]string {
	all := map[string]string{}
	m.must(filepath.WalkDir(m.root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			all[name] = fmt.Sprint(fi.Mode(), fi.Size(), fi.ModTime())
		}
		return err
	}))
	return all
}

// No builtin lists a parameter twice, and those that may hold secrets exist.
func TestParams(t *testing.T) {
	for _, b := range All() {
		seen := map[string]bool{}
		for _, p := range b.Params() {
			if seen[p.Name] {
				t.Errorf("%s: %s is listed twice", b.Name, p.Name)
			}
			seen[p.Name] = true
		}
		for _, name := range b.Secrets {
			if !seen[name] {
				t.Errorf("%s: no argument %s, which may hold a secret", b.Name, name)
			}
		}
	}
}
