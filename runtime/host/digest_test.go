package host_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runbook/runtime/host"
)

// A digest is of one version of a file: what is read afterwards must be that version, though size and time are the same.
func TestDigestsAreOfVersions(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	put := func(text string) {
		ok(t, os.WriteFile(name, []byte(text), 0o600), os.Chtimes(name, time.Unix(1, 0), time.Unix(1, 0)))
		time.Sleep(20 * time.Millisecond) // the kernel's clock for files has ticks
	}
	put("good\n")
	c, err := host.NewLocal(dir).Content("/f")
	ok(t, err)
	var d host.Digests
	sum, v, err := d.Sum(t.Context(), c)
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte("good\n"))); err != nil || sum != want {
		t.Fatalf("got %s, %v, want %s", sum, err, want)
	}
	f, err := v.Guard("/f", c).Reader()
	ok(t, err)
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "good\n" {
		t.Errorf("unchanged: got %q, %v", text, err)
	}
	ok(t, v.Check("/f", c))
	open, err := v.Guard("/f", c).Reader()
	ok(t, err)
	defer open.Close()
	put("evil\n")
	changed := func(when string, err error) {
		t.Helper()
		if want := "/f changed after its digest was computed"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", when, err, want)
		}
	}
	changed("checked", v.Check("/f", c))
	_, err = io.ReadAll(open)
	changed("open already", err)
	other, _, err := d.Sum(t.Context(), c)
	if err != nil || other == sum {
		t.Errorf("another version: got %s, %v", other, err)
	}
}
