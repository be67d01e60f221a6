package builtins

import (
	"strings"
	"testing"
)

func TestHostname(t *testing.T) {
	m := newMachine(t, map[string]string{
		"/proc/sys/kernel/hostname": "old\n", "/etc/hostname": "old\n",
		"/usr/bin/hostname": `printf '%s\n' "$1" >$R/proc/sys/kernel/hostname`,
	})
	dry, _ := m.thrice(`hostname("db1.example.org")`)
	m.shows(strings.Join(eventTexts(dry), ""), "{name old db1.example.org}", "[hostname db1.example.org]")
	if have := m.read("/etc/hostname"); have != "db1.example.org\n" {
		t.Errorf("got %q", have)
	}
	m.write("/proc/sys/kernel/hostname", "other\n")
	m.thrice(`hostname("db1.example.org")`)
	for _, name := range []string{"", "-x", "a b", "a..b", "x-", strings.Repeat("a", 65)} {
		m.fails(`hostname("`+name+`")`, "want at most 64 letters")
	}
}

func TestTimezone(t *testing.T) {
	m := newMachine(t, map[string]string{"/usr/share/zoneinfo/Etc/UTC": "TZif", "/usr/share/zoneinfo/Europe/Berlin": "TZif", "/etc/timezone": "Etc/UTC\n"})
	m.thrice(`timezone("Europe/Berlin")`)
	m.thrice(`symlink("/etc/localtime", "../usr/share/zoneinfo/Etc/UTC")
timezone("Etc/UTC")`)
	if have := m.read("/etc/timezone"); have != "Etc/UTC\n" {
		t.Errorf("got %q", have)
	}
	m.fails(`timezone("Europe/Nowhere")`, "is no zone of this machine")
	m.fails(`timezone("Europe")`, "is no zone of this machine")
	m.fails(`timezone("../etc")`, "want a zone such as")
}
