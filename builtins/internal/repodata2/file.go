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
	stem := len(name) - len(extension(name))
	if stem == len(name) || len(name) > maxName || stem == 0 || strings.IndexByte(".-+!", name[0]) >= 0 {
		return false, false
	}
	all, upper := uint64(1), uint64(0)
	for i := range stem { // without branches, which would be hard to foretell
		set, capital := uint64(below64), uint64(0)
		if name[i]&64 != 0 {
			set, capital = from64, letters
		}
		all &= set >> (name[i] & 63) &^ uint64(name[i]>>7)
		upper |= capital >> (name[i] & 63)
	}
	return all == 1, upper&1 != 0
}

// The characters of file names as bits, for c&63.
const (
	below64 = 1<<'!' | 1<<'+' | 1<<'-' | 1<<'.' | (1<<10-1)<<'0'
	letters = (1<<26 - 1) << ('A' & 63)
	from64  = letters | letters<<32 | 1<<('_'&63)
)

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
