package sample

import (
	"slices"
	"testing"
)

func TestEvery(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short, which has other samples")
	}
	all := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	traits := func(n int) []string { return []string{[]string{"even", "odd"}[n%2], []string{"small", "large"}[n/9]} }
	for full, want := range map[string][]int{"": {0, 1, 4, 8, 9}, "1": all} {
		t.Setenv("RUNBOOK_TEST_FULL", full)
		if have := Every(t, 4, all, traits); !slices.Equal(have, want) {
			t.Errorf("full %q: got %v, want %v", full, have, want)
		}
	}
	t.Setenv("RUNBOOK_TEST_FULL", "")
	if have := Every(t, 4, all, nil); !slices.Equal(have, []int{0, 4, 8}) {
		t.Errorf("got %v", have)
	}
	if n := Count(t, 3, 30); n != 3 {
		t.Errorf("got %d, want 3", n)
	}
}
