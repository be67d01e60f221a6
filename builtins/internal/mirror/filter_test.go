package mirror

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"runbook/builtins/internal/repodata"
)

func TestFilters(t *testing.T) {
	records := []repodata.Fields{
		{Name: "gpl", License: "GPL v2"}, {Name: "gpl3", LicenseFamily: "GPL3"}, {Name: "lgpl", License: "LGPL 3"}, {Name: "bsd", License: "BSD 3-Clause"},
		{Name: "none"}, {Name: "py27", Depends: []string{"numpy", "python 2.7*"}, License: "MIT"}, {Name: "py35", Build: "np111py35_0"},
		{Name: "python", Version: "2.7.12"}, {Name: "public", License: "Public-Domain"},
	}
	const all = "gpl gpl3 lgpl bsd none py27 py35 python public"
	for _, c := range []struct {
		c      Config
		want   string
		unused string
	}{
		{Config{}, all, ""},
		{Config{PkgList: []string{"bsd", "PY27", "x"}}, "bsd py27", `[pkg_list: "x" matches nothing]`},
		{Config{PythonVersions: []string{"2.7", "3.4"}}, "gpl gpl3 lgpl bsd none py27 python public", `[python_versions: "3.4" matches nothing]`},
		{Config{LicenseBlacklist: []string{"GPL"}}, "lgpl bsd none py27 py35 python public", ""},
		{Config{LicenseBlacklist: []string{"gpl2", "Public-Domain", "None"}}, "gpl3 lgpl bsd py27", ""},
		{Config{Blacklist: []string{"bsd", "none"}}, "gpl gpl3 lgpl py27 py35 python public", ""},
		{Config{LicenseBlacklist: []string{"GPL", "AGPL"}, Blacklist: []string{"bsd"}, Whitelist: []string{"bsd", "gpl"}}, "gpl lgpl bsd none py27 py35 python public", `[license_blacklist: "AGPL" matches nothing]`},
		{Config{PythonVersions: []string{"3.5"}, Whitelist: []string{"py27"}}, "gpl gpl3 lgpl bsd none py35 public", `[whitelist: "py27" matches nothing]`},
	} {
		f := newFilter(c.c)
		var kept []string
		for i := range records {
			if f.keeps(&records[i]) {
				kept = append(kept, records[i].Name)
			}
		}
		unused := ""
		if u := f.unused(); len(u) > 0 {
			unused = fmt.Sprint(u)
		}
		if got := strings.Join(kept, " "); got != c.want || unused != c.unused {
			t.Errorf("%+v:\n got %s, unused %s\nwant %s", c.c, got, unused, c.want)
		}
	}
}

func TestPythonOf(t *testing.T) {
	for in, want := range map[string]string{
		"python 2.7*|py27_0": "2.7", "python 3.6.*|0": "3.6", "python 3.5.2|0": "3.5", "python ==2.6|0": "2.6", "python 3.9.* *_cpython|0": "3.9",
		"python >=3.7,<3.8.0a0|py37h123_0": "3.7", "python >=3.10,<3.11.0a0|0": "3.10", "python >=3.6|pyhd8ed1ab_0": "", "python >=3.6|py310_1": "3.10",
		"python|0": "", "python >=2.7,<4|py_0": "", "python-dateutil 2.6*|0": "", "|np110py26_nomkl_0": "2.6", "|pyh1234_0": "", "|0": "",
	} {
		dep, build, _ := strings.Cut(in, "|")
		if got := pythonOf(&repodata.Fields{Name: "x", Depends: []string{"zlib", dep}, Build: build}); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func TestFamily(t *testing.T) {
	for in, want := range map[string]string{
		"": "NONE", "GPL (>= 2)": "GPL3", "GPL-2": "GPL2", "GPL": "GPL", "GNU General Public License v3": "GPL3", "GNU Lesser General Public License": "LGPL", "LGPL v2.1": "LGPL",
		"GNU Affero GPL": "AGPL", "BSD License": "BSD", "Apache License 2.0": "APACHE", "proprietary - Continuum Analytics, Inc.": "PROPRIETARY", "Public Domain": "PUBLICDOMAIN",
		"PSF": "PSF", "CC0": "CC", "MPL": "OTHER", "Mozilla Public License": "MOZILLA", "modified BSD + GPL 2": "GPL2",
	} {
		if got := family("", in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	if got := family("MIT", "GPL"); got != "MIT" {
		t.Errorf("got %s", got)
	}
}

// data returns a part of the real data, which is no part of the project.
func data(tb testing.TB, name string) string {
	dir := filepath.Join("../../../../shared/data", name)
	if _, err := os.Stat(dir); err != nil {
		tb.Skip("NOT TESTED: no real data at ../shared/data/" + name + " beside the project's root")
	}
	return dir
}

func parseFile(tb testing.TB, name string) *repodata.Index {
	text, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	index, err := repodata.Parse(string(text))
	if err != nil {
		tb.Fatal(err)
	}
	return index
}

// The counts are those that conda-build's own function gives for these indexes.
func TestRealFamilies(t *testing.T) {
	for name, want := range map[string]string{
		"free/linux-64/2016-09-03":             "AGPL:25 APACHE:644 BSD:5382 GPL2:142 GPL3:155 LGPL:366 MIT:2134 OTHER:323 PROPRIETARY:72 PSF:363 PUBLICDOMAIN:29",
		"anaconda-cluster/linux-64/2016-07-30": "APACHE:20 BSD:9 GPL:1 MIT:5 NONE:7 OTHER:1",
	} {
		counts := map[string]int{}
		for _, f := range parseFile(t, data(t, "indexes/"+name+"/repodata.json")).All() {
			counts[family(f.LicenseFamily, f.License)]++
		}
		var have []string
		for _, f := range slices.Sorted(maps.Keys(counts)) {
			have = append(have, fmt.Sprintf("%s:%d", f, counts[f]))
		}
		if got := strings.Join(have, " "); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

// For 2.7 alone the real channel has 3,429 packages with 12.84 GB.
func TestRealPythonVersions(t *testing.T) {
	f := newFilter(Config{PythonVersions: []string{"2.7"}})
	n, bytes := 0, int64(0)
	for _, r := range parseFile(t, data(t, "indexes/free/linux-64/2016-09-03/repodata.json")).All() {
		if f.keeps(r) {
			n++
			bytes += r.Size
		}
	}
	if n != 3429 || bytes != 12_839_526_111 {
		t.Errorf("got %d packages, %d bytes", n, bytes)
	}
}
