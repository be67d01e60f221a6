package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"runbook/runtime/host"
)

// A Plan is what a mirror lacks. It belongs to the state of the machine that it was made on.
type Plan struct {
	Report Report

	mirror  *Mirror
	disk    *disk
	subdirs []*subdir
	dirs    []string // absolute, parents first, that WriteTree does not make
	strange int      // files that belong to others than the owner
	unknown []string // packages that the index lists and the source lacks

	// testOnlyFault is asked before each change to the tree; its error stands for a crash there.
	testOnlyFault func(name string) error

	asking sync.Mutex // held while Apply asks a source: hosts are for one goroutine at a time
}

// A Report says what a plan found. It is complete once the plan is made.
type Report struct {
	Packages    int   // that the new indexes list
	Kept        int   // of them there already
	Fetch       int   // to be fetched, Replace included
	Replace     int   // of another content under the same name
	Bytes       int64 // to be fetched
	FilteredOut int
	Unverified  int // packages whose record has no digest
	Warnings    []string
}

// A subdir is what is to be done in one.
type subdir struct {
	name  string
	fresh bool // is to be made
	had   int  // packages there already
	items []*item
	fetch []*item
	bad   []*item // known not to be right at their source
	index []indexed
}

func (p *Plan) warn(texts ...string) { p.Report.Warnings = append(p.Report.Warnings, texts...) }

// count warns of n things, if there are any; format has one %d.
func (p *Plan) count(n int, format string) {
	if n > 0 {
		p.warn(fmt.Sprintf(format, n))
	}
}

// add compares a chosen listing with the disk.
func (p *Plan) add(ctx context.Context, l *listing) error {
	if old := p.disk.state.total[l.name]; old >= suspect && l.total*2 < old {
		return advise("if the channel is meant to shrink so, remove "+path.Join(p.mirror.Dir(), stateFile),
			"%s: the channel lists %d packages, want at least half of the %d that it had before", l.name, l.total, old)
	}
	p.disk.state.total[l.name] = l.total
	s := &subdir{name: l.name, items: l.items}
	_, ok, err := p.disk.lstat(l.name)
	if err != nil {
		return err
	}
	s.fresh = !ok
	for _, it := range l.items {
		if err := p.addItem(ctx, s, it); err != nil {
			return fmt.Errorf("%s: %w", it.name, err)
		}
	}
	p.tally(s)
	p.subdirs = append(p.subdirs, s)
	return p.addIndex(s, l.index.Bytes())
}

// suspect is from how many packages on losing half of them at once looks like an outage upstream.
const suspect = 100

func (p *Plan) addItem(ctx context.Context, s *subdir, it *item) error {
	there, right, err := p.disk.holds(ctx, it)
	if err != nil {
		return err
	}
	if it.sum() == "" {
		p.Report.Unverified++
	}
	if right {
		s.had++
		return nil
	}
	it.replaces = there
	switch err := it.open(ctx); {
	case errors.Is(err, fs.ErrNotExist):
		p.unknown = append(p.unknown, it.name)
		return nil
	case err != nil:
		return err
	case it.failed != nil:
		s.bad = append(s.bad, it)
		return nil
	}
	s.fetch = append(s.fetch, it)
	return nil
}

// tally counts what is to be fetched. Beside a bad package no file is replaced: the old index, which
// lists the old ones, stays.
func (p *Plan) tally(s *subdir) {
	if len(s.bad) > 0 {
		s.fetch = slices.DeleteFunc(s.fetch, func(it *item) bool { return it.replaces })
	}
	for _, it := range s.fetch {
		p.Report.Fetch++
		p.Report.Bytes += max(it.size, 0)
		if it.replaces {
			p.Report.Replace++
		}
	}
	p.Report.Packages += len(s.items)
	p.Report.Kept += s.had
}

// finish looks at what is not one subdir's, and refuses a plan that cannot be carried out.
func (p *Plan) finish(r host.Reader) error {
	if n := len(p.unknown); n > 0 {
		list := strings.Join(p.unknown[:min(n, 10)], ", ")
		return advise("complete the channel, or leave these out with blacklist=", "%s listed and missing at the source: %s%s", count(n, "is", "are"), list, and(n-10))
	}
	for dir := p.mirror.Dir(); ; dir = path.Dir(dir) {
		ok, err := host.Exists(r, dir)
		if err != nil {
			return err
		}
		if ok {
			break
		}
		p.dirs = append(p.dirs, dir)
	}
	slices.Reverse(p.dirs)
	if err := p.foreign(r); err != nil {
		return err
	}
	if len(p.Changes()) == 0 {
		return p.failure()
	}
	return nil
}

// count tells how many packages do something.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 package " + one
	}
	return fmt.Sprintf("%d packages %s", n, many)
}

func and(more int) string {
	if more <= 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", more)
}

// foreign looks for files of others, and for forms of an index that nobody keeps up to date.
func (p *Plan) foreign(r host.Reader) (err error) {
	if len(p.dirs) > 0 {
		return nil
	}
	if p.mirror.Owner != (host.Owner{}) {
		if p.strange, err = host.Differ(r, p.mirror.Dir(), p.mirror.Owner); err != nil {
			return err
		}
	}
	for _, s := range p.subdirs {
		for _, n := range []string{"repodata_shards.msgpack.zst", "current_repodata.json"} {
			_, ok, err := p.disk.lstat(path.Join(s.name, n))
			if err != nil {
				return err
			}
			if ok {
				p.warn(path.Join(s.name, n) + " is not kept up to date here: clients that prefer it see an old channel")
			}
		}
	}
	return nil
}

// Changes tells what Apply will do; nothing if the mirror is as it should be.
func (p *Plan) Changes() (changes []host.Change) {
	for _, d := range p.dirs {
		changes = append(changes, host.Change{What: d, To: "directory"})
	}
	for _, s := range p.subdirs {
		if n := len(s.fetch); n > 0 {
			changes = append(changes, host.Change{What: s.name + " packages", From: fmt.Sprint(s.had), To: fmt.Sprintf("%d (%d bytes more)", s.had+n, s.bytes())})
		}
		if len(s.index) > 0 {
			from := "another"
			if s.fresh {
				from = ""
			}
			changes = append(changes, host.Change{What: path.Join(s.name, indexFile), From: from, To: s.index[len(s.index)-1].sum})
		}
	}
	if p.strange > 0 {
		changes = append(changes, host.Change{What: "owner", From: fmt.Sprintf("%d files of others", p.strange), To: strings.Trim(p.mirror.Owner.User+":"+p.mirror.Owner.Group, ":")})
	}
	return changes
}

func (s *subdir) bytes() (n int64) {
	for _, it := range s.fetch {
		n += max(it.size, 0)
	}
	return n
}

// failure names every package that could not be had, nil if there is none.
func (p *Plan) failure() error {
	var texts, stale []string
	for _, s := range p.subdirs {
		n := len(texts)
		for _, it := range s.items {
			if it.failed != nil {
				texts = append(texts, it.name+": "+it.failed.Error())
			}
		}
		if len(texts) > n {
			stale = append(stale, s.name)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return advise("everything else is in place; the index of "+strings.Join(stale, ", ")+" stays as it was. Replace the bad files at the source, or leave them out with blacklist=, and run again",
		"%s not be mirrored: %s", count(len(texts), "could", "could"), strings.Join(texts, "; "))
}
