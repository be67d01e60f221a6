package host

import (
	"net"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// RedactURL returns a URL as it may be shown: without userinfo, query, fragment or
// what follows a /t/ in its path, which is where conda servers take tokens. It
// works on any text: where it cannot be sure what is what, it shows less.
func RedactURL(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || !schemeWord(scheme) || !utf8.ValidString(rest) ||
		strings.ContainsFunc(rest, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "<malformed URL>"
	}
	end := strings.IndexAny(rest, `/?#\`)
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	if strings.Contains(tail, "@") { // it may end a password that was not escaped
		return scheme + "://<redacted>"
	}
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		authority = "<redacted>@" + authority[i+1:]
	}
	if i := strings.LastIndex(authority, ":"); i >= 0 && authority[len(authority)-1] != ']' &&
		strings.Trim(authority[i:], ":0123456789") != "" {
		authority = "<redacted>" // what should be a port is none
	}
	tail, _, _ = strings.Cut(tail, "#")
	p, _, query := strings.Cut(tail, "?")
	if query {
		return scheme + "://" + authority + redactPath(p) + "?<redacted>"
	}
	return scheme + "://" + authority + redactPath(p)
}

func schemeWord(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// PlainPath returns a path of a URL as RedactURL shows it: what some server may
// take for a slash is one.
func PlainPath(p string) string {
	return strings.NewReplacer(`\`, "/", "%2F", "/", "%2f", "/", "%5C", "/", "%5c", "/").Replace(p)
}

// redactPath hides the first segment after each that is "t", at any depth and
// however it is escaped.
func redactPath(p string) string {
	segments := strings.Split(PlainPath(p), "/")
	after := false
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if after && s != "" {
			segments[i], after = "<TOKEN>", false
		}
		after = after || err != nil || strings.EqualFold(plain, "t")
	}
	return strings.Join(segments, "/")
}

// Loopback reports whether a URL is one of this machine itself.
func Loopback(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
