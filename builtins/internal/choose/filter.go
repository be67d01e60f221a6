package choose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"runbook/builtins/internal/conda"
	"runbook/builtins/internal/repodata"
)

// A reason is why a record is not chosen. There may be several; zero is for a chosen one.
type reason uint8

const (
	byPython reason = 1 << iota
	byLicence
	byBlacklist
	byFormat
	byPkgList
	byAge
	byLatest

	// Dependencies are added in spite of these.
	forgiven = byPkgList | byAge | byLatest
)

var reasonKeys = []string{"python_versions", "license_blacklist", "blacklist", "formats", "pkg_list", "newer_than",
	"latest"}

func (r reason) String() string {
	var keys []string
	for i, key := range reasonKeys {
		if r>>i&1 != 0 {
			keys = append(keys, key)
		}
	}
	return strings.Join(keys, ", ")
}

// A filter judges records one by one.
type filter struct {
	python             *pythons
	licence            *licences
	list, black, white *specs
	newerThan          int64
	format             string
	channels           []string

	versions map[string]conda.Version // parsed so far
	undated  int
	subject  conda.Package // the record at hand
}

// An entry is one word of a filter.
type entry struct {
	key, word string
	spec      *conda.Spec
	hit       bool
}

func newFilter(c Config) (*filter, error) {
	f := &filter{licence: newLicences(c.LicenseBlacklist), format: c.Formats, channels: c.Channels,
		versions: map[string]conda.Version{}}
	var err error
	if f.python, err = newPythons(c.PythonVersions); err != nil {
		return nil, err
	}
	for _, l := range []struct {
		to    **specs
		key   string
		words []string
	}{{&f.list, "pkg_list", c.PkgList}, {&f.black, "blacklist", c.Blacklist}, {&f.white, "whitelist", c.Whitelist}} {
		if *l.to, err = newSpecs(l.key, l.words); err != nil {
			return nil, err
		}
	}
	f.newerThan, err = c.newerThan()
	return f, err
}

// judge says what is against r. A record without a time is never too old.
func (f *filter) judge(subdir string, source int, r *repodata.Record) (why reason) {
	if len(f.python.wanted) > 0 && f.python.drop(r) {
		return byPython
	}
	f.subject.File, f.subject.Version = "", conda.Version{}
	if f.list.empty() {
		why = f.blacklisted(subdir, source, r)
	} else if !f.match(f.list, subdir, source, r) {
		why = byPkgList
	}
	if conda := r.Section == repodata.PackagesConda || r.Section == repodata.V3Conda; f.format == OnlyConda && !conda ||
		f.format == OnlyTarBz2 && conda {
		why |= byFormat
	}
	if f.newerThan > 0 {
		switch t := timeOf(r); {
		case t == 0 && why == 0:
			f.undated++
		case t != 0 && t < f.newerThan:
			why |= byAge
		}
	}
	return why
}

// blacklisted looks at every list, even when the answer is known, to tell which words are of use.
func (f *filter) blacklisted(subdir string, source int, r *repodata.Record) (why reason) {
	if f.match(f.black, subdir, source, r) {
		why |= byBlacklist
	}
	if len(f.licence.words) > 0 && f.licence.drop(r.LicenseFamily, r.License) {
		why |= byLicence
	}
	if f.match(f.white, subdir, source, r) {
		return 0
	}
	return why
}

// match reports whether one of s matches r, and notes all that do.
func (f *filter) match(s *specs, subdir string, source int, r *repodata.Record) (found bool) {
	for _, e := range s.of(r.Name) {
		if f.matches(e, subdir, source, r) {
			e.hit, found = true, true
		}
	}
	for _, e := range s.patterns {
		if e.spec.MatchName(r.Name) && f.matches(e, subdir, source, r) {
			e.hit, found = true, true
		}
	}
	return found
}

// matches fills the subject in as far as it is needed.
func (f *filter) matches(e *entry, subdir string, source int, r *repodata.Record) bool {
	p := &f.subject
	if p.File == "" {
		*p = conda.Package{
			Name: r.Name, Build: r.Build, BuildNumber: r.BuildNumber, Subdir: subdir, File: r.File,
			MD5: r.MD5, SHA256: r.SHA256, License: r.License, LicenseFamily: r.LicenseFamily,
		}
		if source < len(f.channels) {
			p.Channel = f.channels[source]
		}
	}
	if p.Version.IsZero() && !e.spec.AnyVersion() {
		p.Version = f.version(r.Version)
	}
	return e.spec.Match(p)
}

func (f *filter) version(text string) conda.Version {
	v, ok := f.versions[text]
	if !ok {
		text = strings.Clone(text)
		v = conda.VersionOf(text)
		f.versions[text] = v
	}
	return v
}

// timeOf returns when r was indexed or else built, in milliseconds since 1970, or 0. Records of old have seconds, as
// conda knows: it takes whatever is before the year 9999 in seconds for these.
func timeOf(r *repodata.Record) int64 {
	const lastSecond = 253402300799
	for _, t := range []int64{r.IndexedTimestamp, r.Timestamp} {
		switch {
		case t > lastSecond:
			return t
		case t > 0:
			return t * 1000
		}
	}
	return 0
}

// specs are a list's entries: those for one name by it, in small letters, and those for many.
type specs struct {
	named    map[string][]*entry
	patterns []*entry
}

func newSpecs(key string, words []string) (*specs, error) {
	s := &specs{named: map[string][]*entry{}}
	for _, w := range words {
		spec, err := parseSpec(key, w)
		if err != nil {
			return nil, err
		}
		e := &entry{key: key, word: w, spec: spec}
		if name := spec.Name(); name != "" {
			s.named[name] = append(s.named[name], e)
		} else {
			s.patterns = append(s.patterns, e)
		}
	}
	return s, nil
}

func (s *specs) empty() bool { return len(s.named)+len(s.patterns) == 0 }

// of returns the entries for a name in whatever case.
func (s *specs) of(name string) []*entry {
	if len(s.named) == 0 {
		return nil
	}
	var small [64]byte
	b := append(small[:0], name...)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return s.named[string(b)]
}

// unused describes the words that no record had, sorted.
func (f *filter) unused() (warnings []string) {
	all := append(f.python.words, slices.Collect(maps.Values(f.licence.words))...)
	for _, s := range []*specs{f.list, f.black, f.white} {
		all = append(all, s.patterns...)
		for _, list := range s.named {
			all = append(all, list...)
		}
	}
	for _, e := range all {
		if !e.hit {
			warnings = append(warnings, fmt.Sprintf("%s: %q matches nothing", e.key, e.word))
		}
	}
	slices.Sort(warnings)
	return slices.Compact(warnings)
}
