package conda

import (
	"errors"
	"fmt"
	"strings"
)

// A Spec is a MatchSpec: it says which packages will do. All parts that it names must
// match; the case of names, licences and their families makes no difference.
type Spec struct {
	text        string
	name        pattern // in small letters
	version     constraint
	build       pattern
	number      numbers // of builds
	channel     pattern
	subdir      pattern
	md5, sha256 pattern
	file        pattern
	license     pattern
	family      pattern

	optional bool
	features bool
}

// A Package is what specs are matched against.
type Package struct {
	Name, Build string
	Version     Version
	BuildNumber int64

	Channel string // a URL or path
	Subdir  string
	File    string
	MD5     string
	SHA256  string

	License, LicenseFamily string
}

// ParseSpec reads any of conda's forms: "name", "name 1.2*", "name >=1.2,<2|3.*",
// "name 1.2 py27_0", "name=1.2=py27_0", "name=1.2" for 1.2.*, "channel/subdir::name",
// "name[version='>=1',build=*cuda*]", "name-1.2-0.tar.bz2". In a name, build or value of
// brackets * stands for any text, and ^...$ is a regular expression.
//
// Conditions ("foo; if python <3", "foo if bar", "foo[when='__win']") are not evaluated:
// they make a spec optional.
func ParseSpec(text string) (*Spec, error) {
	s := &Spec{text: strings.TrimSpace(text)}
	if err := s.parse(s.text); err != nil {
		return nil, fmt.Errorf("spec %q: %w", text, err)
	}
	return s, nil
}

func (s *Spec) parse(rest string) error {
	rest, _, _ = strings.Cut(rest, "#")
	for _, word := range []string{";", " if "} {
		if before, _, ok := strings.Cut(rest, word); ok {
			rest, s.optional = before, true
		}
	}
	rest = strings.TrimSpace(rest)
	if name, ok := strings.CutSuffix(rest, "@"); ok && name != "" { // the old form of track_features
		s.features = true
		return nil
	}
	rest, keys, err := cutBrackets(rest)
	if err != nil {
		return err
	}
	rest = s.cutParentheses(rest)
	if strings.HasSuffix(rest, ".tar.bz2") || strings.HasSuffix(rest, ".conda") {
		rest = rest[strings.LastIndexByte(rest, '/')+1:]
		if s.file, err = newPattern(rest, false); err != nil {
			return err
		}
		rest = "*"
	}
	if rest, err = s.cutChannel(rest); err == nil {
		err = s.positional(rest)
	}
	for _, k := range keys {
		if err == nil {
			err = s.set(k[0], k[1])
		}
	}
	return err
}

// cutParentheses removes what conda 4.4 wrote after a spec: "(optional)", "(target=x)".
func (s *Spec) cutParentheses(rest string) string {
	i := strings.LastIndex(rest, "(")
	if i < 0 || !strings.HasSuffix(rest, ")") {
		return rest
	}
	inner := rest[i+1 : len(rest)-1]
	if !strings.Contains(inner, "optional") && !strings.Contains(inner, "target=") {
		return rest
	}
	s.optional = s.optional || strings.Contains(inner, "optional")
	return strings.TrimSpace(rest[:i])
}

// cutChannel takes "channel/subdir::" or "channel:namespace:" from the front.
func (s *Spec) cutChannel(rest string) (string, error) {
	n := strings.IndexAny(rest+" ", " =<>!~")
	head, tail := rest[:n], rest[n:]
	channel, name, ok := cutLast(head, "::")
	if !ok {
		channel, name, _ = cutLast(head, ":") // a namespace, perhaps after a channel
		channel, _, _ = cutLast(channel, ":")
	}
	return name + tail, s.setChannel(channel)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+len(sep):], true
}

func (s *Spec) setChannel(channel string) (err error) {
	if before, last, ok := cutLast(strings.TrimSuffix(channel, "/"), "/"); ok && isKnown(last) {
		channel = before
		if s.subdir, err = newPattern(last, false); err != nil {
			return err
		}
	}
	s.channel, err = newPattern(strings.TrimSuffix(channel, "/"), false)
	return err
}

// positional reads "name version build" with spaces, or with = between them.
func (s *Spec) positional(text string) (err error) {
	n := strings.IndexAny(text, " =<>!~")
	if n < 0 {
		n = len(text)
	}
	name, rest := text[:n], strings.TrimSpace(text[n:])
	if !isName(name) {
		return fmt.Errorf("got the name %q, want letters, digits and _.- or *", name)
	}
	if s.name, err = newPattern(strings.ToLower(name), false); err != nil || rest == "" || rest == "=" {
		return err
	}
	version, build, err := cutBuild(rest)
	if err != nil {
		return err
	}
	plain := strings.TrimPrefix(version, "=")
	if build != "" && plain != version && !strings.ContainsAny(plain, "=,|") {
		version = plain // name=1.2=build is exactly 1.2, unlike name=1.2
	}
	if s.version, err = parseConstraint(version); err == nil && build != "" {
		s.build, err = newPattern(build, false)
	}
	return err
}

func isName(s string) bool {
	bad := func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return !letter && !(r >= '0' && r <= '9') && !strings.ContainsRune("_.-*", r)
	}
	return isRegexp(s) || s != "" && s[0] != '-' && s[0] != '.' && !strings.ContainsFunc(s, bad)
}

// cutBuild parts the version from a build, which follows a space or "=" that does not
// belong to the version.
func cutBuild(s string) (version, build string, err error) {
	words := strings.Fields(s)
	version, words = words[0], words[1:]
	for len(words) > 0 {
		last, next := rune(version[len(version)-1]), rune(words[0][0])
		if !strings.ContainsRune(",|=<>!~(", last) && !strings.ContainsRune(",|)", next) {
			break
		}
		version, words = version+words[0], words[1:]
	}
	switch i := strings.LastIndexByte(version, '='); {
	case len(words) > 1:
		return "", "", fmt.Errorf("got %q after the version, want one build at most", strings.Join(words, " "))
	case len(words) == 1:
		build = strings.TrimPrefix(words[0], "=")
	case i > 0 && !strings.ContainsRune("=!|,<>~", rune(version[i-1])):
		version, build = version[:i], version[i+1:]
	}
	if strings.ContainsAny(build, "|,<>~") && !isRegexp(build) {
		err = fmt.Errorf("got the build %q, want no comparison: a comma joins versions", build)
	}
	return version, build, err
}

// Match reports whether p is what s asks for.
func (s *Spec) Match(p *Package) bool { return s.matchRest(p) && s.matchChannel(p.Channel) }

// matchRest is Match without the channel.
func (s *Spec) matchRest(p *Package) bool {
	return s.MatchName(p.Name) && s.MatchBuild(p.Build, p.BuildNumber) && s.MatchVersion(&p.Version) &&
		s.subdir.match(p.Subdir) && s.md5.match(p.MD5) && s.sha256.match(p.SHA256) && s.file.match(p.File) &&
		s.license.match(p.License) && s.family.match(p.LicenseFamily)
}

// MatchName is Match for the name alone.
func (s *Spec) MatchName(name string) bool {
	if s.name.exact() {
		return strings.EqualFold(s.name.text, name)
	}
	return s.name.match(name) || s.name.match(strings.ToLower(name))
}

// MatchVersion is Match for the version alone.
func (s *Spec) MatchVersion(v *Version) bool { return s.version.match(v) }

// MatchBuild is Match for the build alone.
func (s *Spec) MatchBuild(build string, number int64) bool {
	return s.build.match(build) && s.number.match(number)
}

// MatchSubdir is Match for the subdir alone.
func (s *Spec) MatchSubdir(subdir string) bool { return s.subdir.match(subdir) }

// matchChannel takes the end of a channel's URL for its name: conda-forge, pkgs/main.
func (s *Spec) matchChannel(url string) bool {
	if s.channel.all() {
		return true
	}
	url = strings.TrimRight(url, "/")
	for {
		if s.channel.match(url) {
			return true
		}
		i := strings.IndexByte(url, '/')
		if i < 0 {
			return false
		}
		url = url[i+1:]
	}
}

// String is the spec as it was written.
func (s *Spec) String() string { return s.text }

// Name returns the name that s asks for, in small letters, or "" if many names will do.
func (s *Spec) Name() string {
	if s.name.exact() {
		return s.name.text
	}
	return ""
}

// AnyVersion reports whether MatchVersion is always true.
func (s *Spec) AnyVersion() bool { return s.version.op == anything }

// HasChannel reports whether s names a channel.
func (s *Spec) HasChannel() bool { return !s.channel.all() }

// HasFile reports whether s names a file, as the last part of a path or URL.
func (s *Spec) HasFile() bool { return s.file.exact() && s.name.all() }

// Optional reports whether a package that depends on s can do without it, at least under
// some condition.
func (s *Spec) Optional() bool { return s.optional }

// Features reports whether s asks for track_features or features, which Match ignores.
func (s *Spec) Features() bool { return s.features }

// Virtual reports whether s asks for a property of the machine, such as __glibc, that no
// channel has.
func (s *Spec) Virtual() bool { return strings.HasPrefix(s.name.text, "__") }

var errBrackets = errors.New("got brackets that are not closed, want [key=value,...] at the end")
