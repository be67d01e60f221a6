package choose

import (
	"slices"

	"runbook/builtins/internal/conda"
)

// groups are the noted records by name, those of newer versions first.
type groups struct {
	*notes
	parsed []conda.Version // by version

	recordEnds  []uint32 // of a name's part of records
	records     []uint32
	versionEnds []uint32 // of a name's part of the next two
	versionIDs  []uint32
	ranks       []uint32 // 0 for the newest; the same for versions of one rank
	slot        []uint32 // by record, the place of its version in its name's part
}

func newGroups(n *notes) *groups {
	g := &groups{notes: n, parsed: make([]conda.Version, n.versions.len()), slot: make([]uint32, len(n.stem))}
	for i := range g.parsed {
		g.parsed[i] = conda.VersionOf(n.versions.text(uint32(i)))
	}
	g.byName()
	slotOf := make([]uint32, len(g.parsed))
	for name := range g.recordEnds {
		records := part(g.records, g.recordEnds, name)
		first := len(g.versionIDs)
		g.addVersions(records)
		for i, v := range g.versionIDs[first:] {
			slotOf[v] = uint32(i)
		}
		for _, r := range records {
			g.slot[r] = slotOf[n.version[r]]
		}
		slices.SortFunc(records, func(a, b uint32) int { return int(g.slot[a]) - int(g.slot[b]) })
	}
	return g
}

// byName sorts the records, counting first.
func (g *groups) byName() {
	g.recordEnds = make([]uint32, g.names.len())
	for _, name := range g.name {
		g.recordEnds[name]++
	}
	sum := uint32(0)
	for i, n := range g.recordEnds {
		g.recordEnds[i] = sum // for now where its part begins
		sum += n
	}
	g.records = make([]uint32, len(g.name))
	for r, name := range g.name {
		g.records[g.recordEnds[name]] = uint32(r)
		g.recordEnds[name]++
	}
}

// addVersions lists the versions of one name's records, the newest first.
func (g *groups) addVersions(records []uint32) {
	first := len(g.versionIDs)
	for _, r := range records {
		g.versionIDs = append(g.versionIDs, g.version[r])
	}
	list := g.versionIDs[first:]
	slices.Sort(list)
	list = slices.Compact(list)
	slices.SortFunc(list, func(a, b uint32) int { return conda.Compare(g.parsed[b], g.parsed[a]) })
	rank := uint32(0)
	for i, v := range list {
		if i > 0 && conda.Compare(g.parsed[v], g.parsed[list[i-1]]) != 0 {
			rank++
		}
		g.ranks = append(g.ranks, rank)
	}
	g.versionIDs = g.versionIDs[:first+len(list)]
	g.versionEnds = append(g.versionEnds, uint32(len(g.versionIDs)))
}

// part returns the i-th of parts that lie behind one another.
func part(all, ends []uint32, i int) []uint32 {
	from := uint32(0)
	if i > 0 {
		from = ends[i-1]
	}
	return all[from:ends[i]:ends[i]]
}

// A newest counts versions that come newest first.
type newest struct{ count, last uint32 }

// within reports whether rank is among the first latest ones.
func (n *newest) within(rank uint32, latest int) bool {
	if n.count == 0 || n.last != rank {
		n.count, n.last = n.count+1, rank
	}
	return n.count <= uint32(latest)
}

// dropOld leaves out all but the newest versions of each name in each subdir.
func (g *groups) dropOld(latest int) {
	seen := make([]newest, len(g.subdirs))
	for name := range g.recordEnds {
		clear(seen)
		ranks := part(g.ranks, g.versionEnds, name)
		for _, r := range part(g.records, g.recordEnds, name) {
			if g.why[r] == 0 && !seen[g.place[r].subdir()].within(ranks[g.slot[r]], latest) {
				g.why[r] |= byLatest
			}
		}
	}
}
