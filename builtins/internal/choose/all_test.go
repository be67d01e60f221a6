package choose

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestFormats(t *testing.T) {
	records := recordsOf(t, `
	a/x-1-0.conda
	a/x-1-0.tar.bz2
	a/x-1-1.tar.bz2
	b/x-1-0.tar.bz2
	b/x-2-0.conda: |source=1
	b/x-2-0.tar.bz2: |source=2
	a/y-1-0.conda: |license=GPL
	a/y-1-0.tar.bz2: |license=MIT
	a/z-1-0.conda: |time=1500000000000
	a/z-1-0.tar.bz2: |time=1600000000000`)
	for _, c := range []struct {
		c    Config
		want string
	}{
		{Config{Formats: All, Latest: 9}, "a/x-1-0.conda a/x-1-0.tar.bz2 a/x-1-1.tar.bz2 b/x-1-0.tar.bz2 b/x-2-0.conda b/x-2-0.tar.bz2 a/y-1-0.conda a/y-1-0.tar.bz2 a/z-1-0.conda a/z-1-0.tar.bz2"},
		{Config{Formats: PreferConda}, "a/x-1-0.conda a/x-1-1.tar.bz2 b/x-1-0.tar.bz2 b/x-2-0.conda a/y-1-0.conda a/z-1-0.conda"},
		{Config{Formats: PreferConda, LicenseBlacklist: []string{"GPL"}}, "a/x-1-0.conda a/x-1-1.tar.bz2 b/x-1-0.tar.bz2 b/x-2-0.conda a/y-1-0.tar.bz2 a/z-1-0.conda"},
		{Config{Formats: PreferConda, NewerThan: "2018-01-01", PkgList: []string{"z"}}, "a/z-1-0.tar.bz2"},
		{Config{Formats: OnlyTarBz2, Latest: 1}, "a/x-1-0.tar.bz2 a/x-1-1.tar.bz2 b/x-2-0.tar.bz2 a/y-1-0.tar.bz2 a/z-1-0.tar.bz2"},
	} {
		if got := choose(t, c.c, records); got.kept != c.want || got.warnings != "" {
			t.Errorf("%+v:\n got %s\nwant %s", c.c, got.kept, c.want)
		}
	}
}

func TestLatest(t *testing.T) {
	records := recordsOf(t, `
	a/x-1.9-0.conda
	a/x-1.10-py27_0.conda
	a/x-1.10-py34_0.conda: |source=1
	a/x-1.10.0-py35_0.tar.bz2: |license=GPL
	a/x-1.11rc1-0.conda
	a/x-1.11rc1-0.tar.bz2
	b/x-1.9-0.conda
	b/x-1.10-0.conda
	a/X-0.1-0.conda
	a/y-1!0.1-0.conda
	a/y-5-0.conda
	a/y-odd@-0.conda
	noarch/x-1.8-0.conda`)
	for _, c := range []struct {
		c    Config
		want string
	}{
		{Config{Latest: 1}, "a/x-1.11rc1-0.conda a/x-1.11rc1-0.tar.bz2 b/x-1.10-0.conda a/y-1!0.1-0.conda noarch/x-1.8-0.conda"},
		{Config{Latest: 2}, "a/x-1.10-py27_0.conda a/x-1.10-py34_0.conda a/x-1.10.0-py35_0.tar.bz2 a/x-1.11rc1-0.conda a/x-1.11rc1-0.tar.bz2 b/x-1.9-0.conda b/x-1.10-0.conda a/y-1!0.1-0.conda a/y-5-0.conda noarch/x-1.8-0.conda"},
		{Config{Latest: 1, Blacklist: []string{"x 1.11rc1", "y 1!0.*"}}, "a/x-1.10-py27_0.conda a/x-1.10-py34_0.conda a/x-1.10.0-py35_0.tar.bz2 b/x-1.10-0.conda a/y-5-0.conda noarch/x-1.8-0.conda"},
		{Config{Latest: 1, PythonVersions: []string{"3.5"}, PkgList: []string{"x=1.10"}}, "a/x-1.10.0-py35_0.tar.bz2 b/x-1.10-0.conda"},
		{Config{Latest: 1, Formats: PreferConda, PkgList: []string{"x 1.11*"}}, "a/x-1.11rc1-0.conda"},
		{Config{Latest: 1, LicenseBlacklist: []string{"None"}}, "a/x-1.10.0-py35_0.tar.bz2"},
		{Config{Latest: 3, PkgList: []string{"y"}}, "a/y-1!0.1-0.conda a/y-5-0.conda a/y-odd@-0.conda"},
	} {
		if got := choose(t, c.c, records); got.kept != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.c, got.kept, c.want)
		}
	}
}

// What was not noted is not kept, and what was noted twice counts once.
func TestShadows(t *testing.T) {
	records := recordsOf(t, `
	a/x-1-0.conda
	a/x-2-0.conda: y
	a/y-1-0.conda`)
	s, err := NewSelector(Config{PkgList: []string{"x"}, Latest: 1, WithDepends: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range append(records, records...) {
		s.See(n.subdir, n.source, &n.Record)
	}
	if s.Keeps("a", 0, &records[1].Record) {
		t.Error("kept before it is settled")
	}
	if w := s.Decide(); len(w) > 0 {
		t.Error(w)
	}
	var got []string
	for source := range 2 {
		for _, subdir := range []string{"a", "b"} {
			for _, n := range records {
				if s.Keeps(subdir, source, &n.Record) {
					got = append(got, subdir+"/"+n.File)
				}
			}
		}
	}
	if got := strings.Join(got, " "); got != "a/x-2-0.conda a/y-1-0.conda" {
		t.Errorf("got %s", got)
	}
}

// Subdirs may be read at once, and the choice is the same.
func TestManyGoroutines(t *testing.T) {
	var text strings.Builder
	for i := range 140 { // each of another name
		fmt.Fprintf(&text, "s%d-64/p%d-%d-0.conda: p%d >=1\n", i%4, i%7, i%5, i%11)
	}
	records := recordsOf(t, text.String())
	for _, c := range []Config{{WithDepends: true, Latest: 2, Blacklist: []string{"p3"}}, {LicenseBlacklist: []string{"GPL"}, Blacklist: []string{"p3 >1"}}} {
		want := choose(t, c, records)
		s, err := NewSelector(c)
		if err != nil {
			t.Fatal(err)
		}
		each := func(f func(n *noted)) {
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() {
					for i := g; i < len(records); i += 4 {
						f(records[i])
					}
				})
			}
			wg.Wait()
		}
		each(func(n *noted) { s.See(n.subdir, n.source, &n.Record) })
		warnings := strings.Join(s.Decide(), "\n")
		if again := s.Decide(); again != nil || warnings != want.warnings {
			t.Errorf("got %s, then %s\nwant %s", warnings, again, want.warnings)
		}
		each(func(n *noted) {
			s.See(n.subdir, n.source, &n.Record) // too late
			if s.Keeps(n.subdir, n.source, &n.Record) != contains(want.kept, n.String()) {
				t.Errorf("%s: not as by one goroutine", n)
			}
		})
	}
}
