package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// Changes of different lines meet in a merge, whatever they are, also of the last line and where it has no end.
func TestMergeTakesBoth(t *testing.T) {
	for i := range 2000 {
		r := rand.New(rand.NewPCG(7, uint64(i)))
		var base, mine, theirs, want strings.Builder
		blocks := 1 + r.IntN(6)
		for n := range blocks {
			same := fmt.Sprintf("kept %d\nkept too %d\n", n, n)
			old := fmt.Sprintf("old %d\n", n)
			changed := []string{"", fmt.Sprintf("new %d\n", n), old + fmt.Sprintf("more %d\n", n)}[r.IntN(3)]
			for b, text := range map[*strings.Builder]string{&base: old, &mine: old, &theirs: old, &want: old} {
				side := map[bool]*strings.Builder{true: &mine, false: &theirs}[n%2 == 0]
				if b == side || b == &want {
					text = changed
				}
				b.WriteString(text)
				b.WriteString(same)
			}
		}
		cut := func(b *strings.Builder) string { return strings.TrimSuffix(b.String(), "\n") }
		if have, conflicts := mergeFile(base.String(), mine.String(), theirs.String()); have != want.String() || conflicts > 0 {
			t.Fatalf("%d: got %d conflicts and\n%s\nwant\n%s", i, conflicts, have, want.String())
		}
		if have, conflicts := mergeFile(cut(&base), cut(&mine), theirs.String()); have != want.String() || conflicts > 0 {
			t.Fatalf("%d: without a last end: got %d conflicts and\n%s\nwant\n%s", i, conflicts, have, want.String())
		}
		windows := strings.ReplaceAll(mine.String(), "\n", "\r\n")
		if have, _ := mergeFile(base.String(), windows, theirs.String()); strings.ReplaceAll(have, "\r\n", "\n") != want.String() {
			t.Fatalf("%d: with ends of Windows: got\n%s", i, have)
		}
	}
}
