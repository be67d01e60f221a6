package conda

import (
	"path"
	"strings"
)

// Noarch is the subdir of packages for any platform.
const Noarch = "noarch"

// IsSubdir reports whether s may be a subdir's name (CEP 26): noarch, or platform-architecture.
func IsSubdir(s string) bool {
	platform, arch, ok := strings.Cut(s, "-")
	bad := func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_') }
	return s == Noarch || ok && platform != "" && arch != "" && len(s) < 64 && !strings.ContainsFunc(platform+arch, bad)
}

// isKnown reports whether s is a subdir that exists rather than the end of a channel's name.
func isKnown(s string) bool {
	platform, _, ok := strings.Cut(s, "-")
	switch platform {
	case "linux", "osx", "win", "freebsd", "emscripten", "wasi", "zos":
		return ok
	}
	return s == Noarch
}

// A channel is where packages come from, as an unconfigured conda reads its name or URL.
type channel struct {
	name      string // "conda-forge", "pkgs/main"; of a directory, its last part
	canonical string // what a glob is held against: the name, or "defaults", or the whole URL
	subdir    string // "" for all
	at        string // host and path, without credentials; "" of a name
}

// under returns the channel's name below base, which channel_alias or custom_channels names; "" if it is
// elsewhere.
func (c channel) under(base string) string {
	if rest, ok := strings.CutPrefix(c.at, readChannel(base).at+"/"); ok && c.at != "" {
		return rest
	}
	return ""
}

// readChannel reads a name, an absolute path or a URL, which may end with a subdir and with a
// file, and hold a user or a token.
func readChannel(s string) (c channel) {
	s = strings.TrimRight(s, "/")
	if strings.HasSuffix(s, ".tar.bz2") || strings.HasSuffix(s, ".conda") {
		s, _, _ = cutLast(s, "/")
	}
	scheme, where, ok := cutScheme(s)
	if before, last, _ := cutLast(where, "/"); isKnown(last) {
		where, c.subdir = strings.TrimRight(before, "/"), last
	}
	switch {
	case s == "" || s == "<unknown>":
		return channel{}
	case !ok:
		c.name = where
		c.canonical = where
	case scheme == "file":
		c.name, c.canonical, c.at = path.Base(where), "file://"+where, where
	default:
		c.name, c.canonical, c.at = onServer(scheme, where)
	}
	if c.name == "pkgs/main" || c.name == "pkgs/r" {
		c.canonical = "defaults"
	}
	return c
}

// cutScheme takes the scheme off a URL; a path has that of files. ok is false for a name.
func cutScheme(s string) (scheme, rest string, ok bool) {
	if path.IsAbs(s) {
		return "file", s, true
	}
	if scheme, rest, ok = strings.Cut(s, "://"); ok {
		return scheme, rest, true
	}
	return "", s, false
}

// onServer returns the names of the channel at host/path. A channel of Anaconda's own server has no host in its name.
// One of an Anaconda Enterprise server has neither the host nor the /conda at the beginning of its path.
func onServer(scheme, where string) (name, canonical, at string) {
	host, name, _ := strings.Cut(where, "/")
	_, host, _ = cutLast(host, "@")
	if rest, ok := strings.CutPrefix(name, "t/"); ok {
		_, name, _ = strings.Cut(rest, "/")
	}
	at = strings.TrimRight(host+"/"+name, "/")
	canonical = scheme + "://" + at
	switch {
	case host == "conda.anaconda.org":
		canonical = name
	case strings.HasPrefix(name, "conda/"):
		name = name[len("conda/"):]
	}
	return name, canonical, at
}

// SameChannel reports whether conda searches the same place under both names, with the same rights.
func SameChannel(a, b string) bool { return place(a) == place(b) }

// place is what is the same for all spellings of a channel.
func place(s string) string {
	s = strings.TrimRight(strings.TrimSpace(s), "/")
	if rest, ok := strings.CutPrefix(s, "file:/"); ok {
		return "/" + strings.Trim(rest, "/")
	}
	for _, scheme := range []string{"https://", "http://"} {
		if name, ok := strings.CutPrefix(s, scheme+"conda.anaconda.org/"); ok && !strings.HasPrefix(name, "t/") {
			return name
		}
	}
	return s
}
