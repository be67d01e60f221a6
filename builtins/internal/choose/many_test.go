package choose

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"runbook/builtins/internal/repodata"
)

// dataDir may have real indexes, which are no part of the project.
const dataDir = "../../../../shared/data/indexes/"

// madePythons are the versions that the generated channel has builds for.
var madePythons = []string{"2.6", "2.7", "3.3", "3.4", "3.5"}

// madeLicences of the generated channel, in turn, with their families.
var madeLicences = [][2]string{{"BSD", "BSD"}, {"GPL-2", "GPL2"}, {"MIT", "MIT"}, {"GPL (>= 3)", "GPL3"}, {"LGPL v2.1", "LGPL"}, {"PSF", "PSF"},
	{"GNU Affero GPL", "AGPL"}, {"Apache 2.0", "APACHE"}, {"Public Domain", "PUBLICDOMAIN"}, {"proprietary", "PROPRIETARY"}, {"MPL", "OTHER"}}

// generatedRecords is a channel of some ten thousand packages: two versions of each, for all Pythons but for every sixth,
// which needs none. A package depends on one or two others.
func generatedRecords() (list []*noted) {
	add := func(name, version, build, python string, depends ...string) {
		n := &noted{subdir: "linux-64"}
		n.Fields = repodata.Fields{Name: name, Version: version, Build: build, Size: int64(1000 + len(list)), Depends: depends,
			License: madeLicences[len(list)%len(madeLicences)][0], MD5: fmt.Sprintf("%032x", len(list)), Timestamp: -1, IndexedTimestamp: -1}
		if python != "" {
			n.Depends = append(n.Depends, "python "+python+"*")
		}
		n.File = name + "-" + version + "-" + build + ".tar.bz2"
		list = append(list, n)
	}
	names := map[int]string{10: "numpy", 11: "libpng", 1000: "notebook", 1101: "scikit-learn"}
	nameOf := func(i int) string { return cmp.Or(names[i], fmt.Sprint("package", i)) }
	for _, v := range madePythons {
		add("python", v+".1", "0", "")
	}
	for i := range 1200 {
		for _, version := range []string{"1.10.0", "1.11.1"} {
			var depends []string
			if i%2 == 1 {
				depends = append(depends, nameOf(i/2)+" >=1.0")
			}
			if i%3 == 1 {
				depends = append(depends, nameOf(i/3)+" 1.11*")
			}
			if i%6 == 5 {
				add(nameOf(i), version, "0", "", depends...)
				continue
			}
			for _, v := range madePythons {
				add(nameOf(i), version, "py"+strings.ReplaceAll(v, ".", "")+"_0", v, depends...)
			}
		}
	}
	return list
}

// channelRecords is a channel to choose from: the real one of 2016 where it is, else the generated one.
func channelRecords(tb testing.TB) []*noted {
	tb.Helper()
	if list, ok := realRecords(tb, free); ok {
		return list
	}
	return generatedRecords()
}

// realRecords reads a real index in a plain way of its own, in the order of its files' names. ok is false if it is not
// there.
func realRecords(tb testing.TB, index string) (list []*noted, ok bool) {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(dataDir, index, "repodata.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	if err != nil {
		tb.Fatal(err)
	}
	type record struct {
		Name, Version, Build string
		BuildNumber          int64 `json:"build_number"`
		MD5, SHA256, License string
		LicenseFamily        string `json:"license_family"`
		Size, Timestamp      int64
		Depends              []string
	}
	var sections struct {
		Packages map[string]record
		Conda    map[string]record `json:"packages.conda"`
	}
	if err := json.Unmarshal(text, &sections); err != nil {
		tb.Fatal(err)
	}
	subdir := strings.Split(index, "/")[1]
	for section, m := range []map[string]record{sections.Packages, sections.Conda} {
		for _, file := range slices.Sorted(maps.Keys(m)) {
			r := m[file]
			list = append(list, &noted{subdir: subdir, Record: repodata.Record{Section: repodata.Section(section), File: file, Fields: repodata.Fields{
				Name: r.Name, Version: r.Version, Build: r.Build, BuildNumber: r.BuildNumber, MD5: r.MD5, SHA256: r.SHA256, Size: r.Size,
				License: r.License, LicenseFamily: r.LicenseFamily, Depends: r.Depends, Timestamp: r.Timestamp, IndexedTimestamp: -1,
			}}})
		}
	}
	return list, true
}

const free = "free/linux-64/2016-09-03"

// countFamilies lists how many records are of each family of madeLicences.
func countFamilies(records []*noted) string {
	counts := map[string]int{}
	for _, r := range records {
		counts[family(r.LicenseFamily, r.License)]++
	}
	var have []string
	for _, f := range slices.Sorted(maps.Keys(counts)) {
		have = append(have, fmt.Sprintf("%s:%d", f, counts[f]))
	}
	return join(have)
}

// The counts of real indexes are those that conda-build's own function gives.
func TestFamilies(t *testing.T) {
	records := generatedRecords()
	counts := map[string]int{}
	for i := range records {
		counts[madeLicences[i%len(madeLicences)][1]]++
	}
	var want []string
	for _, f := range slices.Sorted(maps.Keys(counts)) {
		want = append(want, fmt.Sprintf("%s:%d", f, counts[f]))
	}
	if have := countFamilies(records); have != join(want) {
		t.Errorf("generated:\n got %s\nwant %s", have, join(want))
	}
	for name, want := range map[string]string{
		free:                                   "AGPL:25 APACHE:644 BSD:5382 GPL2:142 GPL3:155 LGPL:366 MIT:2134 OTHER:323 PROPRIETARY:72 PSF:363 PUBLICDOMAIN:29",
		"anaconda-cluster/linux-64/2016-07-30": "APACHE:20 BSD:9 GPL:1 MIT:5 NONE:7 OTHER:1",
	} {
		if records, ok := realRecords(t, name); ok && countFamilies(records) != want {
			t.Errorf("%s:\n got %s\nwant %s", name, countFamilies(records), want)
		}
	}
}

// A share is what a filter leaves of a channel: packages and bytes.
type share struct {
	c        Config
	packages int
	bytes    int64 // 0 is not known
}

func (want share) check(t *testing.T, records []*noted) {
	t.Helper()
	s, err := NewSelector(want.c)
	if err != nil {
		t.Fatal(err)
	}
	packages, bytes := 0, int64(0)
	for _, r := range records {
		if s.Keeps(r.subdir, 0, &r.Record) {
			packages++
			bytes += r.Size
		}
	}
	if packages != want.packages || want.bytes != 0 && bytes != want.bytes {
		t.Errorf("%+v: got %d packages, %d bytes, want %d, %d", want.c, packages, bytes, want.packages, want.bytes)
	}
	if unused := s.Unused(); len(unused) > 0 {
		t.Error(unused)
	}
}

// Each filter's share of a generated channel is counted in a plain way; that of the real one is as it was.
func TestShares(t *testing.T) {
	type words = []string
	records := generatedRecords()
	count := func(c Config, keeps func(i int, r *noted) bool) (want share) {
		want.c = c
		for i, r := range records {
			if keeps(i, r) {
				want.packages, want.bytes = want.packages+1, want.bytes+r.Size
			}
		}
		return want
	}
	isFor := func(r *noted, version string) bool {
		depends := join(r.Depends)
		return r.Name == "python" && strings.HasPrefix(r.Version, version) || r.Name != "python" && (!strings.Contains(depends, "python") || strings.Contains(depends, "python "+version))
	}
	count(Config{}, func(int, *noted) bool { return true }).check(t, records)
	for _, v := range madePythons {
		count(Config{PythonVersions: words{v}}, func(_ int, r *noted) bool { return isFor(r, v) }).check(t, records)
	}
	count(Config{LicenseBlacklist: words{"GPL"}}, func(i int, _ *noted) bool {
		return !contains("GPL2 GPL3", madeLicences[i%len(madeLicences)][1])
	}).check(t, records)
	all := words{"AGPL", "GPL2", "GPL3", "LGPL", "BSD", "MIT", "Apache", "PSF", "Public-Domain", "Proprietary", "Other"}
	share{Config{LicenseBlacklist: all}, 0, 0}.check(t, records)
	real, ok := realRecords(t, free)
	if !ok {
		return
	}
	for _, want := range []share{
		{Config{}, 9635, 30_867_934_177},
		{Config{PythonVersions: words{"2.7"}}, 3429, 12_839_526_111},
		{Config{PythonVersions: words{"3.4"}}, 2138 + 310, 0},
		{Config{PythonVersions: words{"2.6"}}, 1415 + 310, 0},
		{Config{PythonVersions: words{"3.3"}}, 1372 + 310, 0},
		{Config{PythonVersions: words{"3.5"}}, 1280 + 310, 0},
		{Config{PythonVersions: words{"2.6", "2.7", "3.3", "3.4", "3.5"}}, 9634, 0},
		{Config{LicenseBlacklist: words{"GPL"}}, 9635 - 142 - 155, 0},
		{Config{LicenseBlacklist: all}, 0, 0},
	} {
		want.check(t, real)
	}
}

// The closure of a few packages is closed, and nothing in it is there without a reason.
func TestDependsOfMany(t *testing.T) {
	records := channelRecords(t)
	for _, c := range []Config{
		{PkgList: []string{"notebook", "scikit-learn"}}, {PkgList: []string{"notebook"}, Latest: 1}, {PkgList: []string{"notebook"}, PythonVersions: []string{"2.7"}}, {Blacklist: []string{"numpy 1.11*"}, Latest: 1},
	} {
		c.WithDepends = true
		got := choose(t, c, records)
		again := choose(t, c, records)
		if got != again {
			t.Fatalf("%+v: got another choice the second time", c)
		}
		t.Logf("%+v: %d kept\n%s", c, strings.Count(got.kept, " ")+1, got.warnings)
		checkClosed(t, records, strings.Fields(got.kept), got.warnings)
	}
}
