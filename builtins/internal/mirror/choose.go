package mirror

import (
	"fmt"

	"runbook/builtins/internal/repodata"
	"runbook/runtime/host"
)

// A listing is one subdir: what the sources list, then what of it was chosen.
type listing struct {
	name  string
	parts []part

	total int             // records in the sources
	index *repodata.Index // as it will be published
	items []*item
}

// A part is a listing of one channel.
type part struct {
	from  *channel
	index *repodata.Index
}

// An item is one package that the new index lists.
type item struct {
	name        string // "linux-64/zlib-1.2.8-3.tar.bz2"
	file        string
	md5, sha256 string
	size        int64 // bytes; -1 while unknown
	from        part

	replaces bool // a file of the same name with other bytes
	content  host.Content
	failed   error // why it cannot be had; known before or after trying
}

// choose merges the parts of l, the first channel before the next, and filters them.
func (p *Plan) choose(l *listing, f *filter) {
	merged := *l.parts[0].index
	merged.Records = nil
	taken := map[string]bool{}
	var twice, odd, dropped int
	for i, part := range l.parts {
		l.total += len(part.index.Records)
		for r, fields := range part.index.All() {
			switch {
			case !f.keeps(fields):
				dropped++
				continue
			case taken[r.File]:
				twice++
				continue
			case !r.Named(fields):
				odd++
			}
			if len(l.parts) > 1 {
				taken[r.File] = true
			}
			merged.Records = append(merged.Records, r)
			l.items = append(l.items, newItem(l.name, part, r, fields))
		}
		if i > 0 {
			merged.Removed = append(merged.Removed[:len(merged.Removed):len(merged.Removed)], part.index.Removed...)
		}
		for _, key := range part.index.Dropped {
			p.warn(fmt.Sprintf("%s: %s in %s is not mirrored", part.from.shown, key, l.name))
		}
	}
	l.index = &merged
	p.Report.FilteredOut += dropped
	p.count(twice, l.name+": %d packages of later channels have the name of an earlier one's and were left out")
	p.count(odd, l.name+": %d packages are not called NAME-VERSION-BUILD of their own record")
}

func newItem(subdir string, from part, r repodata.Record, f *repodata.Fields) *item {
	return &item{name: subdir + "/" + r.File, file: r.File, md5: f.MD5, sha256: f.SHA256, size: f.Size, from: from}
}
