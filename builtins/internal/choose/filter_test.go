package choose

import (
	"testing"
	"time"

	"runbook/builtins/internal/repodata"
)

const mixed = `
	l/gpl-1-0.conda: |license=GPL_v2
	l/gpl3-1-0.conda: |family=GPL3
	l/lgpl-1-0.conda: |license=LGPL_3
	l/bsd-1-0.conda: |license=BSD_3-Clause
	l/bsd-2-0.conda: |license=BSD_3-Clause source=1
	l/none-1-0.tar.bz2
	l/py27-1-0.conda: numpy; python 2.7* |license=MIT
	l/py35-1-np111py35_0.conda
	l/python-2.7.12-0.conda
	l/public-1-0.tar.bz2: |license=Public-Domain`

func TestFilters(t *testing.T) {
	type words = []string
	records := recordsOf(t, mixed)
	const all = "gpl-1 gpl3-1 lgpl-1 bsd-1 bsd-2 none-1 py27-1 py35-1 python-2.7.12 public-1"
	for _, c := range []struct {
		c            Config
		want, unused string
	}{
		{Config{}, all, ""},
		{Config{PkgList: words{"bsd", "PY27", "x"}}, "bsd-1 bsd-2 py27-1", `pkg_list: "x" matches nothing`},
		{Config{PkgList: words{"bsd >=2", "none=1"}}, "bsd-2 none-1", ""},
		{Config{PkgList: words{"*gpl* 1 0", "p*[license=MIT]"}}, "gpl-1 gpl3-1 lgpl-1 py27-1", ""},
		{Config{PkgList: words{"*[build=*py35_0]"}}, "py35-1", ""},
		{Config{PkgList: words{"*[subdir=noarch]", "bsd[subdir=l]"}}, "bsd-1 bsd-2", `pkg_list: "*[subdir=noarch]" matches nothing`},
		{Config{PkgList: words{"bsd-2-0.conda"}}, "bsd-2", ""},
		{Config{PkgList: words{"main::bsd"}, Channels: words{"/m/free", "https://h/main/"}}, "bsd-2", ""},
		{Config{PkgList: words{"python"}, PythonVersions: words{"3.5"}}, "", "pkg_list: \"python\" matches nothing"},
		{Config{PythonVersions: words{"2.7", "3.4"}}, "gpl-1 gpl3-1 lgpl-1 bsd-1 bsd-2 none-1 py27-1 python-2.7.12 public-1", `python_versions: "3.4" matches nothing`},
		{Config{LicenseBlacklist: words{"GPL"}}, "lgpl-1 bsd-1 bsd-2 none-1 py27-1 py35-1 python-2.7.12 public-1", ""},
		{Config{LicenseBlacklist: words{"gpl2", "Public-Domain", "None"}}, "gpl3-1 lgpl-1 bsd-1 bsd-2 py27-1", ""},
		{Config{Blacklist: words{"bsd", "none"}}, "gpl-1 gpl3-1 lgpl-1 py27-1 py35-1 python-2.7.12 public-1", ""},
		{Config{Blacklist: words{"bsd <2", "bsd 3"}}, "gpl-1 gpl3-1 lgpl-1 bsd-2 none-1 py27-1 py35-1 python-2.7.12 public-1", `blacklist: "bsd 3" matches nothing`},
		{Config{LicenseBlacklist: words{"GPL", "AGPL"}, Blacklist: words{"bsd"}, Whitelist: words{"bsd 2.*", "gpl"}}, "gpl-1 lgpl-1 bsd-2 none-1 py27-1 py35-1 python-2.7.12 public-1", `license_blacklist: "AGPL" matches nothing`},
		{Config{PythonVersions: words{"3.5"}, Whitelist: words{"py27"}}, "gpl-1 gpl3-1 lgpl-1 bsd-1 bsd-2 none-1 py35-1 public-1", `whitelist: "py27" matches nothing`},
		{Config{Formats: OnlyTarBz2}, "none-1 public-1", ""},
		{Config{Formats: OnlyConda, PkgList: words{"bsd", "none"}}, "bsd-1 bsd-2", ""},
		{Config{Formats: All, Blacklist: words{"*"}, Whitelist: words{"^p.*$"}}, "py27-1 py35-1 python-2.7.12 public-1", ""},
	} {
		got := choose(t, c.c, records)
		if want := files(records, c.want); got.kept != want || got.unused != c.unused {
			t.Errorf("%+v:\n got %s, unused %s\nwant %s", c.c, got.kept, got.unused, want)
		}
	}
}

// files are the records whose name and version are among words.
func files(records []*noted, words string) string {
	var list []string
	for _, n := range records {
		if contains(words, n.Name+"-"+n.Version) {
			list = append(list, n.String())
		}
	}
	return join(list)
}

func TestNewerThan(t *testing.T) {
	day := time.Date(2024, 1, 31, 0, 0, 0, 0, time.UTC).UnixMilli()
	text := `
	l/a-1-0.conda
	l/b-1-0.conda: |time=0
	l/c-1-0.conda: |time=DAY-1
	l/d-1-0.conda: |time=DAY
	l/e-1-0.conda: |time=DAY-1 indexed=DAY
	l/f-1-0.conda: |time=DAY indexed=DAY-1
	l/g-1-0.conda: |time=DAY/1000
	l/h-1-0.conda: |time=DAY/1000-1`
	records := recordsOf(t, replaceAll(text, "DAY-1", day-1, "DAY/1000-1", day/1000-1, "DAY/1000", day/1000, "DAY", day))
	for _, c := range []struct {
		c       Config
		want    string
		undated int
	}{
		{Config{NewerThan: "2024-01-31"}, "a-1 b-1 d-1 e-1 g-1", 2},
		{Config{NewerThan: "2024-01-31T01:00:00+01:00"}, "a-1 b-1 d-1 e-1 g-1", 2},
		{Config{NewerThan: "2024-01-30T23:59:59Z"}, "a-1 b-1 c-1 d-1 e-1 f-1 g-1 h-1", 2},
		{Config{NewerThan: "2024-02-01", Blacklist: []string{"a"}}, "b-1", 1},
		{Config{NewerThan: "2024-02-01", Blacklist: []string{"a"}, Latest: 1}, "b-1", 1},
	} {
		got := choose(t, c.c, records)
		if want := files(records, c.want); got.kept != want || got.undated != c.undated {
			t.Errorf("%+v:\n got %s, undated %d\nwant %s", c.c, got.kept, got.undated, want)
		}
	}
}

func TestPythons(t *testing.T) {
	for in, want := range map[string]string{ // which of 2.6, 2.7, 3.5, 3.9, 3.10 can use it
		"python 2.7*|py27_0": "2.7", "python 2.7.*|0": "2.7", "python 3.5.2|0": "3.5", "python ==2.6|0": "2.6", "python 3.9.* *_cpython|0": "3.9", "python 3.6.*|0": "",
		"python >=3.9,<3.10.0a0|py39h123_0": "3.9", "python >=3.10,<3.11.0a0|0": "3.10", "python >=3.6|pyhd8ed1ab_0": "3.9 3.10", "python >=3.6|py310_1": "3.10", "python >=3.6|py27_1": "",
		"python|0": "2.6 2.7 3.5 3.9 3.10", "python >=2.7,<4|py_0": "2.7 3.5 3.9 3.10", "python >=2.7,<3.0a0|0": "2.7", "python >=3.5.2|0": "3.5 3.9 3.10", "python <3|0": "2.6 2.7", "python !=3.9.1|0": "2.6 2.7 3.5 3.9 3.10", "python 3*|0": "3.5 3.9 3.10", "python 2.7|>=3.9|0": "2.7 3.9 3.10", "python[version='>=3.9']|0": "3.9 3.10", "python>=3.10|0": "3.10", "python ???|0": "2.6 2.7 3.5 3.9 3.10",
		"python-dateutil 2.6*|0": "2.6 2.7 3.5 3.9 3.10", "pythonnet 2*|0": "2.6 2.7 3.5 3.9 3.10", "|np110py26_nomkl_0": "2.6", "|pyh1234_0": "2.6 2.7 3.5 3.9 3.10", "|py3_0": "2.6 2.7 3.5 3.9 3.10", "|happy27_0": "2.7", "|py2py35_0": "3.5", "|py36_0": "", "|py310": "3.10", "|py31_0": "", "|py27x": "2.6 2.7 3.5 3.9 3.10", "|0": "2.6 2.7 3.5 3.9 3.10",
	} {
		i := lastBar(in)
		r := &repodata.Record{Fields: repodata.Fields{Name: "x", Depends: []string{"zlib", in[:i]}, Build: in[i+1:]}}
		if got := usable(t, r); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
	for version, want := range map[string]string{"2.7.12": "2.7", "3.10.0rc1": "3.10", "3.9": "3.9", "3.91": "", "3": "2.6 2.7 3.5 3.9 3.10", "": "2.6 2.7 3.5 3.9 3.10"} {
		if got := usable(t, &repodata.Record{Fields: repodata.Fields{Name: "python", Version: version}}); got != want {
			t.Errorf("python %s: got %q, want %q", version, got, want)
		}
	}
}

func usable(t *testing.T, r *repodata.Record) string {
	var list []string
	for _, v := range []string{"2.6", "2.7", "3.5", "3.9", "3.10"} {
		s, err := NewSelector(Config{PythonVersions: []string{v}})
		if err != nil {
			t.Fatal(err)
		}
		if s.Keeps("linux-64", 0, r) {
			list = append(list, v)
		}
	}
	return join(list)
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
