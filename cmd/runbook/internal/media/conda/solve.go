package main

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// solve returns what must be linked so that all specs hold, dependencies first, given what is installed.
func solve(specs []string, available []*record, installed map[string]*record) ([]*record, error) {
	s := solver{available: available, chosen: map[string]*record{}}
	for name, r := range installed {
		s.chosen[name] = r
	}
	for _, spec := range specs {
		if err := s.need(commandLineSpec(spec), true); err != nil {
			return nil, err
		}
	}
	return s.order, nil
}

type solver struct {
	available []*record
	chosen    map[string]*record // installed or in order, by name
	order     []*record
}

func (s *solver) need(spec string, asked bool) error {
	name, constraint, _ := strings.Cut(spec, " ")
	have := s.chosen[name]
	if have != nil && matches(have, constraint) {
		return nil
	}
	if have != nil && slices.Contains(s.order, have) {
		return fmt.Errorf("UnsatisfiableError: The following specifications were found to be in conflict:\n"+
			"  - %s\n  - %s %s", spec, have.Name, have.Version)
	}
	best := s.best(name, constraint)
	if best == nil && asked {
		return fmt.Errorf("PackageNotFoundError: Package not found: '' Package missing in current linux-64 channels: \n"+
			"  - %s", spec)
	}
	if best == nil {
		return fmt.Errorf("PackageNotFoundError: Dependency missing in current linux-64 channels: \n  - %s", spec)
	}
	s.chosen[name] = best // before its dependencies, which may lead back to it
	for _, d := range best.Depends {
		if err := s.need(d, false); err != nil {
			return err
		}
	}
	s.order = append(s.order, best)
	return nil
}

// best is the newest match: channels in order, then version, then build number.
func (s *solver) best(name, constraint string) *record {
	var best *record
	for _, r := range s.available {
		if r.Name == name && matches(r, constraint) && (best == nil || better(r, best)) {
			best = r
		}
	}
	return best
}

func better(a, b *record) bool {
	return cmp.Or(cmp.Compare(b.channel, a.channel), compareVersions(a.Version, b.Version),
		cmp.Compare(a.BuildNumber, b.BuildNumber), cmp.Compare(a.Build, b.Build)) > 0
}

// commandLineSpec turns name=1.2 (which means 1.2 and what begins with 1.2.) and name==1.2 into an index's form.
func commandLineSpec(spec string) string {
	i := strings.IndexAny(spec, "=<>! ")
	if i < 0 {
		return strings.ToLower(spec)
	}
	name, constraint := strings.ToLower(spec[:i]), spec[i:]
	if rest, ok := strings.CutPrefix(constraint, "=="); ok {
		return name + " " + strings.Replace(rest, "=", " ", 1)
	}
	if rest, ok := strings.CutPrefix(constraint, "="); ok {
		version, build, exact := strings.Cut(rest, "=")
		if exact {
			return name + " " + version + " " + build
		}
		return name + " " + strings.TrimRight(version, ".*") + "*"
	}
	return name + " " + strings.TrimSpace(constraint)
}

// matches says whether a record meets "VERSION [BUILD]", where VERSION is alternatives by |, each conditions by commas.
func matches(r *record, constraint string) bool {
	version, build, _ := strings.Cut(strings.TrimSpace(constraint), " ")
	if ok, err := path.Match(build, r.Build); build != "" && (!ok || err != nil) {
		return false
	}
	return slices.ContainsFunc(strings.Split(version, "|"), func(alternative string) bool {
		for _, condition := range strings.Split(alternative, ",") {
			if !holds(r.Version, condition) {
				return false
			}
		}
		return true
	})
}

func holds(version, condition string) bool {
	for _, op := range []string{">=", "<=", "==", "!=", ">", "<"} {
		want, ok := strings.CutPrefix(condition, op)
		if !ok {
			continue
		}
		c := compareVersions(version, want)
		return c == 0 && strings.Contains(op, "=") && op != "!=" || c > 0 && op[0] == '>' || c < 0 && op[0] == '<' ||
			c != 0 && op == "!="
	}
	if start, ok := strings.CutSuffix(condition, "*"); ok {
		rest, ok := strings.CutPrefix(version, strings.TrimSuffix(start, "."))
		return ok && (start == "" || rest == "" || rest[0] < '0' || rest[0] > '9')
	}
	if start, ok := strings.CutPrefix(condition, "="); ok {
		return holds(version, start+"*")
	}
	return condition == "" || compareVersions(version, condition) == 0
}

// compareVersions compares part by part as conda does: what a shorter version lacks is 0, and within a part letters
// come before numbers, so that 1.0.2h is older than 1.0.2.
func compareVersions(a, b string) int {
	as, bs := strings.Split(strings.ToLower(a), "."), strings.Split(strings.ToLower(b), ".")
	for i := range max(len(as), len(bs)) {
		x, y := runs(as, i), runs(bs, i)
		for j := range max(len(x), len(y)) {
			if c := compareRuns(at(x, j), at(y, j)); c != 0 {
				return c
			}
		}
	}
	return 0
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "0"
}

// runs parts the i'th part into runs of digits and of letters, a number first.
func runs(parts []string, i int) (list []string) {
	isDigit := func(c byte) bool { return c >= '0' && c <= '9' }
	text := at(parts, i)
	if text == "" || !isDigit(text[0]) {
		list = []string{"0"}
	}
	for text != "" {
		n := 1
		for n < len(text) && isDigit(text[n]) == isDigit(text[0]) {
			n++
		}
		list, text = append(list, text[:n]), text[n:]
	}
	return list
}

func compareRuns(a, b string) int {
	n, errA := strconv.Atoi(a)
	m, errB := strconv.Atoi(b)
	switch {
	case errA == nil && errB == nil:
		return cmp.Compare(n, m)
	case errA == nil:
		return 1
	case errB == nil:
		return -1
	}
	return cmp.Compare(a, b)
}
