package signing

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Signers says whose keys are accepted: an allowed_signers file of ssh-keygen(1).
type Signers struct{ lines []allowed }

// An allowed is a line of such a file.
type allowed struct {
	n             int
	principals    []string
	key           Public
	authority     bool     // of certificates, which are not accepted here
	namespaces    []string // patterns; any namespace if nil
	after, before time.Time
}

// ParseSigners reads such a file. A line that is not understood is an error: it may have been meant to refuse.
func ParseSigners(text []byte) (*Signers, error) {
	s := &Signers{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		a, err := parseAllowed(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		a.n = n
		s.lines = append(s.lines, a)
	}
	if len(s.lines) == 0 {
		return nil, errors.New("it has no keys")
	}
	return s, nil
}

// parseAllowed reads PRINCIPALS [OPTIONS] TYPE KEY [COMMENT].
func parseAllowed(line string) (a allowed, err error) {
	names, rest, ok := strings.Cut(strings.Replace(line, "\t", " ", 1), " ")
	if quoted, isQuoted := strings.CutPrefix(line, `"`); isQuoted {
		names, rest, ok = strings.Cut(quoted, `"`)
	}
	switch {
	case !ok:
		return a, errors.New("got no key, want PRINCIPAL TYPE KEY")
	case strings.HasPrefix(names, "@"):
		return a, fmt.Errorf("%s is not known here: a key is revoked by taking its line out, by valid-before, "+
			"or by a list of revoked keys", names)
	case isKeyType(names):
		return a, errors.New("names nobody before the key, want PRINCIPAL TYPE KEY")
	}
	a.principals = strings.Split(names, ",")
	key, _, options, more, err := ssh.ParseAuthorizedKey([]byte(strings.TrimSpace(rest)))
	if err != nil || len(more) > 0 {
		return a, errors.New("has no key that can be read, want PRINCIPAL TYPE KEY")
	}
	a.key = Public{key}
	for _, o := range options {
		if err := a.option(o); err != nil {
			return a, err
		}
	}
	return a, nil
}

func isKeyType(word string) bool {
	return strings.HasPrefix(word, "ssh-") || strings.HasPrefix(word, "ecdsa-") || strings.HasPrefix(word, "sk-")
}

// option takes one of the options that stand before the key.
func (a *allowed) option(text string) (err error) {
	name, value, _ := strings.Cut(text, "=")
	value, quoted := strings.CutPrefix(value, `"`)
	if quoted {
		value = strings.TrimSuffix(value, `"`)
	}
	switch strings.ToLower(name) {
	case "cert-authority":
		a.authority = true
	case "namespaces":
		if value == "" {
			return errors.New("namespaces= is empty")
		}
		a.namespaces = strings.Split(value, ",")
	case "valid-after":
		a.after, err = keyTime(value)
	case "valid-before":
		a.before, err = keyTime(value)
	default:
		err = fmt.Errorf("the option %q is not known, want cert-authority, namespaces, valid-after or valid-before", name)
	}
	return err
}

// keyTime reads YYYYMMDD[HHMM[SS]][Z], local time unless it ends in Z.
func keyTime(text string) (time.Time, error) {
	in := time.Local
	digits, utc := strings.CutSuffix(strings.ToUpper(text), "Z")
	if utc {
		in = time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if t, err := time.ParseInLocation(layout, digits, in); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("got the time %q, want YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with Z for UTC", text)
}

// Who returns the principals that a key is listed for, by the lines that accept it at a time and for a namespace. If
// there are none, the error says why.
func (s *Signers) Who(key Public, namespace string, at time.Time) (principals []string, err error) {
	err = errors.New("is not among the signers")
	for _, a := range s.lines {
		if !a.key.Is(key) {
			continue
		}
		if why := a.refuses(namespace, at); why != "" {
			err = fmt.Errorf("%s (line %d of the signers)", why, a.n)
			continue
		}
		principals = append(principals, a.principals...)
	}
	if len(principals) == 0 {
		return nil, err
	}
	slices.Sort(principals)
	return slices.Compact(principals), nil
}

// refuses says why a line does not accept its key, "" if it does.
func (a allowed) refuses(namespace string, at time.Time) string {
	switch {
	case a.authority:
		return "is listed to certify other keys, not to sign"
	case !a.after.IsZero() && at.Before(a.after):
		return "is not valid before " + a.after.Format(time.RFC3339)
	case !a.before.IsZero() && at.After(a.before):
		return "is no longer valid since " + a.before.Format(time.RFC3339)
	case a.namespaces != nil && !matchList(a.namespaces, namespace):
		return fmt.Sprintf("is listed for the namespaces %s, not for %s", strings.Join(a.namespaces, ","), namespace)
	}
	return ""
}

// matchList reports whether one of the patterns matches, and none of those that begin with ! does: PATTERNS in
// ssh_config(5), where * and ? are all that is special.
func matchList(patterns []string, s string) bool {
	yes := false
	for _, p := range patterns {
		p, not := strings.CutPrefix(p, "!")
		ok, err := path.Match(strings.NewReplacer(`[`, `\[`, `\`, `\\`).Replace(p), s)
		switch {
		case err != nil || not && ok:
			return false
		case ok:
			yes = true
		}
	}
	return yes
}
