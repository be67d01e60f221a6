// Package sample decides how many of many like cases a test tries: all of them would take hours on a small machine.
//
// Two things to know: the choice is even and always the same, so that a failure comes again; and with
// RUNBOOK_TEST_FULL=1 in the environment every case is tried, which .ci/nightly does.
// Tests of all packages call it; it calls nobody.
package sample

import (
	"os"
	"testing"
)

// Full reports whether every case is to be tried.
func Full() bool { return os.Getenv("RUNBOOK_TEST_FULL") == "1" }

// Slow leaves a test out of go test -short and says why.
func Slow(t testing.TB, why string) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short: " + why)
	}
}

// Every returns each nth of all cases, and besides the first case of each trait that none of those has. traits may be
// nil. With -short n is three times as large. The log of the test says how many of how many they are.
func Every[T any](t testing.TB, n int, all []T, traits func(T) []string) (some []T) {
	t.Helper()
	if Full() {
		return all
	}
	if testing.Short() {
		n *= 3
	}
	taken, seen := make([]bool, len(all)), map[string]bool{}
	take := func(i int) {
		taken[i] = true
		if traits != nil {
			for _, trait := range traits(all[i]) {
				seen[trait] = true
			}
		}
	}
	for i := 0; i < len(all); i += n {
		take(i)
	}
	for i := 0; traits != nil && i < len(all); i++ {
		for _, trait := range traits(all[i]) {
			if !seen[trait] {
				take(i)
			}
		}
	}
	for i, c := range all {
		if taken[i] {
			some = append(some, c)
		}
	}
	t.Logf("tries %d of %d cases, every %dth; all with RUNBOOK_TEST_FULL=1", len(some), len(all), n)
	return some
}

// Count returns few, a fifth of that with -short, or all where every case is to be tried. The log of the test says
// which.
func Count(t testing.TB, few, all int) int {
	t.Helper()
	if Full() {
		return all
	}
	if testing.Short() {
		few = max(1, few/5)
	}
	t.Logf("tries %d cases of %d; all with RUNBOOK_TEST_FULL=1", few, all)
	return few
}
