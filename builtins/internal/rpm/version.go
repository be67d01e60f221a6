package rpm

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// ParseFilename takes NAME-VERSION-RELEASE.ARCH.rpm apart, with or without
// directories before it. Only names may hold dashes.
func ParseFilename(file string) (name, version, release, arch string, ok bool) {
	s, ok := strings.CutSuffix(path.Base(file), ".rpm")
	if !ok {
		return "", "", "", "", false
	}
	dot := strings.LastIndexByte(s, '.')
	if dot < 0 {
		return "", "", "", "", false
	}
	s, arch = s[:dot], s[dot+1:]
	r := strings.LastIndexByte(s, '-')
	if r < 0 {
		return "", "", "", "", false
	}
	v := strings.LastIndexByte(s[:r], '-')
	if v < 0 {
		return "", "", "", "", false
	}
	name, version, release = s[:v], s[v+1:r], s[r+1:]
	return name, version, release, arch, name != "" && version != "" && release != "" && arch != ""
}

// A Label is a way to read NAME-VERSION or NAME-VERSION-RELEASE, whose names may hold dashes, too.
type Label struct{ Name, EVR string }

// Labels returns the ways to read the label of a package, the shortest name first. An architecture at its end is
// left out of the version.
func Labels(label string) (all []Label) {
	for _, a := range strings.Fields(".x86_64 .noarch .i386 .i686 .aarch64 .ppc64le .s390x") {
		label = strings.TrimSuffix(label, a)
	}
	last := strings.LastIndexByte(label, '-')
	if last < 0 {
		return nil
	}
	for _, i := range []int{strings.LastIndexByte(label[:last], '-'), last} {
		if i > 0 && i+1 < len(label) && digit(rune(label[i+1])) {
			all = append(all, Label{label[:i], label[i+1:]})
		}
	}
	return all
}

// WithoutEpoch returns a label without the epoch that may stand before its version, which rpm does not look for.
func WithoutEpoch(label string) string {
	before, after, ok := strings.Cut(label, ":")
	if !ok {
		return label
	}
	return strings.TrimRightFunc(before, digit) + after
}

// Runs reports whether a machine that rpm takes for one architecture runs packages for another. If nobody knows the
// machine it does.
func Runs(machine, arch string) bool {
	if machine == "" || arch == "noarch" || machine == arch {
		return true
	}
	const intel = "i386 i486 i586 i686 athlon"
	small := slices.Contains(strings.Fields(intel), arch)
	switch machine {
	case "x86_64":
		return small || slices.Contains(strings.Fields("amd64 ia32e x86_64_v2 x86_64_v3 x86_64_v4"), arch)
	case "i386", "i486", "i586", "i686":
		return small
	}
	// Of a family that is not named here rpm decides.
	return !small && arch != "x86_64" && strings.HasPrefix(arch, machine[:min(3, len(machine))])
}

// CompareEVR compares two texts "EPOCH:VERSION-RELEASE" and returns -1, 0 or 1. A
// missing epoch is 0; releases are compared only if both have one.
func CompareEVR(a, b string) int {
	ae, av, ar := splitEVR(a)
	be, bv, br := splitEVR(b)
	if c := compareVersions(ae, be); c != 0 {
		return c
	}
	if c := compareVersions(av, bv); c != 0 || ar == "" || br == "" {
		return c
	}
	return compareVersions(ar, br)
}

func splitEVR(s string) (epoch, version, release string) {
	epoch = "0"
	if e, rest, ok := strings.Cut(s, ":"); ok {
		epoch, s = cmp.Or(e, "0"), rest
	}
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		return epoch, s[:i], s[i+1:]
	}
	return epoch, s, ""
}

// compareVersions compares versions or releases as rpm does. Runs of
// digits are numbers and newer than runs of letters; other bytes only separate;
// "~" is older than the end, "^" newer than the end and older than all else. The
// rules are those of rpmvercmp in rpm's manual (docs/man/rpm-version.7).
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		a, b = strings.TrimLeftFunc(a, separates), strings.TrimLeftFunc(b, separates)
		if c, decided, both := special(a, b); decided {
			return c
		} else if both {
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			break
		}
		in := letter
		if digit(rune(a[0])) {
			in = digit
		}
		var x, y string
		x, a = span(a, in)
		y, b = span(b, in)
		if y == "" { // a number against letters, or the reverse
			if digit(rune(x[0])) {
				return 1
			}
			return -1
		}
		if c := compareRuns(x, y); c != 0 {
			return c
		}
	}
	return cmp.Compare(min(len(a), 1), min(len(b), 1))
}

// special compares a and b if one of them begins with "~" or "^"; both reports
// that the two begin with the same mark.
func special(a, b string) (c int, decided, both bool) {
	for _, mark := range []string{"~", "^"} {
		x, y := strings.HasPrefix(a, mark), strings.HasPrefix(b, mark)
		switch {
		case x && y:
			return 0, false, true
		case !x && !y:
			continue
		case mark == "^" && a == "":
			return -1, true, false
		case mark == "^" && b == "":
			return 1, true, false
		case x:
			return -1, true, false
		}
		return 1, true, false
	}
	return 0, false, false
}

func digit(r rune) bool  { return r >= '0' && r <= '9' }
func letter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
func separates(r rune) bool {
	return !digit(r) && !letter(r) && r != '~' && r != '^'
}

// span splits s behind the leading runes for which in holds.
func span(s string, in func(rune) bool) (head, rest string) {
	rest = strings.TrimLeftFunc(s, in)
	return s[:len(s)-len(rest)], rest
}

// compareRuns compares two numbers of any length, or two words.
func compareRuns(x, y string) int {
	if digit(rune(x[0])) {
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if c := cmp.Compare(len(x), len(y)); c != 0 {
			return c
		}
	}
	return strings.Compare(x, y)
}
