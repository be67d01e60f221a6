package builtins

import "testing"

func TestBlock(t *testing.T) {
	m := newMachine(t, map[string]string{"/etc/hosts": "a\nb\n"})
	m.thrice(`block("/etc/hosts", "x 1\nx 2")`)
	if have := m.read("/etc/hosts"); have != "a\nb\n# BEGIN runbook\nx 1\nx 2\n# END runbook\n" {
		t.Errorf("got %q", have)
	}
	m.thrice(`line("/etc/hosts", "c")
block("/etc/hosts", "x 3\n")
block("/etc/hosts", "y", marker = "// ours")
block("/etc/new", "y", marker = "ours")`)
	if have := m.read("/etc/hosts"); have != "a\nb\n# BEGIN runbook\nx 3\n# END runbook\nc\n// BEGIN ours\ny\n// END ours\n" {
		t.Errorf("got %q", have)
	}
	if have := m.read("/etc/new"); have != "# BEGIN ours\ny\n# END ours\n" {
		t.Errorf("got %q", have)
	}
	m.write("/etc/crlf", "a\r\n")
	m.thrice(`block("/etc/crlf", "b\nc")`)
	if have := m.read("/etc/crlf"); have != "a\r\n# BEGIN runbook\r\nb\r\nc\r\n# END runbook\r\n" {
		t.Errorf("got %q", have)
	}
}

func TestBlockDamaged(t *testing.T) {
	for _, text := range []string{
		"# BEGIN runbook\n", "# END runbook\n", "# END runbook\n# BEGIN runbook\n",
		"# BEGIN runbook\n# END runbook\n# BEGIN runbook\n# END runbook\n", "# BEGIN runbook\n# BEGIN runbook\n# END runbook\n",
	} {
		m := newMachine(t, map[string]string{"/etc/hosts": text})
		m.fails(`block("/etc/hosts", "x")`, "put \"# BEGIN runbook\" and \"# END runbook\" around it, once")
		if have := m.read("/etc/hosts"); have != text {
			t.Errorf("got %q", have)
		}
	}
	m := newMachine(t, nil)
	m.fails(`block("/etc/hosts", "a\n# END runbook")`, "leave the marks out of it")
	m.fails(`block("/etc/hosts", "a", marker = "a\nb")`, "want a name on one line")
}
