package builtins

import (
	"strings"
	"testing"
)

func TestSysctl(t *testing.T) {
	m := newMachine(t, map[string]string{
		"/etc/sysctl.d/.keep":                    "",
		"/proc/sys/vm/swappiness":                "60\n",
		"/proc/sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
		"/usr/bin/sysctl":                        `name=${3%%=*}; printf '%s\n' "${3#*=}" >$R/proc/sys/$(echo "$name" | tr . /)`,
	})
	dry, _ := m.thrice(`sysctl("vm.swappiness", "10")
sysctl("net.ipv4.ip_local_port_range", "1024  65000")`)
	m.shows(strings.Join(eventTexts(dry), ""), "{vm.swappiness 60 10}", "[sysctl -q -w vm.swappiness=10]", "{net.ipv4.ip_local_port_range 32768 60999 1024 65000}")
	if have := m.read("/etc/sysctl.d/60-runbook.conf"); have != "vm.swappiness = 10\nnet.ipv4.ip_local_port_range = 1024 65000\n" {
		t.Errorf("got %q", have)
	}
	m.write("/proc/sys/vm/swappiness", "99\n") // somebody has set it
	m.thrice(`sysctl("vm.swappiness", "10")`)
	m.fails(`sysctl("vm.nowhere", "1")`, "this kernel has no such parameter")
	m.fails(`sysctl("swappiness", "1")`, "want words with dots between them")
	m.fails(`sysctl("vm.swappiness", " ")`, "got nothing")
}
