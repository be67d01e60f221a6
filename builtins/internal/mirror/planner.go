package mirror

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/mirror/publish"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
)

// A planner finds out what a Plan is to hold. It only reads.
type planner struct {
	plan    *Plan
	skipped int  // channels that a dry run cannot ask
	foreign bool // a file that Mirror.Owner does not own was seen
}

// owned looks at the owner of a file that the mirror keeps. It is false for one that is also the source's own, by a
// hard link, and would have to be given away: only a copy can be.
func (w *planner) owned(m host.Seen) bool {
	p := w.plan
	if o := p.mirror.Owner; o.Or(m.Owner) == m.Owner {
		return true
	}
	w.foreign = true
	return m.Links < 2
}

// tally counts what is to be done in a subdir.
func (w *planner) tally(s *subdir) {
	p := w.plan
	t := SubdirReport{Subdir: s.name, Packages: s.packages, Kept: s.kept}
	for _, it := range s.fetch {
		if it.failed != nil {
			continue
		}
		t.Fetch++
		t.Bytes += max(it.size, 0)
		if it.replaces {
			t.Replace++
		}
	}
	s.listed = s.packages - (len(s.fetch) - t.Fetch)
	p.Report.Replace += t.Replace
	p.Report.Packages += t.Packages
	p.Report.Kept += t.Kept
	p.Report.Fetch += t.Fetch
	p.Report.Bytes += t.Bytes
	p.Report.Subdirs = append(p.Report.Subdirs, t)
}

// finish looks at what is not one subdir's, and refuses a plan that cannot be carried out.
func (w *planner) finish(ctx context.Context) error {
	p := w.plan
	var err error
	if p.dirs, err = host.MissingDirs(p.r, p.dir); err != nil {
		return err
	}
	if err := w.describe(ctx); err != nil {
		return err
	}
	if err := w.findForeign(); err != nil {
		return err
	}
	if err := w.room(ctx); err != nil {
		return err
	}
	if err := w.planDelta(ctx); err != nil {
		return err
	}
	if len(p.Changes()) == 0 {
		return p.failure()
	}
	return nil
}

// staleForms are forms of an index that other tools make and clients may prefer to those that are kept up to date
// here. The glob *repodata*.json is reserved for such (CEP 15 and the like).
var staleForms = []string{
	channel.ShardsFile, "repodata.json.bz2", "current_repodata.json", "current_repodata.json.bz2", "current_repodata.json.zst", "current_repodata.json.gz",
	"repodata.json.gz", "repodata.json.xz", "repodata_from_packages.json", "repodata_from_packages.json.bz2", "repodata_from_packages.json.zst", "repodata.jlap",
}

// findForeign looks for files of others, for forms of an index that nobody keeps up to date, and for subdirs to be
// made.
func (w *planner) findForeign() (err error) {
	p := w.plan
	wanted := p.wantedForms()
	for _, s := range p.subdirs {
		m := p.r.LstatAll(p.dir, []string{s.name})[0]
		if err := unlessAbsent(m.Err); err != nil {
			return err
		}
		s.sharded = p.mirror.Shards && p.r.LstatAll(path.Join(p.dir, s.name), []string{publish.ShardsDir})[0].Err != nil
		if s.fresh = m.Err != nil; s.fresh {
			continue
		}
		if !m.Mode.IsDir() {
			return fmt.Errorf("%s: is there and no directory", path.Join(p.dir, s.name))
		}
		w.owned(m)
		seen := p.r.LstatAll(path.Join(p.dir, s.name), append([]string{"."}, staleForms...))
		if seen[0].Ino != m.Ino { // became another directory: what lies there is not the tree's
			continue
		}
		for i, f := range seen[1:] {
			if f.Err == nil && !slices.Contains(wanted, staleForms[i]) {
				p.stale = append(p.stale, path.Join(p.dir, s.name, staleForms[i]))
			}
		}
	}
	if m := p.r.LstatAll(p.dir, []string{state.Dir})[0]; m.Err == nil {
		if p.remembered = m.Mode.IsDir(); !p.remembered { // an earlier version's
			p.stale = append(p.stale, path.Join(p.dir, state.Dir))
		}
	}
	if w.foreign && len(p.dirs) == 0 {
		p.foreign, _, err = host.Differ(p.r, p.dir, p.mirror.Owner)
	}
	return err
}

// room refuses what does not fit, before anything is fetched.
func (w *planner) room(ctx context.Context) error {
	p := w.plan
	p.Report.Free = -1
	if p.Report.Fetch == 0 {
		return nil
	}
	v, err := p.r.Fact(ctx, host.Fact{Kind: host.DiskFree, Name: p.dir})
	if err != nil {
		return nil // a full disk tells in time
	}
	free, mount, _ := strings.Cut(v, " ")
	if p.Report.Free, err = strconv.ParseInt(free, 10, 64); err != nil {
		p.Report.Free = -1
		return nil // nobody knows
	}
	need := p.Report.Bytes
	if p.mirror.Link {
		need = w.copied(ctx, mount)
	}
	for _, s := range p.subdirs {
		if s.publish {
			need += 2 * s.json.size
		}
	}
	if need <= p.Report.Free {
		return nil
	}
	return advice.New(fmt.Sprintf("make room on %s, or take less: platforms=, python_versions=, pkg_list=, latest=",
		mount),
		"%s: got %s free, want %s: %d bytes more", p.dir, size(p.Report.Free), size(need), need-p.Report.Free)
}

// copied returns how many bytes cannot be linked because they lie on another file system than the tree's.
func (w *planner) copied(ctx context.Context, mount string) (bytes int64) {
	p := w.plan
	near := map[*channel.Channel]bool{}
	for _, c := range p.channels {
		if c.Local {
			v, err := p.r.Fact(ctx, host.Fact{Kind: host.DiskFree, Name: c.Directory()})
			_, other, _ := strings.Cut(v, " ")
			near[c] = err == nil && other == mount
		}
	}
	for _, s := range p.subdirs {
		for _, it := range s.fetch {
			if it.failed == nil && !near[it.from().from] {
				bytes += max(it.size, 0)
			}
		}
	}
	return bytes
}
