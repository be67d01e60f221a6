package choose

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"runbook/builtins/internal/conda"
)

// checkClosed looks for dependencies of what is kept that nothing kept satisfies and no warning mentions.
func checkClosed(t *testing.T, records []*noted, kept []string, warnings string) {
	t.Helper()
	byName := map[string][]*conda.Package{}
	for _, n := range records {
		if slices.Contains(kept, n.String()) {
			byName[n.Name] = append(byName[n.Name], packageOf(n))
		}
	}
	checked := map[string]bool{}
	for _, n := range records {
		if byName[n.Name] == nil || !slices.Contains(kept, n.String()) {
			continue
		}
		for _, d := range n.Depends {
			spec := mustSpec(d)
			if !checked[d] && !slices.ContainsFunc(byName[spec.Name()], spec.Match) &&
				!strings.Contains(warnings, " "+d+", which") && !strings.Contains(warnings, "more dependencies") {
				t.Errorf("%s needs %s, and nothing is kept for it", n, d)
			}
			checked[d] = true
		}
	}
}

func packageOf(n *noted) *conda.Package {
	return &conda.Package{Name: n.Name, Version: conda.VersionOf(n.Version), Build: n.Build, BuildNumber: n.BuildNumber,
		Subdir: n.subdir}
}

func mustSpec(s string) *conda.Spec {
	spec, err := conda.ParseSpec(s)
	if err != nil {
		panic(err)
	}
	return spec
}

// naive is the closure by its definition: rounds over all records, until one changes nothing. It knows neither latest
// nor formats.
func naive(c Config, records []*noted) string {
	machines := []string{}
	for _, n := range records {
		if n.subdir != conda.Noarch && !slices.Contains(machines, n.subdir) {
			machines = append(machines, n.subdir)
		}
	}
	if len(machines) == 0 {
		machines = []string{conda.Noarch}
	}
	matches := func(words []string, n *noted) bool {
		return slices.ContainsFunc(words, func(w string) bool { return mustSpec(w).Match(packageOf(n)) })
	}
	kept := map[*noted]bool{}
	for _, machine := range machines {
		here := map[*noted]bool{}
		sees := func(n *noted) bool {
			return (n.subdir == machine || n.subdir == conda.Noarch) &&
				!(n.subdir == conda.Noarch && slices.Contains(n.Depends, "__win") && !strings.HasPrefix(machine, "win"))
		}
		for _, n := range records {
			root := matches(c.PkgList, n)
			kept[n] = kept[n] || root
			here[n] = root && sees(n)
		}
		for changed := true; changed; {
			changed = false
			for _, n := range records {
				if here[n] || !sees(n) || matches(c.Blacklist, n) {
					continue
				}
				for _, m := range records {
					here[n] = here[n] || here[m] && matches(m.Depends, n)
				}
				changed = changed || here[n]
			}
		}
		for n, is := range here {
			kept[n] = kept[n] || is
		}
	}
	var list []string
	for _, n := range records {
		if kept[n] {
			list = append(list, n.String())
		}
	}
	return join(list)
}

func TestRandomChannels(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	relations := []string{"", " >=2", " <2", " 1", " 2.*", " * b*", " >=1,<3", "[build_number=1]", "[subdir=a-1]"}
	for range 400 {
		var text strings.Builder
		for i := range 5 + r.IntN(20) {
			fmt.Fprintf(&text, "%s/p%d-%d-%s.conda:", []string{"a-1", "win-2", conda.Noarch}[r.IntN(3)], r.IntN(8),
				1+r.IntN(3), []string{"b_0", "c_1"}[r.IntN(2)]+strings.Repeat("_1", i))
			for range r.IntN(3) {
				fmt.Fprintf(&text, " p%d%s;", r.IntN(9), relations[r.IntN(len(relations))])
			}
			if r.IntN(6) == 0 {
				text.WriteString(" __win;")
			}
			text.WriteByte('\n')
		}
		records := recordsOf(t, text.String())
		c := Config{PkgList: []string{"p0", "p1 1"}, WithDepends: true}
		if got, want := choose(t, c, records).kept, naive(c, records); got != want {
			t.Fatalf("%s\n got %s\nwant %s", text.String(), got, want)
		}
		c = Config{Blacklist: []string{"p2", "p1 1", "p0", "p3 >=2"}, WithDepends: true}
		got := choose(t, c, records)
		for _, n := range records {
			if matches := slices.ContainsFunc(c.Blacklist,
				func(w string) bool { return mustSpec(w).Match(packageOf(n)) }); matches == contains(got.kept, n.String()) {
				t.Fatalf("%s\nblacklist and dependencies: got %s", text.String(), got.kept)
			}
		}
	}
}
