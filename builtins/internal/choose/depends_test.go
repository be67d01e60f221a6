package choose

import (
	"fmt"
	"strings"
	"testing"
)

const channel = `
	linux-64/app-1-0.conda: lib >=2,<4; tool; __glibc >=2.17
	linux-64/app-2-0.conda: lib 3.*; tool; nothing 1
	linux-64/lib-1-0.conda
	linux-64/lib-2-0.conda: base
	linux-64/lib-3-0.conda: base |source=1
	linux-64/lib-4-0.conda: base
	linux-64/base-1-0.tar.bz2: app
	linux-64/other-1-0.conda: app
	noarch/tool-1-0.conda: python >=3; pick
	noarch/tool-2-0.conda: python >=3; winonly; __win
	linux-64/python-2.7-0.conda
	linux-64/python-3.4-0.conda: gnu |license=GPL3
	linux-64/python-3.5-0.conda: |license=PSF
	linux-64/gnu-1-0.conda: |license=GPL3
	win-64/python-3.5-0.conda
	win-64/winonly-1-0.conda
	win-64/pick-1-0.conda
	linux-64/pick-2-0.conda
	noarch/pick-3-0.conda
	win-64/app-1-0.conda: tool`

func TestDepends(t *testing.T) {
	type words = []string
	records := recordsOf(t, channel)
	for name, c := range map[string]struct {
		c              Config
		kept, warnings string
	}{
		"across subdir, noarch and channels, in a circle": {
			Config{PkgList: words{"app 1[subdir=linux-64]"}},
			`app-1 app-2 lib-2 lib-3 base-1 tool-1 pick-2 pick-3 python-3.4 python-3.5 gnu-1`,
			"linux-64: app-2-0.conda needs nothing 1, which no channel has",
		},
		"another platform": {
			Config{PkgList: words{"app[subdir=win-64]"}}, `win-64/app-1 tool-1 tool-2 win-64/winonly-1 win-64/pick-1 pick-3 win-64/python-3.5`, "",
		},
		"of noarch, for all platforms": {
			Config{PkgList: words{"tool 1"}}, `tool-1 python-3.4 python-3.5 gnu-1 pick-2 pick-3 win-64/pick-1 win-64/python-3.5`, "",
		},
		"of noarch, for its platform": {
			Config{PkgList: words{"tool 2"}}, `tool-2 win-64/winonly-1 win-64/python-3.5`, "",
		},
		"no dependencies": {Config{PkgList: words{"pick 3", "gnu"}}, "gnu-1 pick-3", ""},
		"latest, of the versions that will do": {
			Config{PkgList: words{"app[subdir=linux-64]"}, Latest: 1}, `app-2 lib-3 base-1 tool-1 pick-3 python-3.5`,
			"linux-64: app-2-0.conda needs nothing 1, which no channel has",
		},
		"python_versions bind": {
			Config{PkgList: words{"tool 1"}, PythonVersions: words{"3.4"}}, `tool-1 pick-2 pick-3 win-64/pick-1 python-3.4 gnu-1`, "",
		},
		"blacklists bind": {
			Config{Blacklist: words{"app", "lib", "python[subdir=linux-64]", "pick"}, LicenseBlacklist: words{"GPL"}, Whitelist: words{"app 1[subdir=linux-64]"}},
			`linux-64/app-1 base-1 other-1 tool-1 tool-2 win-64/winonly-1 win-64/python-3.5`,
			`linux-64: app-1-0.conda needs lib >=2,<4, which the filters leave out (blacklist)
			linux-64: tool-1-0.conda needs pick, which the filters leave out (blacklist)
			linux-64: tool-1-0.conda needs python >=3, which the filters leave out (license_blacklist, blacklist)`,
		},
		"formats bind": {
			Config{PkgList: words{"lib 2"}, Formats: OnlyConda}, `lib-2`, "linux-64: lib-2-0.conda needs base, which the filters leave out (formats)",
		},
		"newer_than does not": {Config{PkgList: words{"tool 2"}, NewerThan: "2020-01-01"}, `tool-2 win-64/winonly-1 win-64/python-3.5`, ""},
	} {
		c.c.WithDepends = true
		got := choose(t, c.c, records)
		if want := strings.ReplaceAll(c.warnings, "\t", ""); got.warnings != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got.warnings, want)
		}
		var kept []string
		for _, n := range records {
			stem := n.Name + "-" + n.Version
			if contains(c.kept, n.subdir+"/"+stem) || n.subdir != "win-64" && contains(c.kept, stem) {
				kept = append(kept, n.String())
			}
		}
		if got.kept != join(kept) {
			t.Errorf("%s:\n got %s\nwant %s", name, got.kept, join(kept))
		}
	}
}

func TestOddDepends(t *testing.T) {
	for name, c := range map[string]struct{ channel, kept, warnings string }{
		"optional":   {"a/x-1-0.conda: y[when='__win']; q[when='__osx']; p (optional); o if x\na/y-1-0.conda", "y-1", ""},
		"features":   {"a/x-1-0.conda: mkl@; y[track_features=z]\na/y-1-0.conda", "", ""},
		"itself":     {"a/x-1-0.conda: x", "", ""},
		"unreadable": {"a/x-1-0.conda: y >>1\na/y-1-0.conda", "y-1", `a: x-1-0.conda needs y >>1, which cannot be read: spec "y >>1": got the version ">1", want letters and digits between single dots, as in 1.2.3rc1, 1!2.0 or 1.0+local`},
		"nameless":   {"a/x-1-0.conda: *[license=MIT]; ^y$\na/y-1-0.conda", "", ""},
		"builds":     {"a/x-1-0.conda: y * py27*; z[build_number='>0']\na/y-1-py27_0.conda\na/y-1-py34_0.conda\na/z-1-0.conda\na/z-1-1.conda", "y-1-py27_0 z-1-1", ""},
		"capitals":   {"a/x-1-0.conda: Y\na/y-1-0.conda", "y-1", ""},
		"channels":   {"a/x-1-0.conda: c::y; d/noarch::z; b/a::w\na/y-1-0.conda\na/z-1-0.conda\na/w-1-0.conda", "y-1 w-1", "a: x-1-0.conda needs d/noarch::z, which no channel has"},
		"noarch":     {"noarch/x-1-0.conda: y; z\nnoarch/y-1-0.conda", "y-1", "noarch: x-1-0.conda needs z, which no channel has"},
		"noarch is needed": {
			"a/x-1-0.conda: y\nnoarch/y-1-0.conda: z\nb/z-1-0.conda\nb/w-1-0.conda", "y-1", "a: y-1-0.conda needs z, which no channel has",
		},
		"noarch is needed where it works": {"b/x-1-0.conda: y\nnoarch/y-1-0.conda: z\nb/z-1-0.conda\na/w-1-0.conda", "y-1 z-1", ""},
		"noarch works nowhere":            {"noarch/x-1-0.conda: z\nb/w-1-0.conda\na/w-1-0.conda", "", "noarch: x-1-0.conda needs z, which no channel has"},
		"unix": {
			"noarch/x-1-0.conda: y\nnoarch/y-1-u.conda: __unix\nnoarch/y-1-w.conda: __win\nnoarch/y-1-o.conda: __osx; m\nosx-64/m-1-0.conda", "y-1-u y-1-o m-1", "",
		},
		"many": {
			"a/x-1-0.conda: y\na/x-2-0.conda: y\na/x-10-0.conda: y", "", "a: x-1-0.conda and 2 more need y, which no channel has",
		},
	} {
		records := recordsOf(t, c.channel)
		got := choose(t, Config{PkgList: []string{"x"}, WithDepends: true}, records)
		if got.warnings != c.warnings {
			t.Errorf("%s: got %s\nwant %s", name, got.warnings, c.warnings)
		}
		var kept []string
		for _, n := range records {
			if n.Name == "x" || contains(c.kept, n.Name+"-"+n.Version) || contains(c.kept, n.Name+"-"+n.Version+"-"+n.Build) {
				kept = append(kept, n.String())
			}
		}
		if got.kept != join(kept) {
			t.Errorf("%s: got %s\nwant %s", name, got.kept, join(kept))
		}
	}
}

func TestManyMissing(t *testing.T) {
	var text strings.Builder
	for i := range 50 {
		fmt.Fprintf(&text, "a/x-%d-0.conda: y %d\n", i, i)
	}
	got := choose(t, Config{WithDepends: true}, recordsOf(t, text.String()))
	lines := strings.Split(got.warnings, "\n")
	if len(lines) != mostMissing+1 || lines[mostMissing] != "30 more dependencies are not satisfied" {
		t.Errorf("got %s", got.warnings)
	}
}

// More platforms than are followed up at once.
func TestManyPlatforms(t *testing.T) {
	text := "noarch/x-1-0.conda: y\nnoarch/z-1-0.conda: y\n"
	for i := range 80 {
		text += fmt.Sprintf("p%d-64/y-1-0.conda\n", i)
	}
	records := recordsOf(t, text)
	if got := choose(t, Config{WithDepends: true, PkgList: []string{"x"}}, records); got.warnings != "" || strings.Count(got.kept, " ") != 80 {
		t.Errorf("got %s, %s", got.kept, got.warnings)
	}
}
