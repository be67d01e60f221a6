package choose

import (
	"fmt"
	"strings"

	"runbook/builtins/internal/conda"
	"runbook/builtins/internal/repodata"
)

// A minor is a version of Python as far as packages are built for one: 3.10.
type minor struct{ major, minor int }

// pythons are the wanted versions.
type pythons struct {
	wanted []minor
	words  []*entry
	known  map[string]python // what was found out so far of "python >=3.6"
}

// A python is what a package's dependency on Python lets it use.
type python struct {
	only minor  // the only version, if there is just one; zero otherwise
	fits uint64 // a bit for each of the wanted versions
}

const mostPythons = 64

// wantedPythons reads python_versions.
func wantedPythons(words []string) ([]minor, error) {
	var list []minor
	for _, w := range words {
		m, ok := parseMinor(w)
		if !ok || strings.Count(w, ".") != 1 || strings.Trim(w, "0123456789.") != "" {
			return nil, fmt.Errorf("python_versions: got %q, want two numbers such as 2.7", w)
		}
		list = append(list, m)
	}
	if len(list) > mostPythons {
		return nil, fmt.Errorf("python_versions: got %d, want at most %d", len(list), mostPythons)
	}
	return list, nil
}

func newPythons(words []string) (*pythons, error) {
	wanted, err := wantedPythons(words)
	p := &pythons{wanted: wanted, known: map[string]python{}}
	for _, w := range words {
		p.words = append(p.words, &entry{key: "python_versions", word: w})
	}
	return p, err
}

// drop reports whether no wanted version can use r: a package made for one other version, whether its dependencies or
// its build say so, or one whose dependency on Python excludes all that are wanted. Packages without Python are for
// all.
func (p *pythons) drop(r *repodata.Record) bool {
	fits := ^uint64(0)
	var only minor
	for _, d := range r.Depends {
		if !isPython(d) {
			continue
		}
		q := p.of(d)
		fits &= q.fits
		if only == (minor{}) {
			only = q.only
		}
	}
	if r.Name == "python" {
		only, _ = parseMinor(r.Version)
	} else if only == (minor{}) {
		only = builtFor(r.Build)
	}
	if only == (minor{}) {
		return fits == 0
	}
	dropped := true
	for i, w := range p.wanted {
		if w == only {
			p.words[i].hit = true
			dropped = fits>>i&1 == 0
		}
	}
	return dropped
}

// isPython reports whether a dependency is on python itself.
func isPython(d string) bool {
	rest, ok := strings.CutPrefix(d, "python")
	return ok && (rest == "" || strings.IndexByte(" =<>!~[", rest[0]) >= 0)
}

func (p *pythons) of(dependency string) python {
	q, ok := p.known[dependency]
	if !ok {
		q = p.find(dependency)
		p.known[strings.Clone(dependency)] = q
	}
	return q
}

// find tries all versions that there may be.
func (p *pythons) find(dependency string) python {
	spec, err := conda.ParseSpec(dependency)
	if err != nil || spec.AnyVersion() || spec.Optional() {
		return python{fits: ^uint64(0)}
	}
	var q python
	for i, w := range p.wanted {
		if admits(spec, w) {
			q.fits |= 1 << i
		}
	}
	for m := (minor{2, 0}); m != (minor{3, 50}); m = m.next() {
		if !admits(spec, m) {
			continue
		}
		if q.only != (minor{}) {
			return python{fits: q.fits}
		}
		q.only = m
	}
	return q
}

func (m minor) next() minor {
	if m == (minor{2, 7}) { // the last of its kind
		return minor{3, 0}
	}
	return minor{m.major, m.minor + 1}
}

// admits reports whether some patch of m matches.
func admits(spec *conda.Spec, m minor) bool {
	const patches = 40
	v := conda.VersionOf(fmt.Sprintf("%d.%d", m.major, m.minor))
	for i := 0; !spec.MatchVersion(&v); i++ {
		if i == patches {
			return false
		}
		v = conda.VersionOf(fmt.Sprintf("%d.%d.%d", m.major, m.minor, i))
	}
	return true
}

// parseMinor reads the first two numbers of a version.
func parseMinor(version string) (m minor, ok bool) {
	m.major, version = leadingNumber(version)
	rest, ok := strings.CutPrefix(version, ".")
	if !ok || rest == "" || rest[0] < '0' || rest[0] > '9' {
		return minor{}, false
	}
	m.minor, _ = leadingNumber(rest)
	return m, m.major > 0
}

// leadingNumber reads at most four digits.
func leadingNumber(s string) (n int, rest string) {
	i := 0
	for i < min(len(s), 4) && s[i] >= '0' && s[i] <= '9' {
		n = n*10 + int(s[i]-'0')
		i++
	}
	return n, s[i:]
}

// builtFor reads builds such as "py27_0", "np110py26_nomkl_0", "py310h1234_0".
func builtFor(build string) minor {
	for rest := build; ; {
		_, after, ok := strings.Cut(rest, "py")
		if !ok {
			return minor{}
		}
		rest = after
		if after == "" || after[0] != '2' && after[0] != '3' {
			continue
		}
		n, end := leadingNumber(after[1:])
		if len(end) < len(after)-1 && (end == "" || end[0] == '_' || end[0] == 'h') {
			return minor{int(after[0] - '0'), n}
		}
	}
}
