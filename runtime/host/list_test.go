package host_test

import (
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"runbook/runtime/host"
)

// A list of a tree is read as it was written, and only if it has the digest that the trace has.
func TestList(t *testing.T) {
	at := time.Unix(0, 0)
	m := host.Manifest{
		{Name: "b \"odd\"\nname", Meta: host.Meta{Mode: 0o644, Size: 3, ModTime: at}, Sum: strings.Repeat("ab", 32)},
		{Name: "a", Meta: host.Meta{Mode: fs.ModeDir | 0o755}},
		{Name: "a/link", Meta: host.Meta{Mode: fs.ModeSymlink | 0o777}, Target: "../b c"},
		{Name: "a/suid", Meta: host.Meta{Mode: fs.ModeSetuid | 0o4, Size: 1 << 40, ModTime: at.Add(12345)}},
		{Name: "z", Meta: host.Meta{Mode: 0, Size: 0}},
	}
	_, _, digest := m.All().Totals()
	text := m.All().List()
	all, err := host.ParseList(text, digest)
	if err != nil || len(all) != len(m) {
		t.Fatalf("got %d entries, %v", len(all), err)
	}
	for _, e := range all {
		want := host.Entry{}
		for _, w := range m {
			if w.Name == e.Name {
				want = w
			}
		}
		if !e.ModTime.Equal(want.ModTime) {
			t.Errorf("%q: got time %s, want %s", e.Name, e.ModTime, want.ModTime)
		}
		if e.ModTime = want.ModTime; !reflect.DeepEqual(e, want) {
			t.Errorf("got %+v, want %+v", e, want)
		}
	}
	changes := []string{strings.Replace(text, "a/link", "a/limk", 1), strings.Replace(text, " 3 ", " 4 ", 1), text[:len(text)/2],
		strings.Replace(text, "rw-r--r--", "rwsr--r--", 1), strings.Replace(text, "\"a\"", "a", 1), text + "x", "\n" + text, strings.Replace(text, " -\n", " x\n", 1)}
	for _, changed := range changes {
		if _, err := host.ParseList(changed, digest); err == nil || changed == text {
			t.Errorf("got no error for\n%s", changed)
		}
	}
}
