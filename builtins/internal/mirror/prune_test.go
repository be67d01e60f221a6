package mirror

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runbook/runtime/host"
)

func letters(n int) (names []string) {
	for i := range n {
		names = append(names, string(rune('a'+i)))
	}
	return names
}

// packagesOf lists the packages that lie in a subdir.
func (r *rig) packagesOf(subdir string) string {
	files, _ := filepath.Glob(r.path("/dst/acc/" + subdir + "/*-1.0-0.tar.bz2"))
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), "-1.0-0.tar.bz2"))
	}
	return strings.Join(names, "")
}

// withRemoved adds "removed" to a subdir's index.
func (r *rig) withRemoved(subdir string, files ...string) {
	name := "/src/" + subdir + "/repodata.json"
	r.put(name, strings.Replace(r.get(name), `"packages"`,
		fmt.Sprintf(`"removed": ["%s"], "packages"`, strings.Join(files, `", "`)), 1))
}

func TestPrune(t *testing.T) {
	for name, c := range map[string]struct {
		now     int // how many of twelve packages the source still lists
		removed string
		change  func(*Mirror)
		left    string // packages that are in the tree afterwards
		want    string // part of the error
	}{
		"not asked":         {now: 11, change: func(m *Mirror) { m.Prune = false }, left: "abcdefghijkl"},
		"one of twelve":     {now: 11, left: "abcdefghijk"},
		"two of twelve":     {now: 10, left: "abcdefghijkl", want: "linux-64: 2 of 12 packages have vanished from the source, more than 10 percent: nothing is removed | see whether the channel is as it should be; to remove them all the same, give max_loss=17"},
		"allowed":           {now: 10, change: func(m *Mirror) { m.MaxLoss = 17 }, left: "abcdefghij"},
		"removed stays":     {now: 11, removed: "l-1.0-0.tar.bz2", left: "abcdefghijkl"},
		"removed goes":      {now: 11, removed: "l-1.0-0.tar.bz2", change: func(m *Mirror) { m.PruneRemoved = true }, left: "abcdefghijk"},
		"filters are meant": {now: 12, change: func(m *Mirror) { m.Config.PkgList = []string{"a"} }, left: "a"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.channel("/src", "linux-64", letters(12)...)
			m := r.mirror()
			r.must(m)
			r.put("/dst/acc/linux-64/notes.txt", "x")
			r.channel("/src", "linux-64", letters(c.now)...)
			if c.removed != "" {
				r.withRemoved("linux-64", c.removed)
			}
			if m.Prune = true; c.change != nil {
				c.change(m)
			}
			for range 2 { // what was refused is refused again: it does not become usual
				_, err := r.run(m, r.local())
				if (err == nil) != (c.want == "") || !strings.Contains(advised(err), c.want) {
					t.Errorf("got %s", advised(err))
				}
				if left := r.packagesOf("linux-64"); left != c.left || !r.has("/dst/acc/linux-64/notes.txt") {
					t.Errorf("left %s", left)
				}
			}
			r.complete("linux-64")
		})
	}
}

// What a dry run would remove is what a run removes, and after the publishing.
func TestPruneIsDeclared(t *testing.T) {
	r := newRig(t)
	r.channel("/src", "linux-64", letters(12)...)
	m := r.mirror()
	r.must(m)
	r.channel("/src", "linux-64", letters(11)...)
	m.Prune = true
	over := host.NewOverlay(r.local(), host.Owner{})
	if _, err := r.run(m, over); err != nil {
		t.Fatal(err)
	}
	if ok, _ := host.Exists(over, "/dst/acc/linux-64/l-1.0-0.tar.bz2"); ok || !r.has("/dst/acc/linux-64/l-1.0-0.tar.bz2") {
		t.Error("the dry run does not see that it is gone, or it is")
	}
	p, err := m.Plan(context.Background(), r.local())
	if err != nil || p.Report.Prune != 1 || p.Report.PruneBytes != int64(len(content("/srcl-1.0-0.tar.bz2"))) {
		t.Fatalf("got %+v, %v", p.Report, err)
	}
	crash := &removing{Local: r.local(), t: t, r: r}
	if err := p.Apply(context.Background(), crash); err != nil || crash.n != 1 {
		t.Error(crash.n, err)
	}
}

// removing sees to it that nothing is removed that the published index lists.
type removing struct {
	*host.Local
	t *testing.T
	r *rig
	n int
}

func (h *removing) Remove(name string, files int) error {
	h.n++
	if strings.Contains(h.r.get("/dst/acc/linux-64/repodata.json"), filepath.Base(name)) {
		h.t.Errorf("%s is still listed", name)
	}
	return h.Local.Remove(name, files)
}

// A bad package stops the removing.
func TestNothingIsPrunedAfterAFailure(t *testing.T) {
	r := newRig(t)
	r.channel("/src", "linux-64", letters(12)...)
	m := r.mirror()
	r.must(m)
	r.channel("/src", "linux-64", letters(11)...)
	r.channel("/src", "win-64", "z")
	os.Remove(r.path("/src/win-64/z-1.0-0.tar.bz2"))
	m.Prune = true
	if _, err := r.run(m, r.local()); err == nil || r.packagesOf("linux-64") != "abcdefghijkl" {
		t.Error(err, r.packagesOf("linux-64"))
	}
}
