package host_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"slices"
	"testing"

	"runbook/runtime/host"
)

// The digest does not depend on the order, and says what it always said.
func TestTotals(t *testing.T) {
	m := host.Manifest{
		{Name: "a", Meta: host.Meta{Mode: fs.ModeDir | 0o755, Size: 4096}},
		{Name: "a/\"b\"", Meta: host.Meta{Mode: 0o644, Size: 3}, Sum: "abc"},
		{Name: "a-c", Meta: host.Meta{Mode: fs.ModeSymlink, Size: 1}, Target: "a"},
		{Name: "d", Meta: host.Meta{Mode: 0o600, Size: -1}, Derived: true},
	}
	sum := sha256.Sum256([]byte(`"a" drwxr-xr-x 0 "" ` + "\n" + `"a-c" L--------- 0 "a" ` + "\n" + `"a/\"b\"" -rw-r--r-- 3 "" abc` + "\n" + `"d" -rw------- -1 "" ` + "\n"))
	for range len(m) {
		files, bytes, digest := m.All().Totals()
		if files != 4 || bytes != 3 || digest != hex.EncodeToString(sum[:]) {
			t.Errorf("got %d files, %d bytes, %s", files, bytes, digest)
		}
		m = append(m[1:], m[0])
	}
	slices.Reverse(m)
	if _, _, digest := m.All().Totals(); digest != hex.EncodeToString(sum[:]) {
		t.Errorf("reversed: got %s", digest)
	}
}

func TestSortedBefore(t *testing.T) {
	names := []string{"", "a", "a/b", "a/b/c", "a/b-", "a/c", "a!", "a-", "b"}
	for i, a := range names {
		for j, b := range names {
			if got := host.SortedBefore(a, b); got != (i < j) {
				t.Errorf("%q before %q: got %v", a, b, got)
			}
		}
	}
}
