package builtins

import "testing"

// What a file has at the ends of its lines, and in front of the first, stays.
func TestLineEndings(t *testing.T) {
	for _, c := range []struct{ have, args, want string }{
		{"a=1\r\nb=2\r\n", `"b=3", match="^b=2$"`, "a=1\r\nb=3\r\n"},
		{"a=1\r\nb=2\r\n", `"c=3"`, "a=1\r\nb=2\r\nc=3\r\n"},
		{"a=1\r\nb=2", `"c=3"`, "a=1\r\nb=2\r\nc=3\r\n"},
		{"a=1\r\nb=2", `"b=3", match="^b"`, "a=1\r\nb=3\r\n"},
		{"a=1\r\nb=2\r\n", `"b=2"`, "a=1\r\nb=2\r\n"},
		{"a=1\nb=2\r\nc=3\n", `"b=9", match="^b"`, "a=1\nb=9\r\nc=3\n"},
		{"a=1\nb=2\r\n", `"d"`, "a=1\nb=2\r\nd\n"},
		{"\r\n", `"d"`, "\r\nd\r\n"},
		{"", `"d"`, "d\n"},
		{"\ufeffa=1\nb=2\n", `"a=9", match="^a="`, "\ufeffa=9\nb=2\n"},
		{"\ufeffa=1\n", `"a=1"`, "\ufeffa=1\n"},
		{"\ufeffa=1\r\n", `"b"`, "\ufeffa=1\r\nb\r\n"},
		{"\ufeff", `"b"`, "\ufeffb\n"},
		{"a\rb\n", `"c"`, "a\rb\nc\n"},
	} {
		m := newMachine(t, map[string]string{"/etc/f": c.have})
		m.thrice(`line("/etc/f", ` + c.args + `)`)
		if got := m.read("/etc/f"); got != c.want {
			t.Errorf("%q, %s: got %q, want %q", c.have, c.args, got, c.want)
		}
	}
}

// Lines that must not be there are taken out, all else stays.
func TestLineAbsent(t *testing.T) {
	m := newMachine(t, map[string]string{"/etc/hosts": "a\nb 1\n\nb 2\nb 1\nc"})
	dry, _ := m.thrice(`line("/etc/hosts", "b 1", absent = True)`)
	if have := m.read("/etc/hosts"); have != "a\n\nb 2\nc\n" {
		t.Errorf("got %q", have)
	}
	if c := changesOf(dry, 0); len(c) != 1 || c[0].From != "b 1" || c[0].To != "" {
		t.Errorf("got %v", c)
	}
	m.thrice(`line("/etc/hosts", "", match = "^(b .*)?$", absent = True)`)
	if have := m.read("/etc/hosts"); have != "a\nc\n" {
		t.Errorf("got %q", have)
	}
	m.again(`line("/etc/hosts", "x", absent = True)
line("/etc/nowhere", "x", absent = True)`)
	m.fails(`line("/etc/hosts", "", absent = True)`, "takes out all empty lines")
}
