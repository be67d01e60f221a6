package repodata

import (
	"fmt"
	"strings"
)

const (
	tarBz2 = ".tar.bz2"
	conda  = ".conda"
)

// CheckFile refuses a name that is not <name>-<version>-<build>.tar.bz2 or .conda in the characters
// that CEP 26 has for these, capitals included, or has more than 211 of them. Such a name is one plain
// file in any directory. Dashes are not counted: old channels have files without, and Record.Named tells.
func CheckFile(name string) error {
	if plain, _ := plainFile(name); plain {
		return nil
	}
	bad := func(r rune) bool { return r > 0x7f || !fileByte(byte(r)) }
	switch i := strings.IndexFunc(name, bad); {
	case len(name) > maxName:
		return fmt.Errorf("%.20q...: got a file name of %d bytes, want at most %d", name, len(name), maxName)
	case i >= 0:
		return fmt.Errorf("%q: got a file name with %q, want letters, digits and ._+!-", name, []rune(name[i:])[0])
	case name == "" || strings.IndexByte(".-+!", name[0]) >= 0:
		return fmt.Errorf("%q: got a file name that begins so, want a letter, a digit or _ first", name)
	case extension(name) == "":
		return fmt.Errorf("%q: got a file that is neither .tar.bz2 nor .conda", name)
	}
	return nil
}

// extension returns how a package file's name ends, "" if it is none's.
func extension(name string) string {
	switch {
	case strings.HasSuffix(name, conda):
		return conda
	case strings.HasSuffix(name, tarBz2):
		return tarBz2
	}
	return ""
}

// plainFile reports whether CheckFile takes name, and whether it has capitals.
func plainFile(name string) (ok, capitals bool) {
	n := len(name)
	if n == 0 || n > maxName || strings.IndexByte(".-+!", name[0]) >= 0 || extension(name) == "" {
		return false, false
	}
	if n < 8 {
		name, n = name+"________", n+8
	}
	all, upper := uint64(highs), uint64(0)
	for i := 0; i < n; i += 8 {
		w := word(name[min(i, n-8):])
		capital := between(w, 'A', 'Z')
		all &= between(w, 'a', 'z') | between(w, '0', '9') | between(w, '-', '.') | between(w, '_',
			'_') | capital | between(w, '+', '+') | between(w, '!', '!')
		all &^= w
		upper |= capital &^ w
	}
	return all == highs, upper&highs != 0
}

// word returns the 8 bytes that s begins with.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// between sets the high bit of those bytes of w, leaving its high bits aside, that are from low to high. Other bits
// are of no account.
func between(w uint64, low, high byte) uint64 {
	w &^= highs // so that no sum reaches the next byte
	return (w + ones*uint64(0x80-low)) &^ (w + ones*uint64(0x7f-high))
}

// fold returns what is the same for names that some file systems take for one, and whether name is a package file's.
func fold(name string) (folded string, ok bool) {
	ok, capitals := plainFile(name)
	if ok && capitals {
		return strings.ToLower(name), true
	}
	return name, ok
}

func fileByte(c byte) bool {
	return c-'a' < 26 || c-'0' < 10 || c-'A' < 26 || strings.IndexByte("._+!-", c) >= 0
}
