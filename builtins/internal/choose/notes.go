package choose

import (
	"hash/maphash"
	"slices"
	"strings"

	"runbook/builtins/internal/repodata"
)

// notes remember of each record what choosing among all of them needs: less than a hundred bytes, most of which
// number its dependencies. Slices hold a value per record.
type notes struct {
	seed  maphash.Seed
	table table
	// hash of the subdir and the file's name without its end: 64 bits for half a million records stand for the text
	stem  []uint64
	place []place
	why   []reason

	name, version []uint32

	depends bool // whether the rest is noted
	build   []uint32
	number  []int32
	ends    []uint32 // of its part of needs
	needs   []uint32 // specs

	subdirs                        []string
	names, versions, builds, specs *texts

	kept set // once settled
}

// A place tells records of one stem apart: its subdir, its source and, in the lowest bits, its section.
type place uint32

func placeOf(subdir, source int, section repodata.Section) place {
	return place(subdir)<<20 | place(source)<<2 | place(section)
}

func (p place) subdir() int { return int(p >> 20) }

func (p place) section() repodata.Section { return repodata.Section(p & 3) }

func (p place) isConda() bool {
	return p.section() == repodata.PackagesConda || p.section() == repodata.V3Conda
}

func newNotes(depends bool) *notes {
	return &notes{
		seed: maphash.MakeSeed(), depends: depends,
		names: newTexts(), versions: newTexts(), builds: newTexts(), specs: newTexts(),
	}
}

// add records why r is kept. A record that is there already stays as it is; after kept was computed, add does nothing.
func (n *notes) add(subdir string, source int, r *repodata.Record, why reason) {
	if n.kept != nil {
		return
	}
	s := slices.Index(n.subdirs, subdir)
	if s < 0 {
		s = len(n.subdirs)
		n.subdirs = append(n.subdirs, strings.Clone(subdir))
	}
	hash, p := n.hash(s, r.File), placeOf(s, source, r.Section)
	if _, ok := n.find(hash, p); ok {
		return
	}
	n.table.add(hash, uint32(len(n.stem)), func(id uint32) uint64 { return n.stem[id] })
	n.stem = append(n.stem, hash)
	n.place = append(n.place, p)
	n.why = append(n.why, why)
	n.name = append(n.name, n.names.id(strings.ToLower(r.Name)))
	n.version = append(n.version, n.versions.id(r.Version))
	if !n.depends {
		return
	}
	n.build = append(n.build, n.builds.id(r.Build))
	n.number = append(n.number, int32(min(r.BuildNumber, 1<<31-1)))
	for _, d := range r.Depends {
		n.needs = append(n.needs, n.specs.id(d))
	}
	n.ends = append(n.ends, uint32(len(n.needs)))
}

func (n *notes) hash(subdir int, file string) uint64 {
	h := maphash.String(n.seed, stemOf(file))
	return h ^ uint64(subdir+1)*0x9e3779b97f4a7c15
}

func stemOf(file string) string {
	if stem, ok := strings.CutSuffix(file, ".conda"); ok {
		return stem
	}
	return strings.TrimSuffix(file, ".tar.bz2")
}

func (n *notes) find(hash uint64, p place) (uint32, bool) {
	return n.table.find(hash, func(id uint32) bool { return n.stem[id] == hash && n.place[id] == p })
}

// keeps reports whether a record was chosen.
func (n *notes) keeps(subdir string, source int, r *repodata.Record) bool {
	s := slices.Index(n.subdirs, subdir)
	if s < 0 || n.kept == nil {
		return false
	}
	id, ok := n.find(n.hash(s, r.File), placeOf(s, source, r.Section))
	return ok && n.kept.has(id)
}

// settle decides what is kept, and forgets what only that needed.
func (n *notes) settle(c Config) (warnings []string) {
	if n.kept != nil {
		return nil
	}
	if c.Formats == PreferConda {
		n.preferConda()
	}
	g := newGroups(n)
	if c.Latest > 0 {
		g.dropOld(c.Latest)
	}
	n.kept = newSet(len(n.stem))
	for i, why := range n.why {
		if why == 0 {
			n.kept.add(uint32(i))
		}
	}
	if c.WithDepends {
		warnings = addDepends(g, c.Latest)
	}
	*n = notes{seed: n.seed, table: n.table, stem: n.stem, place: n.place, subdirs: n.subdirs, kept: n.kept}
	return warnings
}

// preferConda leaves out what is there as .conda, too: where nothing speaks against the other that does not speak
// against this one. So what is left out for its age can still be the one that is a dependency.
func (n *notes) preferConda() {
	for i, p := range n.place {
		if p.isConda() {
			continue
		}
		_, twin := n.table.find(n.stem[i], func(id uint32) bool {
			q := n.place[id]
			return n.stem[id] == n.stem[i] && q.subdir() == p.subdir() && q.isConda() && n.why[id]&^(n.why[i]&forgiven) == 0
		})
		if twin {
			n.why[i] |= byFormat
		}
	}
}
