package mirror

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"runbook/builtins/internal/repodata"
)

// A filter keeps some records. The order is the vendor's: of what the platforms have, drop
// license_blacklist, drop blacklist, add whitelist back; or pkg_list alone. The place of python_versions is not
// documented; it goes first, because only then whitelist adds back what it should.
type filter struct {
	python, list, black, white, licence map[string]*entry

	families map[[2]string]string // guessed so far, by family and licence
}

// An entry is one word of a filter.
type entry struct {
	key, word string
	hits      int
}

func newFilter(c Config) *filter {
	lower := strings.ToLower
	return &filter{
		python:  entries("python_versions", c.PythonVersions, lower),
		list:    entries("pkg_list", c.PkgList, lower),
		black:   entries("blacklist", c.Blacklist, lower),
		white:   entries("whitelist", c.Whitelist, lower),
		licence: entries("license_blacklist", c.LicenseBlacklist, plain),

		families: map[[2]string]string{},
	}
}

func entries(key string, words []string, form func(string) string) map[string]*entry {
	m := map[string]*entry{}
	for _, w := range words {
		m[form(w)] = &entry{key: key, word: w}
	}
	return m
}

// keeps reports whether a record passes.
func (f *filter) keeps(r *repodata.Fields) bool {
	if len(f.python) > 0 {
		if v := pythonOf(r); v != "" && !hit(f.python, v) {
			return false
		}
	}
	name := strings.ToLower(r.Name)
	if len(f.list) > 0 {
		return hit(f.list, name)
	}
	drop := hit(f.black, name)
	if len(f.licence) > 0 && f.unlicensed(f.family(r)) {
		drop = true
	}
	return hit(f.white, name) || !drop
}

func (f *filter) family(r *repodata.Fields) string {
	k := [2]string{r.LicenseFamily, r.License}
	if _, ok := f.families[k]; !ok {
		f.families[k] = family(k[0], k[1])
	}
	return f.families[k]
}

// unlicensed takes "GPL", all that version 2.2 of the vendor's tool knew, for GPL of any version.
func (f *filter) unlicensed(family string) bool {
	return hit(f.licence, family) || (family == "GPL2" || family == "GPL3") && hit(f.licence, "GPL")
}

func hit(m map[string]*entry, word string) bool {
	e := m[word]
	if e != nil {
		e.hits++
	}
	return e != nil
}

// unused describes the words that no record had, sorted.
func (f *filter) unused() (warnings []string) {
	for _, m := range []map[string]*entry{f.python, f.list, f.black, f.white, f.licence} {
		for _, e := range m {
			if e.hits == 0 {
				warnings = append(warnings, fmt.Sprintf("%s: %q matches nothing", e.key, e.word))
			}
		}
	}
	slices.Sort(warnings)
	return warnings
}

var (
	// "python 2.7*", "python 3.6.* *_cpython", "python ==3.5.2"
	pinned = regexp.MustCompile(`^python ?=*(\d+\.\d+)(?:\.?\*|\.\d\S*)?(?: \S+)?$`)
	// "python >=3.7,<3.8.0a0"
	bounded = regexp.MustCompile(`^python >=(\d+)\.(\d+)(?:\.\d+)*,<(\d+)\.(\d+)`)
	// "py27_0", "np110py27_0", "py310h1234_0"
	built = regexp.MustCompile(`py([23])(\d+)(?:_|h|$)`)
)

// pythonOf returns the version of Python that a package is made for, "" if it fits any.
func pythonOf(r *repodata.Fields) string {
	if r.Name == "python" {
		return minor(r.Version)
	}
	for _, d := range r.Depends {
		if !strings.HasPrefix(d, "python ") {
			continue
		}
		if m := pinned.FindStringSubmatch(d); m != nil {
			return m[1]
		}
		if m := bounded.FindStringSubmatch(d); m != nil && m[1] == m[3] && next(m[2]) == m[4] {
			return m[1] + "." + m[2]
		}
	}
	if m := built.FindStringSubmatch(r.Build); m != nil {
		return m[1] + "." + m[2]
	}
	return ""
}

// minor returns the first two numbers of a version.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".")
}

// next returns the number after n, which is digits.
func next(n string) string {
	i, _ := strconv.Atoi(n)
	return strconv.Itoa(i + 1)
}
