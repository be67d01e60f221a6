package builtins

import (
	"path/filepath"
	"testing"
)

// What a file held is kept beside it, once.
func TestWriteBackup(t *testing.T) {
	m := newMachine(t, map[string]string{"/etc/conf": "old\n"})
	m.thrice(`write("/etc/conf", "new\n", backup = True, mode = 0o600)`)
	name := "/etc/conf." + hexSum("old\n")[:8] + ".bak"
	if have := m.read(name); have != "old\n" {
		t.Errorf("%s: got %q", name, have)
	}
	m.thrice(`write("/etc/conf", "old\n", backup = True)`)
	m.thrice(`write("/etc/conf", "new\n", backup = True)`)
	m.thrice(`write("/etc/fresh", "new\n", backup = True)`)
	found, err := filepath.Glob(filepath.Join(m.root, "etc/*.bak"))
	if err != nil || len(found) != 2 {
		t.Errorf("got %q, %v, want what conf held before, and between", found, err)
	}
}
