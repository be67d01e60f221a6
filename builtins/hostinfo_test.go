package builtins

import (
	"testing"

	"go.starlark.net/starlark"
)

func TestHostInfo(t *testing.T) {
	m := newMachine(t, map[string]string{
		"/etc/os-release":                "# x\nNAME=\"Rocky Linux\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID='9.3'\n",
		"/proc/sys/kernel/hostname":      "box\n",
		"/proc/cpuinfo":                  "processor\t: 0\nflags: x\n\nprocessor\t: 1\n",
		"/proc/meminfo":                  "MemTotal:        2048 kB\nMemFree: 1 kB\n",
		"/proc/self/status":              "Name:\tx\nUid:\t65534\t65534\t65534\t65534\n",
		"/proc/net/tcp":                  "  sl  local_address\n   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1\n",
		"/proc/net/tcp6":                 "",
		"/sys/class/net/lo/address":      "0",
		"/sys/class/net/eth0/address":    "1",
		"/sys/class/net/bonding_masters": "",
	})
	if _, err := m.dry(`have = [host.os, host.version, host.family, host.hostname, host.cpus, host.memory, host.user,
    host.interfaces, host.listening(8080), host.listening(1)]
want = ["rocky", "9.3", "rhel", "box", 2, 2097152, "nobody", ["eth0", "lo"], "?", ""]
if have != want: fail("%s" % have)`); err != nil {
		t.Error(err)
	}
}

func TestFamily(t *testing.T) {
	for _, c := range []struct{ file, text, id, version, family string }{
		{"/etc/os-release", "ID=debian\nVERSION_ID=\"12\"", "debian", "12", "debian"},
		{"/etc/os-release", "ID=ubuntu\nID_LIKE=debian", "ubuntu", "", "debian"},
		{"/etc/os-release", "ID=alpine", "alpine", "", "alpine"},
		{"/etc/redhat-release", "CentOS release 6.5 (Final)\n", "centos", "6.5", "rhel"},
		{"/etc/redhat-release", "Red Hat Enterprise Linux Server release 6.7 (Santiago)\n", "rhel", "6.7", "rhel"},
		{"/etc/none", "", "", "", ""},
	} {
		h := newMachine(t, map[string]string{c.file: c.text}).local()
		values, err := osRelease(h)
		f, err2 := family(h)
		if err != nil || err2 != nil || values["ID"] != c.id || values["VERSION_ID"] != c.version || f != c.family {
			t.Errorf("%q: got %v, %s, %v", c.text, values, f, err)
		}
	}
}

func TestMemoryUnknown(t *testing.T) {
	if v, err := hostMemory(t.Context(), newMachine(t, nil).local()); err == nil {
		t.Errorf("got %v", v.(starlark.Int))
	}
}
