package host

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
)

// List returns what ParseList reads: a line for each entry, sorted, with what Totals computes its digest of and the
// time of the file.
func (m Entries) List() string {
	var lines []string
	for e := range m {
		written := "-"
		if e.Mode.IsRegular() && !e.ModTime.IsZero() && KeepsTime(e.ModTime) {
			written = strconv.FormatInt(e.ModTime.UnixNano(), 10)
		}
		lines = append(lines, fmt.Sprintf("%s %s\n", strings.TrimSuffix(e.line(), "\n"), written))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// ParseList returns the entries of a list whose digest, as Totals has it, is the given one.
func ParseList(text, digest string) (all []Entry, err error) {
	h, n := sha256.New(), 0
	var lines []string
	for l := range strings.Lines(text) {
		n++
		e, err := parseListed(strings.TrimSuffix(l, "\n"))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all = append(all, e)
		lines = append(lines, e.line())
	}
	slices.Sort(lines)
	for _, l := range lines {
		h.Write([]byte(l))
	}
	if have := hex.EncodeToString(h.Sum(nil)); have != digest {
		return nil, fmt.Errorf("got a list with the digest %s, want %s: somebody has changed it", have, digest)
	}
	return all, nil
}

// parseListed reads a line: "NAME" MODE SIZE "TARGET" SUM TIME, of which the sum may be empty and the time "-".
func parseListed(line string) (e Entry, err error) {
	rest := line
	if e.Name, rest, err = unquotePrefix(rest); err != nil {
		return e, err
	}
	mode, rest, _ := strings.Cut(strings.TrimPrefix(rest, " "), " ")
	size, rest, _ := strings.Cut(rest, " ")
	if e.Target, rest, err = unquotePrefix(rest); err != nil {
		return e, err
	}
	sum, written, _ := strings.Cut(strings.TrimPrefix(rest, " "), " ")
	e.Sum = sum
	if e.Mode, err = parseMode(mode); err != nil {
		return e, err
	}
	if e.Size, err = strconv.ParseInt(size, 10, 64); err != nil {
		return e, fmt.Errorf("got size %q, want a number", size)
	}
	if written == "-" {
		return e, nil
	}
	nanos, err := strconv.ParseInt(written, 10, 64)
	if err != nil {
		return e, fmt.Errorf("got time %q, want nanoseconds or -", written)
	}
	e.ModTime = time.Unix(0, nanos)
	return e, nil
}

func unquotePrefix(s string) (text, rest string, err error) {
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", fmt.Errorf("got %q, want a quoted name first", s)
	}
	text, err = strconv.Unquote(quoted)
	return text, s[len(quoted):], err
}

// parseMode reads what fs.FileMode.String writes.
func parseMode(s string) (m fs.FileMode, err error) {
	const types, bits = "dalTLDpSugct?", "rwxrwxrwx"
	if len(s) < len(bits) {
		return 0, fmt.Errorf("got mode %q, want letters and %s", s, bits)
	}
	head, perm := s[:len(s)-len(bits)], s[len(s)-len(bits):]
	for i := range bits {
		if perm[i] == bits[i] {
			m |= 1 << (len(bits) - 1 - i)
		}
	}
	for i := range types {
		if strings.IndexByte(head, types[i]) >= 0 {
			m |= 1 << (31 - i)
		}
	}
	if m.String() != s {
		return 0, fmt.Errorf("got mode %q, want letters and %s", s, bits)
	}
	return m, nil
}
