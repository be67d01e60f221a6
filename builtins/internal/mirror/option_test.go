package mirror

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Bytes come no faster than they may.
func TestRate(t *testing.T) {
	t.Parallel()
	r := newMemoryRig(t)
	r.channel("/src", "linux-64", letters(20)...) // 20 kB each
	m := r.mirror()
	m.Rate = 200_000
	start := time.Now()
	r.must(m)
	if d := time.Since(start); d < 700*time.Millisecond || d > 20*time.Second { // what comes at once is allowed
		t.Errorf("400 kB at 200 kB/s took %v", d)
	}
}

// Two digests must both be right, if both are to be looked at.
func TestBothDigests(t *testing.T) {
	t.Parallel()
	for _, both := range []bool{false, true} {
		r := newMemoryRig(t)
		file, rec := r.pkg("/src", "noarch", "a", nil)
		rec["sha256"] = fmt.Sprintf("%x", sha256.Sum256([]byte(r.get("/src/noarch/"+file))))
		good, rec2 := r.pkg("/src", "noarch", "b", nil)
		rec2["sha256"] = fmt.Sprintf("%x", sha256.Sum256([]byte(r.get("/src/noarch/"+good))))
		rec["md5"] = md5Text("another")
		r.index("/src", "noarch", map[string]record{file: rec, good: rec2})
		m := r.mirror()
		m.Both = both
		_, err := r.run(m, r.local())
		if (err != nil) != both || both && !strings.Contains(err.Error(), "noarch/a-1.0-0.tar.bz2: got md5:") ||
			r.has("/dst/acc/noarch/"+file) == both {
			t.Errorf("both %v: got %v", both, err)
		}
		if !r.has("/dst/acc/noarch/" + good) {
			t.Errorf("both %v: the good one is not there", both)
		}
	}
}

// Forms of the index come and go as they are asked for; a form that is not kept up to date does not stay.
func TestForms(t *testing.T) {
	t.Parallel()
	r := newMemoryRig(t)
	r.channel("/src", "linux-64", "a", "b")
	m := r.mirror()
	for _, c := range []struct {
		noBzip2, shards bool
		want            string
	}{
		{false, false, "repodata.json repodata.json.bz2 repodata.json.zst"},
		{true, false, "repodata.json repodata.json.zst"},
		{true, true, "repodata.json repodata.json.zst repodata_shards.msgpack.zst"},
		{false, true, "repodata.json repodata.json.bz2 repodata.json.zst repodata_shards.msgpack.zst"},
		{false, false, "repodata.json repodata.json.bz2 repodata.json.zst"},
	} {
		m.NoBzip2, m.Shards = c.noBzip2, c.shards
		r.must(m)
		if have := r.list("/dst/acc/linux-64/repodata*"); have != c.want {
			t.Errorf("%+v: got %s", c, have)
		}
	}
	r.put("/dst/acc/linux-64/current_repodata.json", "{}")
	if r.must(m); r.has("/dst/acc/linux-64/current_repodata.json") {
		t.Error("another's index stays")
	}
}

// choice writes a channel of some versions of packages, in both formats, which need each other.
func choice(r *rig) {
	sections := map[string]map[string]record{"packages": {}, "packages.conda": {}}
	add := func(section, ext, name, version string, depends ...string) {
		file := name + "-" + version + "-0" + ext
		text := content(file)
		r.put("/src/linux-64/"+file, text)
		sections[section][file] = record{"name": name, "version": version, "build": "0", "build_number": 0,
			"size": len(text), "md5": md5Text(text), "depends": append([]string{}, depends...)}
	}
	for _, version := range []string{"1.9", "1.10", "1.2"} {
		add("packages", ".tar.bz2", "app", version, "lib >=1.0")
		add("packages.conda", ".conda", "app", version, "lib >=1.0")
	}
	add("packages", ".tar.bz2", "lib", "0.9")
	add("packages", ".tar.bz2", "lib", "1.0", "base")
	add("packages.conda", ".conda", "base", "3")
	add("packages", ".tar.bz2", "unrelated", "1")
	data, err := json.Marshal(sections)
	if err != nil {
		r.Fatal(err)
	}
	r.put("/src/linux-64/repodata.json", string(data))
}

// What the filters leave, and nothing else, is fetched and listed.
func TestChoices(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  func(m *Mirror)
		want string
	}{
		"latest":       {func(m *Mirror) { m.Config.Latest = 1 }, "app-1.10-0.conda app-1.10-0.tar.bz2 base-3-0.conda lib-1.0-0.tar.bz2 unrelated-1-0.tar.bz2"},
		"conda":        {func(m *Mirror) { m.Config.Formats = "conda" }, "app-1.10-0.conda app-1.2-0.conda app-1.9-0.conda base-3-0.conda"},
		"prefer-conda": {func(m *Mirror) { m.Config.Formats = "prefer-conda"; m.Config.Latest = 1 }, "app-1.10-0.conda base-3-0.conda lib-1.0-0.tar.bz2 unrelated-1-0.tar.bz2"},
		"tar.bz2":      {func(m *Mirror) { m.Config.Formats = "tar.bz2"; m.Config.Latest = 1 }, "app-1.10-0.tar.bz2 lib-1.0-0.tar.bz2 unrelated-1-0.tar.bz2"},
		"list":         {func(m *Mirror) { m.Config.PkgList = []string{"app ==1.9"} }, "app-1.9-0.conda app-1.9-0.tar.bz2"},
		"with depends": {func(m *Mirror) { m.Config.PkgList = []string{"app ==1.9"}; m.Config.WithDepends = true }, "app-1.9-0.conda app-1.9-0.tar.bz2 base-3-0.conda lib-1.0-0.tar.bz2"},
		"blacklist":    {func(m *Mirror) { m.Config.Blacklist = []string{"app", "lib"} }, "base-3-0.conda unrelated-1-0.tar.bz2"},
	} {
		r := newMemoryRig(t)
		choice(r)
		m := r.mirror()
		c.set(m)
		r.must(m)
		files := r.list("/dst/acc/linux-64/*.[ct]*")
		have := strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(files+" ", "repodata.json.bz2 ",
			""), "repodata.json.zst ", ""), "repodata.json ", ""))
		if have != c.want {
			t.Errorf("%s: got %s\nwant %s", name, have, c.want)
		}
		var index struct {
			Packages map[string]any
			Conda    map[string]any `json:"packages.conda"`
		}
		err := json.Unmarshal([]byte(r.get("/dst/acc/linux-64/repodata.json")), &index)
		if n := len(strings.Fields(c.want)); err != nil || len(index.Packages)+len(index.Conda) != n {
			t.Errorf("%s: the index lists %v and %v, %v", name, index.Packages, index.Conda, err)
		}
	}
}

// A channel without packages, or without noarch, becomes one that clients can read; an index that is there stays.
func TestEmptyChannels(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"{}", "", " \n", `{"info":{"subdir":"linux-64"},"packages":{}}`,
		`{"packages":{},"packages.conda":{},"removed":[]}`} {
		r := newMemoryRig(t)
		r.put("/src/linux-64/repodata.json", text)
		r.must(r.mirror())
		for _, subdir := range []string{"linux-64", "noarch"} {
			if n := r.complete(subdir); n != 0 {
				t.Errorf("%q: %s has %d packages", text, subdir, n)
			}
		}
		if files, _ := filepath.Glob(r.path("/dst/acc/*/*.tar.bz2")); len(files) > 0 {
			t.Error(files)
		}
		r.channel("/src", "linux-64", "a")
		r.channel("/src", "noarch", "b")
		r.must(r.mirror())
		if r.complete("linux-64")+r.complete("noarch") != 2 {
			t.Errorf("%q: what came later is not there", text)
		}
	}
}

// Where a record has no digest its size still counts, from wherever the package comes.
func TestSizesCount(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, 1} {
		r := newMemoryRig(t)
		file, rec := r.pkg("/src", "noarch", "a", nil)
		delete(rec, "md5")
		rec["size"] = len(r.get("/src/noarch/"+file)) + n
		r.index("/src", "noarch", map[string]record{file: rec})
		s, m, _ := r.served(t)
		for range 2 {
			p, err := m.Plan(t.Context(), r.netted(s.Client(t)))
			if err != nil {
				t.Fatal(err)
			}
			p.testOnlyPause = func(int) {}
			if err := p.Apply(t.Context(), r.local()); err == nil ||
				!strings.Contains(err.Error(), "noarch/"+file+": got ") || r.has("/dst/acc/noarch/"+file) {
				t.Errorf("%+d: got %v", n, err)
			}
		}
		if _, err := r.run(r.mirror(), r.local()); err == nil || r.has("/dst/acc/noarch/"+file) {
			t.Errorf("%+d, from a directory: got %v", n, err)
		}
	}
}
