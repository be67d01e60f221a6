package conda

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Each version is older than the next; those of one line are of one rank. The first list is the one of conda's documentation.
func TestOrder(t *testing.T) {
	for _, list := range []string{
		`0.4 0.4.0
		0.4.1.rc 0.4.1.RC
		0.4.1
		0.5a1
		0.5b3
		0.5C1
		0.5
		0.9.6
		0.960923
		1.0
		1.1dev1
		1.1_
		1.1a1
		1.1.0dev1 1.1.dev1
		1.1.a1
		1.1.0rc1
		1.1.0 1.1
		1.1.0post1 1.1.post1
		1.1post1
		1996.07.12 1996.7.12
		1!0.4.1
		1!3.1.1.6
		2!0.4.1`,
		`1.0.1dev
		1.0.1_
		1.0.1a
		1.0.1b`,
		`1.0.1
		1.0.1post.a
		1.0.1post.z
		1.0.2`,
		`1.2.b 1.2.B
		1.2
		1.2post`,
		`3.2.1_1 3.2.1-1 3.2.1.1
		3.2.1-2
		3.2.2`,
		`1.0 1.0.0 1 1+0 0!1.0
		1.0+1 1-0+1
		1.0+1.1
		1.0+2
		1.0.1`,
		`1.0+a.dev
		1.0+a
		1.0`,
		`2.0.0a0
		2.0.0a1 2.0.0a01
		2.0.0a10
		2.0.0b0
		2.0.0rc0
		2.0.0`,
		`1.0.*
		1.0.dev0
		1.0.a
		1.0`,
		`R9
		R15B01
		R15B02
		R16
		2013b
		2013d
		2013`,
		`9e
		9
		10`,
		`1.0.20231231235959000000000000
		1.0.20240101000000000000000000
		1.0.100000000000000000000000000`,
	} {
		var ranks [][]Version
		for line := range strings.Lines(list) {
			var rank []Version
			for _, s := range strings.Fields(line) {
				v, err := ParseVersion(s)
				if err != nil {
					t.Fatal(err)
				}
				rank = append(rank, v)
			}
			ranks = append(ranks, rank)
		}
		for i, a := range ranks {
			for j, b := range ranks {
				checkRanks(t, a, b, min(max(i-j, -1), 1))
			}
		}
	}
}

func checkRanks(t *testing.T, a, b []Version, want int) {
	for _, v := range a {
		for _, w := range b {
			if got := Compare(v, w); got != want {
				t.Errorf("%s against %s: got %d, want %d", v, w, got, want)
			}
		}
	}
}

func TestNoVersions(t *testing.T) {
	older := VersionOf("")
	for _, s := range []string{"", " ", ".", "1..2", "1.", ".1", "1_2_.", "1__2", "a!1", "1!2!3", "!1", "1+2+3", "1+", "1.0+x_", "1 2", "1@2", "1_2-3", "1.0~", "é"} {
		v, err := ParseVersion(s)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("got the version %q, want ", s)) {
			t.Errorf("%q: got %v, %v", s, v, err)
		}
		if Compare(v, VersionOf("*")) >= 0 || Compare(older, v) > 0 {
			t.Errorf("%q: want it older than all versions", s)
		}
	}
}

// randomVersion makes versions out of few parts, so that many are alike.
func randomVersion(r *rand.Rand) string {
	parts := []string{"0", "1", "00", "10", "a", "B", "rc", "dev", "post", "alpha", "*", "2"}
	var b strings.Builder
	if r.IntN(6) == 0 {
		b.WriteString([]string{"0!", "1!"}[r.IntN(2)])
	}
	for i := range 1 + r.IntN(3) {
		if i > 0 {
			b.WriteByte("._"[r.IntN(2)])
		}
		for range 1 + r.IntN(3) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
	}
	switch r.IntN(8) {
	case 0:
		b.WriteString("+" + parts[r.IntN(len(parts))])
	case 1:
		b.WriteByte('_')
	case 2:
		b.WriteString("@") // none at all
	}
	return b.String()
}

func TestOrderIsTotal(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		a, b, c := VersionOf(randomVersion(r)), VersionOf(randomVersion(r)), VersionOf(randomVersion(r))
		ab, ba, bc, ac := Compare(a, b), Compare(b, a), Compare(b, c), Compare(a, c)
		if ab != -ba || Compare(a, a) != 0 {
			t.Fatalf("%s against %s: %d one way, %d the other", a, b, ab, ba)
		}
		if ab <= 0 && bc <= 0 && (ac > 0 || ac == 0 && (ab < 0 || bc < 0)) {
			t.Fatalf("%s %s %s: %d, %d, but %d", a, b, c, ab, bc, ac)
		}
		if ab == 0 && ac != bc {
			t.Fatalf("%s and %s are of one rank, but against %s %d and %d", a, b, c, ac, bc)
		}
		if !a.hasPrefix(&a) {
			t.Fatalf("%s does not begin with itself", a)
		}
	}
}

// What begins with a version stands together in the order.
func TestPrefixesStandTogether(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var all []Version
		for range 60 {
			if v := VersionOf(randomVersion(r)); !strings.HasSuffix(v.String(), "@") {
				all = append(all, v)
			}
		}
		slices.SortFunc(all, Compare)
		p := all[r.IntN(len(all))]
		changes := 0
		for i := range all {
			if all[i].hasPrefix(&p) != (i > 0 && all[i-1].hasPrefix(&p)) {
				changes++
			}
		}
		if changes > 2 {
			t.Fatalf("%s: its %d runs in %v", p, changes/2, all)
		}
	}
}

func TestComparingIsCheap(t *testing.T) {
	a, b, p := VersionOf("1!2.10.3rc1+cuda"), VersionOf("1!2.10.3rc2+cuda"), VersionOf("1!2.10")
	spec, err := ParseSpec("x >=1!2,<1!3,!=1!2.5.*[build=py3*,build_number='>0']")
	if err != nil {
		t.Fatal(err)
	}
	pkg := Package{Name: "X", Version: a, Build: "py310_1", BuildNumber: 1}
	if n := testing.AllocsPerRun(100, func() {
		if Compare(a, b) >= 0 || !a.hasPrefix(&p) || !spec.Match(&pkg) {
			t.Fatal("got it wrong")
		}
	}); n > 0 {
		t.Errorf("got %v allocations", n)
	}
}
