package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/conda"
	"runbook/builtins/internal/mirror/state"
	"runbook/builtins/internal/repodata"
	"runbook/runtime/host"
)

// filter has every subdir that is not done read, filtered and compared with the disk.
func (w *planner) filter(ctx context.Context) error {
	p := w.plan
	for _, s := range p.subdirs {
		if !s.done {
			if err := w.filterSubdir(ctx, s); err != nil {
				return err
			}
		}
		w.tally(s)
	}
	p.warn(w.unused()...)
	p.count(p.selector.Undated(), "newer_than: %d packages have no date and are kept")
	return nil
}

// unused lists words of the filters that matched nothing, if the filters saw everything.
func (w *planner) unused() []string {
	p := w.plan
	for _, s := range p.subdirs {
		if s.done {
			return nil
		}
	}
	return p.selector.Unused()
}

func (w *planner) filterSubdir(ctx context.Context, s *subdir) error {
	p := w.plan
	p.show("comparing " + s.name)
	c := &comparison{w: w, plan: p, ctx: ctx, in: s, taken: s.shadows(), found: map[string]state.Known{}}
	s.total = map[string]int{}
	index, summaries, err := measure(ctx, p.rewrite(s, false, c.keep))
	if err == nil {
		err = c.flush()
	}
	if err != nil {
		return c.blame(err)
	}
	s.json, s.found, s.packages = index, c.found, c.packages
	slices.SortFunc(s.fetch, func(a, b *item) int { return strings.Compare(a.file, b.file) })
	w.summarize(s, summaries)
	p.count(c.twice, s.name+": %d packages of later channels have the name of an earlier one's and were left out")
	p.count(c.odd, s.name+": %d packages are not called NAME-VERSION-BUILD of their own record")
	if err := w.notHalved(s); err != nil {
		return err
	}
	if err := w.locateAll(ctx, s); err != nil {
		return err
	}
	return w.compareIndex(s)
}

// measure finds out what an index will be, without keeping it.
func measure(ctx context.Context, rw *repodata.Rewrite) (plainIndex, []*repodata.Summary, error) {
	sum := sha256.New()
	h := &sizedHash{h: sum}
	summaries, err := rw.Run(ctx, h)
	return plainIndex{h.n, hex.EncodeToString(sum.Sum(nil))}, summaries, err
}

// summarize notes what the sources have besides records.
func (w *planner) summarize(s *subdir, summaries []*repodata.Summary) {
	p := w.plan
	for i, sum := range summaries {
		if sum.Records == 0 && s.name != conda.Noarch {
			p.warn(fmt.Sprintf("%s/%s: lists no packages", s.sources[i].from.Shown, s.name))
		}
		s.sources[i].summary, s.total[s.sources[i].from.Shown] = sum, sum.Records
		s.removed = append(s.removed, sum.Removed...)
		for _, key := range sum.Dropped {
			p.warn(fmt.Sprintf("%s/%s: %s is not mirrored", s.sources[i].from.Shown, s.name, key))
		}
	}
	slices.Sort(s.removed)
	s.removed = slices.Compact(s.removed)
}

// rewrite makes the index that is published of a subdir, of those records that keep keeps.
func (p *Plan) rewrite(s *subdir, trusted bool, keep func(int, *repodata.Record) (bool, error)) *repodata.Rewrite {
	rw := &repodata.Rewrite{Subdir: s.name, Keep: keep, Trusted: trusted, Sibling: p.sibling}
	for i := range s.sources {
		rw.Sources = append(rw.Sources, s.sources[i].Open)
	}
	return rw
}

// sibling reports whether a channel that an index names by a relative path lies beside the account.
func (p *Plan) sibling(rel string) bool {
	name, ok := strings.CutPrefix(rel, "../")
	if !ok || !isName(name) {
		return false
	}
	ok, err := host.Exists(p.r, path.Join(path.Dir(p.dir), name))
	return ok && err == nil
}

// suspect is from how many packages on losing half of them at once looks like an outage upstream. Losing all always
// does, and so does a channel that has no index any more where others still have one.
const suspect = 100

func (w *planner) notHalved(s *subdir) error {
	p := w.plan
	if s.state == nil {
		return nil
	}
	for _, c := range p.channels {
		old, n := s.state.Records[c.Shown], s.total[c.Shown]
		if old >= suspect && n*2 < old || old > 0 && n == 0 {
			return advice.New("if the channel is meant to shrink so, remove "+path.Join(p.dir, state.Name(s.name)),
				"%s: %s lists %d packages, want at least half of the %d that it had before", s.name, c.Shown, n, old)
		}
	}
	return nil
}
