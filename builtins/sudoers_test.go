package builtins

import "testing"

func TestSudoers(t *testing.T) {
	m := newMachine(t, map[string]string{
		"/etc/sudoers.d/.keep": "",
		"/usr/bin/visudo":      `[ "$*" = "-c -f -" ] || exit 2; if grep -q nonsense; then echo "stdin:1:9: syntax error" >&2; exit 1; fi; echo "stdin: parsed OK"`,
	})
	m.thrice(`sudoers("deploy", "deploy ALL=(root) /usr/bin/true")`)
	if have := m.read("/etc/sudoers.d/deploy"); have != "deploy ALL=(root) /usr/bin/true\n" {
		t.Errorf("got %q", have)
	}
	m.fails(`sudoers("deploy", "nonsense")`, "visudo refuses the rules: stdin:1:9: syntax error | nothing was written")
	m.shows(m.read("/etc/sudoers.d/deploy"), "deploy ALL")
	for name, why := range map[string]string{"a.b": "sudo ignores files with other names", "a~": "want letters", "../x": "want letters", "": "want letters"} {
		m.fails(`sudoers("`+name+`", "x ALL=(root) /bin/true")`, why)
	}
	m.fails(`sudoers("deploy", "")`, `remove("/etc/sudoers.d/deploy")`)
	newMachine(t, map[string]string{"/etc/sudoers.d/.keep": ""}).fails(`sudoers("x", "x ALL=(root) /bin/true")`, "install sudo first")
}
