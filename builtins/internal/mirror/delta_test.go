package mirror

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
)

// pen is the mirror of a rig with a delta at /pen.
func (r *rig) pen() *Mirror {
	m := r.mirror()
	m.Delta = "/pen"
	return m
}

func (r *rig) list(pattern string) string {
	files, _ := filepath.Glob(r.path(pattern))
	for i, f := range files {
		files[i] = filepath.Base(f)
	}
	return strings.Join(files, " ")
}

// A delta holds what changed since it was begun, and brings another tree that was equal then up to date.
func TestDelta(t *testing.T) {
	r := newRig(t)
	r.channel("/src", "linux-64", "a", "b", "c")
	m := r.mirror()
	r.must(m)
	if err := os.CopyFS(r.path("/far"), os.DirFS(r.path("/dst"))); err != nil { // the other side
		t.Fatal(err)
	}
	r.channel("/src", "linux-64", "b", "c", "d")
	file, rec := r.pkg("/src", "linux-64", "b", nil) // replaced under the same name
	r.put("/src/linux-64/"+file, strings.ToUpper(content(file)))
	rec["md5"], rec["size"] = md5Text(strings.ToUpper(content(file))), len(content(file))
	records := map[string]record{file: rec}
	for _, n := range []string{"c", "d"} {
		f, rec := r.pkg("/src", "linux-64", n, nil)
		records[f] = rec
	}
	r.index("/src", "linux-64", records)

	over := host.NewOverlay(r.local(), host.Owner{})
	if n, err := r.run(r.pen(), over); n == 0 || err != nil || r.has("/pen") {
		t.Fatal(n, advised(err))
	}
	if ok, err := host.Exists(over, "/pen/linux-64/d-1.0-0.tar.bz2"); !ok || err != nil {
		t.Error("the dry run does not see the delta", err)
	}
	r.must(r.pen())
	if have := r.list("/pen/linux-64/*.tar.bz2"); have != "b-1.0-0.tar.bz2 d-1.0-0.tar.bz2" {
		t.Errorf("the delta holds %s", have)
	}

	r.channel("/src", "linux-64", "c", "d", "e") // another month, the same pen drive
	r.must(r.pen())
	if have := r.list("/pen/linux-64/*.tar.bz2"); have != "b-1.0-0.tar.bz2 d-1.0-0.tar.bz2 e-1.0-0.tar.bz2" {
		t.Errorf("the delta then holds %s", have)
	}

	far := r.mirror("/pen")
	far.Dest, far.Prune, far.MaxLoss = "/far", true, 100
	if n, err := r.run(far, r.local()); n == 0 || err != nil {
		t.Fatal(n, advised(err))
	}
	if n, err := complete(r.path("/far/acc/linux-64")); n != 3 || err != nil {
		t.Error(n, err)
	}
	if have := r.list("/far/acc/linux-64/*.tar.bz2"); have != "c-1.0-0.tar.bz2 d-1.0-0.tar.bz2 e-1.0-0.tar.bz2" {
		t.Errorf("the other side holds %s", have)
	}
	if r.get("/far/acc/linux-64/repodata.json") != r.get("/dst/acc/linux-64/repodata.json") {
		t.Error("the other side has another index")
	}
}

// Whoever has the other side's state at hand gets what that lacks, whatever was written before.
func TestDeltaSince(t *testing.T) {
	r := newRig(t)
	r.channel("/src", "linux-64", "a", "b", "c")
	r.must(r.mirror())
	if err := os.CopyFS(r.path("/theirs"), os.DirFS(r.path("/dst/acc/"+state.Dir))); err != nil {
		t.Fatal(err)
	}
	r.channel("/src", "linux-64", "a", "b", "c", "d", "e")
	r.must(r.mirror())
	m := r.pen()
	m.Since = "/theirs"
	r.must(m)
	if have := r.list("/pen/linux-64/*.tar.bz2"); have != "d-1.0-0.tar.bz2 e-1.0-0.tar.bz2" {
		t.Errorf("the delta holds %s", have)
	}
	if m.Since = "/nowhere"; true {
		if _, err := m.Plan(context.Background(), r.local()); err == nil ||
			!strings.Contains(err.Error(), "since: readdir /nowhere") {
			t.Error(err)
		}
	}
}

// A delta for another tree than it is brought to names what is missing.
func TestDeltaForAnotherTree(t *testing.T) {
	r := newRig(t)
	r.channel("/src", "linux-64", "a", "b")
	r.must(r.mirror())
	r.channel("/src", "linux-64", "a", "b", "c")
	r.must(r.pen())
	far := r.mirror("/pen")
	far.Dest = "/far"
	if _, err := r.run(far, r.local()); err == nil ||
		!strings.Contains(err.Error(),
			"2 packages could not be mirrored:\nlinux-64/a-1.0-0.tar.bz2: is listed and missing at the source") {
		t.Error(err)
	}
	for _, dir := range []string{"/dst", "/dst/acc", "/dst/acc/x", "pen"} {
		m := r.mirror()
		m.Delta = dir
		if _, err := m.Plan(context.Background(), r.local()); err == nil || !strings.Contains(err.Error(), "delta: got") {
			t.Errorf("%s: got %v", dir, err)
		}
	}
}
