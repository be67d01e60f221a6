package choose

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"runbook/builtins/internal/repodata"
)

// data returns a part of the real data, which is no part of the project.
func data(tb testing.TB, name string) string {
	dir := filepath.Join("../../../../shared/data", name)
	if _, err := os.Stat(dir); err != nil {
		tb.Skip("NOT TESTED: no real data at ../shared/data/" + name + " beside the project's root")
	}
	return dir
}

// realRecords reads an index in a plain way of its own, in the order of its files' names.
func realRecords(tb testing.TB, index string) (list []*noted) {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(data(tb, "indexes/"+index), "repodata.json"))
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
	return list
}

const free = "free/linux-64/2016-09-03"

// The counts are those that conda-build's own function gives for these indexes.
func TestRealFamilies(t *testing.T) {
	for name, want := range map[string]string{
		free:                                   "AGPL:25 APACHE:644 BSD:5382 GPL2:142 GPL3:155 LGPL:366 MIT:2134 OTHER:323 PROPRIETARY:72 PSF:363 PUBLICDOMAIN:29",
		"anaconda-cluster/linux-64/2016-07-30": "APACHE:20 BSD:9 GPL:1 MIT:5 NONE:7 OTHER:1",
	} {
		counts := map[string]int{}
		for _, r := range realRecords(t, name) {
			counts[family(r.LicenseFamily, r.License)]++
		}
		var have []string
		for _, f := range slices.Sorted(maps.Keys(counts)) {
			have = append(have, fmt.Sprintf("%s:%d", f, counts[f]))
		}
		if got := join(have); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

// Each filter's share of the channel as it was: packages and bytes.
func TestRealFilters(t *testing.T) {
	type words = []string
	records := realRecords(t, free)
	for _, c := range []struct {
		c        Config
		packages int
		bytes    int64
	}{
		{Config{}, 9635, 30_867_934_177},
		{Config{PythonVersions: words{"2.7"}}, 3429, 12_839_526_111},
		{Config{PythonVersions: words{"3.4"}}, 2138 + 310, 0},
		{Config{PythonVersions: words{"2.6"}}, 1415 + 310, 0},
		{Config{PythonVersions: words{"3.3"}}, 1372 + 310, 0},
		{Config{PythonVersions: words{"3.5"}}, 1280 + 310, 0},
		{Config{PythonVersions: words{"2.6", "2.7", "3.3", "3.4", "3.5"}}, 9634, 0},
		{Config{LicenseBlacklist: words{"GPL"}}, 9635 - 142 - 155, 0},
		{Config{LicenseBlacklist: words{"AGPL", "GPL2", "GPL3", "LGPL", "BSD", "MIT", "Apache", "PSF", "Public-Domain", "Proprietary", "Other"}}, 0, 0},
	} {
		s, err := NewSelector(c.c)
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
		if packages != c.packages || c.bytes != 0 && bytes != c.bytes {
			t.Errorf("%+v: got %d packages, %d bytes", c.c, packages, bytes)
		}
		if unused := s.Unused(); len(unused) > 0 {
			t.Error(unused)
		}
	}
}

// The closure of a few packages is closed, and nothing in it is there without a reason.
func TestRealDepends(t *testing.T) {
	records := realRecords(t, free)
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
