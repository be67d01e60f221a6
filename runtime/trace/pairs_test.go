package trace

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What one of two traces lacks stands alone, and what is behind it is compared all the same.
func TestPairs(t *testing.T) {
	told := func(a, b []Event) (all []string) {
		for _, p := range Pairs(a, b) {
			switch {
			case p.Equal:
			case p.A == nil:
				all = append(all, "only B: "+describe(*p.B))
			case p.B == nil:
				all = append(all, "only A: "+describe(*p.A))
			default:
				all = append(all, fmt.Sprintf("%s %v: %s", describe(*p.A), p.Excused, p.Difference.Field))
			}
		}
		return all
	}
	plan, run := sample(DryRun), sample(RealRun)
	at := slices.IndexFunc(run, func(e Event) bool { return e.Op == "write" })
	without := slices.Delete(slices.Clone(run), at, at+3)
	other := slices.Clone(run)
	other[at+1].Detail = map[string]any{"mode": "0666"}
	assumed := slices.Clone(run)
	extract := slices.IndexFunc(run, func(e Event) bool { return e.Op == "extract" })
	assumed[extract].Changes = nil
	assumed[extract+2].Outcome = Same
	assumed = slices.Delete(assumed, extract+1, extract+2)
	for _, c := range []struct {
		name string
		run  []Event
		want string
	}{
		{"as planned", run, ""},
		{"left out", without, "only A: op write /etc/motd"},
		{"other mode", other, "op write /etc/motd false: detail.mode"},
		{"assumed", assumed, "op extract /srv/a/pkgs true: changes"},
	} {
		have := told(plan, c.run)
		if c.want == "" && len(have) > 0 || c.want != "" && (len(have) != 1 || !strings.HasPrefix(have[0], c.want)) {
			t.Errorf("%s: got %q, want %q", c.name, have, c.want)
		}
		if d := Diff(plan, c.run); d.Equal != (c.want == "" || c.name == "assumed") {
			t.Errorf("%s: diff says %s", c.name, d)
		}
	}
	if have := told(without, plan); len(have) != 1 || have[0] != "only B: op write /etc/motd" {
		t.Errorf("got %q", have)
	}
	if n := len(Pairs(nil, plan)); n != len(units(plan)) {
		t.Errorf("beside nothing there are %d", n)
	}
}
