package conda

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// cutBrackets takes "[key=value,...]" from the end of a spec. Values may be quoted and hold
// brackets.
func cutBrackets(s string) (rest string, keys [][2]string, err error) {
	i := openingBracket(s)
	if i < 0 {
		return s, nil, nil
	}
	if !strings.HasSuffix(s, "]") {
		return s, nil, errBrackets
	}
	inner := s[i+1 : len(s)-1]
	for inner = strings.TrimLeft(inner, ", "); inner != ""; inner = strings.TrimLeft(inner, ", ") {
		key, after, ok := strings.Cut(inner, "=")
		if !ok || strings.TrimSpace(key) == "" {
			return s, nil, fmt.Errorf("got %q in brackets, want key=value", inner)
		}
		var value string
		if value, inner, err = cutValue(after); err != nil {
			return s, nil, err
		}
		keys = append(keys, [2]string{strings.TrimSpace(key), value})
	}
	return strings.TrimSpace(s[:i]), keys, nil
}

// openingBracket returns the place of the first bracket that a key follows, unlike one of a
// regular expression; -1 if there is none.
func openingBracket(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] != '[' {
			continue
		}
		key, _, ok := strings.Cut(s[i+1:], "=")
		letters := strings.TrimSpace(strings.ToLower(key))
		if ok && letters != "" && strings.Trim(letters, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" {
			return i
		}
	}
	return -1
}

// cutValue takes a quoted text, or the text before a comma or space outside of brackets.
func cutValue(s string) (value, rest string, err error) {
	s = strings.TrimLeft(s, " ")
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		value, rest, ok := strings.Cut(s[1:], s[:1])
		if !ok {
			return "", "", fmt.Errorf("got %s, want a closing quote", s)
		}
		return value, rest, nil
	}
	depth, n := 0, 0
	for n < len(s) && (depth > 0 || s[n] != ',' && s[n] != ' ') {
		switch s[n] {
		case '[':
			depth++
		case ']':
			depth--
		}
		n++
	}
	return s[:n], s[n:], nil
}

// set takes a key of the brackets, which overrides the text outside of them.
func (s *Spec) set(key, value string) (err error) {
	if value == "" {
		return fmt.Errorf("got %s without a value", key)
	}
	switch key {
	case "version":
		s.version, err = parseConstraint(value)
	case "build", "build_string":
		s.build, err = newPattern(value, false)
	case "build_number":
		s.number, err = parseNumber(value)
	case "channel":
		err = s.setChannel(value)
	case "subdir":
		s.subdir, err = newPattern(value, false)
	case "md5":
		s.md5, err = newPattern(value, true)
	case "sha256":
		s.sha256, err = newPattern(value, true)
	case "fn":
		s.file, err = newPattern(value, false)
	case "license":
		s.license, err = newPattern(value, true)
	case "license_family":
		s.family, err = newPattern(value, true)
	case "track_features", "features":
		s.features = true
	case "when", "optional":
		s.optional = true
	case "name", "url", "extras", "flags", "namespace", "target":
		// The name outside counts; no record is chosen by the others.
	default:
		return fmt.Errorf("got the key %q in brackets, want version, build, build_number, channel, subdir, fn, md5, "+
			"sha256, license or license_family", key)
	}
	return err
}

// numbers are relations of which all must hold.
type numbers []numberRelation

type numberRelation struct {
	op op
	n  int64
}

// parseNumber reads "3", ">0" or ">=1,<5".
func parseNumber(s string) (list numbers, err error) {
	if s == "*" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		o, text := cutOperator(strings.TrimSpace(part))
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || o == compatible {
			return nil, fmt.Errorf("got the build number %q, want a whole number, or relations such as >0", s)
		}
		list = append(list, numberRelation{o, n})
	}
	return list, nil
}

func (list numbers) match(n int64) bool {
	for _, r := range list {
		if !r.op.holds(cmp.Compare(n, r.n)) {
			return false
		}
	}
	return true
}
