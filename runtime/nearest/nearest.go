// Package nearest guesses which name a person meant.
package nearest

import (
	"slices"
	"strings"
)

// Of returns the one of names that was probably meant by name, or "" if none is
// close. The case of letters does not count.
func Of(name string, names []string) string {
	best, least := "", max(len(name)/3, 1)+1
	wanted := strings.ToLower(name)
	for _, n := range slices.Sorted(slices.Values(names)) {
		lower := strings.ToLower(n)
		if max(len(lower)-len(wanted), len(wanted)-len(lower)) >= least {
			continue // the distance is no less
		}
		if d := distance(wanted, lower); d < least && n != name {
			best, least = n, d
		}
	}
	return best
}

// distance is the optimal string alignment distance: insertions, deletions,
// replacements and swaps of neighbours that turn a into b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	cells := make([]int, len(rows)*(len(b)+1))
	for i := range rows {
		rows[i], cells = cells[:len(b)+1], cells[len(b)+1:]
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
