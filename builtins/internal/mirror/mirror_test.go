package mirror

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
)

func TestMirror(t *testing.T) {
	r := newRig(t)
	r.channel("/src", "linux-64", "a", "b", "c")
	r.channel("/src", "osx-64", "a")
	r.put("/src/not a subdir/repodata.json", "x")
	m := r.mirror()
	before := listing(t, r.root)

	dry, err := m.Plan(context.Background(), host.NewOverlay(r.local(), host.Owner{}))
	if err != nil {
		t.Fatal(err)
	}
	over := host.NewOverlay(r.local(), host.Owner{})
	if err := dry.Apply(context.Background(), over); err != nil || listing(t, r.root) != before {
		t.Fatal(err, "or the dry run changed something")
	}
	real, err := m.Plan(context.Background(), r.local())
	if err != nil {
		t.Fatal(err)
	}
	_, bytes, digest := real.manifest().Totals()
	if _, b, d := dry.manifest().Totals(); b != bytes || d != digest || !reflect.DeepEqual(dry.Changes(), real.Changes()) {
		t.Errorf("the dry run tells\n%v\nand the run\n%v", dry.Changes(), real.Changes())
	}
	if err := real.Apply(context.Background(), r.local()); err != nil {
		t.Fatal(err)
	}
	if n := r.complete("linux-64") + r.complete("osx-64") + r.complete("noarch"); n != 4 {
		t.Errorf("got %d packages", n)
	}
	for e := range dry.manifest() { // what the overlay shows is what came to be
		if !e.Mode.IsRegular() || strings.HasPrefix(e.Name, state.Dir) {
			continue
		}
		name := "/dst/acc/" + e.Name
		if data, err := host.ReadFile(over, name); err != nil || string(data) != r.get(name) {
			t.Errorf("%s: differs in the overlay: %v", name, err)
		}
	}
	left, _ := filepath.Glob(r.path("/dst/acc/*/.*"))
	if len(left) > 0 {
		t.Error("left behind:", left)
	}
	g := guard{r.local(), func(name string) bool {
		return path.Base(name) != channel.IndexFile && path.Base(name) != channel.DataFile && path.Ext(name) != ".state"
	}}
	if n, err := r.run(m, g); n != 0 || err != nil {
		t.Errorf("second run: %d changes, %v", n, err)
	}
}

// What lies on disk is judged by what the records say, with the state file and without.
func TestFilesOnDisk(t *testing.T) {
	const a, b = "/dst/acc/linux-64/a-1.0-0.tar.bz2", "/dst/acc/linux-64/b-1.0-0.tar.bz2"
	wrong := strings.Replace(content("/srca-1.0-0.tar.bz2"), "a", "x", 1)
	for name, c := range map[string]struct {
		do      func(*rig)
		replace int
		fetch   int
		changes bool
	}{
		"touched":    {do: func(r *rig) { os.Chtimes(r.path(a), time.Now(), time.Unix(1e9, 0)) }, changes: true},
		"state lost": {do: func(r *rig) { os.RemoveAll(r.path("/dst/acc/" + state.Dir)) }, changes: true},
		"state damaged": {do: func(r *rig) {
			r.put("/dst/acc/"+state.Name("linux-64"), r.get("/dst/acc/" + state.Name("linux-64"))[1:])
		}, changes: true},
		"short":          {do: func(r *rig) { r.put(a, "x") }, replace: 1, fetch: 1},
		"same size":      {do: func(r *rig) { r.put(a, wrong) }, replace: 1, fetch: 1},
		"gone":           {do: func(r *rig) { os.Remove(r.path(a)); os.Remove(r.path(b)) }, fetch: 2},
		"a link instead": {do: func(r *rig) { os.Remove(r.path(a)); os.Symlink("b-1.0-0.tar.bz2", r.path(a)) }, replace: 1, fetch: 1},
		"index edited":   {do: func(r *rig) { r.put("/dst/acc/linux-64/repodata.json", "{}") }, changes: true},
		"bz2 gone":       {do: func(r *rig) { os.Remove(r.path("/dst/acc/linux-64/repodata.json.bz2")) }, changes: true},
		"zst stale":      {do: func(r *rig) { r.put("/dst/acc/linux-64/repodata.json.zst", "x") }, changes: true},
		"more files":     {do: func(r *rig) { r.put("/dst/acc/linux-64/old-1-0.tar.bz2", "x") }},
		"a stale part":   {do: func(r *rig) { r.put("/dst/acc/linux-64/.a-1.0-0.tar.bz2.part", "x"); os.Remove(r.path(a)) }, fetch: 1},
		"a planted link": {do: func(r *rig) {
			os.Symlink("../../../dst/acc/linux-64/b-1.0-0.tar.bz2", r.path("/dst/acc/linux-64/.a-1.0-0.tar.bz2.part"))
			os.Remove(r.path(a))
		}, fetch: 1},
	} {
		r := newRig(t)
		r.channel("/src", "linux-64", "a", "b")
		m := r.mirror()
		r.must(m)
		want := listing(t, r.path("/dst"))
		c.do(r)
		p, err := m.Plan(context.Background(), r.local())
		if err != nil || p.Report.Fetch != c.fetch || p.Report.Replace != c.replace ||
			(len(p.Changes()) > 0) != (c.changes || c.fetch > 0) {
			t.Errorf("%s: got %+v, %v, %v", name, p.Report, p.Changes(), err)
			continue
		}
		if err := p.Apply(context.Background(), r.local()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		os.Remove(r.path("/dst/acc/linux-64/old-1-0.tar.bz2"))
		if have := listing(t, r.path("/dst")); have != want {
			t.Errorf("%s: got\n%swant\n%s", name, have, want)
		}
		r.same(m)
	}
}

// A hotfix changes records, not files: it is published and nothing is fetched.
func TestRecordsArePatched(t *testing.T) {
	r := newRig(t)
	file, rec := r.pkg("/src", "noarch", "a", record{"depends": []string{"x"}})
	r.index("/src", "noarch", map[string]record{file: rec})
	m := r.mirror()
	r.must(m)
	rec["depends"] = []string{"x <2"}
	r.index("/src", "noarch", map[string]record{file: rec})
	p, err := m.Plan(context.Background(), r.local())
	if err != nil || p.Report.Fetch != 0 || len(p.Changes()) != 1 {
		t.Fatal(p.Report, p.Changes(), err)
	}
	r.must(m)
	if !strings.Contains(r.get("/dst/acc/noarch/repodata.json"), "x \\u003c2") {
		t.Error(r.get("/dst/acc/noarch/repodata.json"))
	}
}

func TestChannelsInOneAccount(t *testing.T) {
	r := newRig(t)
	r.channel("/one", "linux-64", "a", "b")
	r.channel("/two", "linux-64", "b", "c")
	r.channel("/two", "noarch", "d")
	m := r.mirror("/one", "file:///two")
	r.must(m)
	if n := r.complete("linux-64"); n != 3 {
		t.Errorf("got %d packages", n)
	}
	if r.get("/dst/acc/linux-64/b-1.0-0.tar.bz2") != content("/oneb-1.0-0.tar.bz2") {
		t.Error("b is not the first channel's")
	}
	p, _ := m.Plan(context.Background(), r.local())
	if !strings.Contains(strings.Join(p.Report.Warnings, "\n"), "linux-64: 1 packages of later channels") {
		t.Error(p.Report.Warnings)
	}
	r.put("/two/linux-64/repodata.json", "{]")
	if _, err := r.run(m, r.local()); err == nil ||
		!strings.HasPrefix(err.Error(), "channel file:///two/linux-64/repodata.json: line 1, column 2: ") {
		t.Errorf("got %v", err)
	}
}

// Records of 2013 have no size, and some have no digest at all.
func TestRecordsWithoutSizeOrDigest(t *testing.T) {
	r := newRig(t)
	file, rec := r.pkg("/src", "noarch", "a", nil)
	delete(rec, "size")
	other, bare := r.pkg("/src", "noarch", "b", nil)
	delete(bare, "size")
	bare["md5"] = nil
	r.index("/src", "noarch", map[string]record{file: rec, other: bare})
	m := r.mirror()
	p, err := m.Plan(context.Background(), r.local())
	if err != nil || p.Report.Unverified != 1 || p.Report.Bytes != int64(2*len(content("/srca-1.0-0.tar.bz2"))) {
		t.Fatalf("got %+v, %v", p.Report, err)
	}
	r.must(m)
	os.RemoveAll(r.path("/dst/acc/" + state.Dir))
	r.must(m)
	r.put("/dst/acc/noarch/"+other, "rotten")
	r.must(m)
	if r.get("/dst/acc/noarch/"+other) != content("/srcb-1.0-0.tar.bz2") {
		t.Error("an unverified file is not compared with its source")
	}
}

func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root gives files away")
	}
	r := newRig(t)
	r.channel("/src", "linux-64", "a")
	m := r.mirror()
	r.must(m)
	m.Owner = host.Owner{User: "1234", Group: "1235"}
	r.channel("/src", "linux-64", "a", "b")
	r.must(m)
	if n, _, err := host.Differ(r.local(), "/dst/acc", m.Owner); n != 0 || err != nil {
		t.Errorf("%d files belong to others, %v", n, err)
	}
	m.Account = "new"
	r.must(m)
	if n, _, err := host.Differ(r.local(), "/dst/new", m.Owner); n != 0 || err != nil {
		t.Errorf("%d files belong to others, %v", n, err)
	}
}

// In a dry run the channel itself may be what an earlier step would have unpacked.
func TestPredictedChannel(t *testing.T) {
	r := newRig(t)
	r.channel("/media", "linux-64", "a")
	over := host.NewOverlay(r.local(), host.Owner{})
	if err := over.Move("/media", "/src"); err != nil {
		t.Fatal(err)
	}
	if n, err := r.run(r.mirror(), over); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	if err := over.Remove("/src", 4); err != nil {
		t.Fatal(err)
	}
	data, err := host.ReadFile(over, "/dst/acc/linux-64/a-1.0-0.tar.bz2")
	if err != nil || string(data) != content("/mediaa-1.0-0.tar.bz2") {
		t.Error(len(data), err)
	}
}

func TestRefusedPlans(t *testing.T) {
	many := make([]string, 120)
	for i := range many {
		many[i] = "p" + strings.Repeat("x", i)
	}
	for name, c := range map[string]struct {
		do   func(*rig, *Mirror)
		want string
	}{
		"html":        {func(r *rig, _ *Mirror) { r.put("/src/linux-64/repodata.json", "<html>") }, "/src/linux-64/repodata.json: line 1, column 1: got"},
		"traversal":   {func(r *rig, _ *Mirror) { r.put("/src/noarch/repodata.json", `{"packages":{"../x-1-0.conda":{}}}`) }, `got a file name with '/'`},
		"no channel":  {func(r *rig, m *Mirror) { m.Config.Channels = []string{"/nowhere"} }, "channel /nowhere: no such file or directory | see whether the medium is mounted"},
		"no subdir":   {func(r *rig, m *Mirror) { m.Config.Channels = []string{"/src/linux-64"} }, "has no SUBDIR/repodata.json | name the directory"},
		"relative":    {func(r *rig, m *Mirror) { m.Config.Channels = []string{"src"} }, "channel src: got neither an absolute path"},
		"ftp":         {func(r *rig, m *Mirror) { m.Config.Channels = []string{"ftp://x/y"} }, "got neither"},
		"no channels": {func(r *rig, m *Mirror) { m.Config.Channels = nil }, "channels: got none | give channels="},
		"account":     {func(r *rig, m *Mirror) { m.Account = "../x" }, `account: got "../x"`},
		"no dest":     {func(r *rig, m *Mirror) { m.Dest = "" }, "dest: got none"},
		"outage":      {func(r *rig, _ *Mirror) { r.channel("/src", "linux-64", many[:50]...) }, "/src lists 50 packages, want at least half of the 120"},
		"empty":       {func(r *rig, _ *Mirror) { r.put("/src/linux-64/repodata.json", "") }, "lists 0 packages"},
	} {
		r := newRig(t)
		r.channel("/src", "linux-64", "a", "b")
		m := r.mirror()
		if name == "outage" || name == "empty" {
			r.channel("/src", "linux-64", many...)
			r.must(m)
		}
		c.do(r, m)
		before := listing(t, r.root)
		_, err := r.run(m, r.local())
		if err == nil || !strings.Contains(advised(err), c.want) {
			t.Errorf("%s: got %s\nwant %s", name, advised(err), c.want)
		}
		if listing(t, r.root) != before {
			t.Errorf("%s: something was changed", name)
		}
	}
}
