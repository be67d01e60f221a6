package choose

import (
	"cmp"
	"fmt"
	"maps"
	"runbook/builtins/internal/conda"
	"slices"
	"strings"
)

// missing are the dependencies that nothing chosen satisfies.
type missing map[lack]*lackers

// A lack is a dependency that a subdir's machines miss.
type lack struct{ subdir, spec string }

// lackers are the records that have it.
type lackers struct {
	first string // by name
	count int
	what  string // is the matter
}

const mostMissing = 20 // that are described one by one

// report adds what c found missing.
func (c *closure) report(m missing) {
	for r, d := range c.reached {
		if d == 0 {
			continue
		}
		for _, s := range part(c.needs, c.ends, r) {
			if len(c.bad) > 0 && c.bad[s] != nil {
				m.add(c.subdirs[c.place[r].subdir()], c.specs.text(s), c.file(r), "which cannot be read: "+c.bad[s].Error())
			} else if c.missing[s]&d.machines() != 0 {
				c.reportOne(m, r, s)
			}
		}
	}
}

func (c *closure) reportOne(m missing, r int, spec uint32) {
	d := c.reached[r]
	lacking := c.missing[spec] & d.required()
	for i, machine := range c.machines {
		if lacking>>i&1 != 0 {
			m.add(machine, c.specs.text(spec), c.file(r), c.reason(spec))
		}
	}
	if everywhere := d.machines(); d.required() == 0 && c.missing[spec]&everywhere == everywhere {
		m.add(conda.Noarch, c.specs.text(spec), c.file(r), c.reason(spec))
	}
}

func (c *closure) reason(spec uint32) string {
	if why := c.hidden[spec]; why != 0 {
		return fmt.Sprintf("which the filters leave out (%s)", why)
	}
	return "which no channel has"
}

// file is what a record's file is called by CEP 26.
func (c *closure) file(r int) string {
	end := ".tar.bz2"
	if c.place[r].isConda() {
		end = ".conda"
	}
	return c.names.text(c.name[r]) + "-" + c.versions.text(c.version[r]) + "-" + c.builds.text(c.build[r]) + end
}

func (m missing) add(subdir, spec, file, what string) {
	l := lack{subdir, spec}
	if m[l] == nil {
		m[l] = &lackers{first: file, what: what}
	}
	m[l].count++
	m[l].first = min(m[l].first, file)
}

func (m missing) warnings() (list []string) {
	order := slices.SortedFunc(maps.Keys(m), func(a, b lack) int {
		return cmp.Or(strings.Compare(a.subdir, b.subdir), strings.Compare(a.spec, b.spec))
	})
	for _, l := range order[:min(len(order), mostMissing)] {
		who := m[l].first + " needs"
		if n := m[l].count - 1; n > 0 {
			who = fmt.Sprintf("%s and %d more need", m[l].first, n)
		}
		list = append(list, fmt.Sprintf("%s: %s %s, %s", l.subdir, who, l.spec, m[l].what))
	}
	if n := len(order) - len(list); n > 0 {
		list = append(list, fmt.Sprintf("%d more dependencies are not satisfied", n))
	}
	return list
}
