package mirror

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// stateFile lies in the account's tree and remembers what was verified. Losing it costs one hashing of
// all packages, nothing else.
const stateFile = ".runbook-mirror"

const (
	stateHead = "runbook-mirror 1\n"
	stateEnd  = "end "
)

// A state is what a stateFile says. Its text is lines of words, since 500,000 of them are
// read where nothing else is to do: the head, "f NAME SIZE MTIME SUM", "n SUBDIR RECORDS", and the
// SHA-256 of all that as its own checksum.
type state struct {
	files map[string]verified // by name in the tree
	total map[string]int      // records that the sources had, by subdir
}

// verified says that a file of this size and time had this checksum.
type verified struct {
	size  int64  // bytes
	mtime int64  // nanoseconds since 1970
	sum   string // "sha256:HEX", "md5:HEX"; "of:HEX" for a side file, the SHA-256 of what it compresses
}

// parseState returns what text says, or nothing if it is damaged: it then was not written here.
func parseState(text string) state {
	s := state{map[string]verified{}, map[string]int{}}
	body, end, _ := strings.Cut(text, stateEnd)
	if !strings.HasPrefix(body, stateHead) || end != checksum(body)+"\n" {
		return s
	}
	for line := range strings.SplitSeq(strings.TrimPrefix(body, stateHead), "\n") {
		w := strings.Fields(line)
		switch {
		case len(w) == 5 && w[0] == "f":
			size, _ := strconv.ParseInt(w[2], 10, 64)
			mtime, _ := strconv.ParseInt(w[3], 10, 64)
			s.files[w[1]] = verified{size, mtime, w[4]}
		case len(w) == 3 && w[0] == "n":
			s.total[w[1]], _ = strconv.Atoi(w[2])
		}
	}
	return s
}

func (s state) text() string {
	var b strings.Builder
	b.WriteString(stateHead)
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		f := s.files[name]
		fmt.Fprintf(&b, "f %s %d %d %s\n", name, f.size, f.mtime, f.sum)
	}
	for _, name := range slices.Sorted(maps.Keys(s.total)) {
		fmt.Fprintf(&b, "n %s %d\n", name, s.total[name])
	}
	return b.String() + stateEnd + checksum(b.String()) + "\n"
}

func checksum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
