package archive

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tmpPrefix begins the names of files that are not complete yet.
const tmpPrefix = ".runbook-"

// clean returns the components of a member's or hard link's name, without those
// that are "." or empty; none for the top directory itself.
func clean(name string) ([]string, error) {
	switch {
	case name == "":
		return nil, refuse(name, "has no name")
	case name[0] == '/':
		return nil, refuse(name, "has an absolute name")
	case len(name) > maxName:
		return nil, refuse(name[:64]+"...", "has a name of %d bytes, want at most %d", len(name), maxName)
	}
	if why := odd(name); why != "" {
		return nil, refuse(name, "has %s in its name", why)
	}
	var parts []string
	for p := range strings.SplitSeq(name, "/") {
		switch {
		case p == "" || p == ".":
			continue
		case p == "..":
			return nil, refuse(name, "leaves the directory")
		case len(p) > maxPart:
			return nil, refuse(name, "has a component of %d bytes, want at most %d", len(p), maxPart)
		case strings.HasPrefix(p, tmpPrefix):
			return nil, refuse(name, "has a name kept for unfinished files")
		}
		parts = append(parts, p)
	}
	if len(parts) > maxDepth {
		return nil, refuse(name, "lies %d directories deep, want at most %d", len(parts), maxDepth)
	}
	return parts, nil
}

// odd says what in a text could make people or other readers see another one.
func odd(s string) string {
	if !utf8.ValidString(s) {
		return "invalid UTF-8"
	}
	for _, r := range s {
		switch {
		case r == '\\':
			return "a backslash"
		case unicode.IsControl(r):
			return "a control character"
		case unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029':
			return "an invisible character"
		}
	}
	return ""
}

// stripped joins what is left of parts; "" if nothing is.
func stripped(parts []string, strip int) string {
	if len(parts) <= strip {
		return ""
	}
	return path.Join(parts[strip:]...)
}

// checkTarget refuses a symbolic link that could lead out of the directory. It
// may climb at its beginning only: "link/.." is not where it looks to be.
func checkTarget(name, target string) error {
	if target == "" || len(target) > maxName {
		return refuse(name, "links to a target of %d bytes, want 1 to %d", len(target), maxName)
	}
	if why := odd(target); why != "" {
		return refuse(name, "has %s in its target", why)
	}
	if target[0] == '/' {
		return refuse(name, "links to %q, want a relative target", target)
	}
	depth, down := strings.Count(name, "/"), false
	for p := range strings.SplitSeq(target, "/") {
		switch {
		case p == "" || p == ".":
		case p != "..":
			down = true
		case down:
			return refuse(name, "links to %q, which climbs after it descends", target)
		default:
			if depth--; depth < 0 {
				return refuse(name, "links to %q, which leaves the directory", target)
			}
		}
	}
	return nil
}
