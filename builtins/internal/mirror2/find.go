package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"runbook/builtins/internal/choose"
	"runbook/builtins/internal/repodata2"
	"runbook/runtime/host"
)

// findIndexes opens the index of each subdir in each channel, and finds the subdirs in which nothing has changed. A
// server's list of subdirs may be longer than the truth: those that no channel has are left out.
func (p *Plan) findIndexes(ctx context.Context) error {
	for _, s := range p.subdirs {
		s.state = p.readState(s.name)
	}
	for i, c := range p.channels {
		p.tell("asking " + c.shown)
		if err := p.findAll(ctx, i, c); err != nil {
			return err
		}
	}
	var there []*subdir
	for _, s := range p.subdirs {
		if len(s.sources) == 0 {
			if makes, err := p.makesEmpty(s); !makes || err != nil {
				if err != nil {
					return err
				}
				continue
			}
		}
		there = append(there, s)
		if err := p.settle(ctx, s); err != nil {
			return err
		}
	}
	p.subdirs = there
	return nil
}

// makesEmpty reports whether a subdir that no channel has is made all the same: without noarch clients refuse the
// whole channel. One that is there is left alone.
func (p *Plan) makesEmpty(s *subdir) (bool, error) {
	if s.name != noarch {
		return false, nil
	}
	there, err := host.Exists(p.r, path.Join(p.dir, s.name, indexFile))
	if there && (s.state == nil || s.state.Packages > 0) {
		p.warn("noarch is in no channel: the one that is there stays as it is")
		return false, err
	}
	p.warn("noarch is in no channel: an empty one is kept for clients, which want one")
	return true, err
}

// findAll asks one channel for its indexes: a server for many at once.
func (p *Plan) findAll(ctx context.Context, i int, c *channel) error {
	found := make([]*index, len(p.subdirs))
	errs := make([]error, len(p.subdirs))
	var done sync.WaitGroup
	slots := make(chan struct{}, 8)
	for n, s := range p.subdirs {
		if !c.has[s.name] {
			continue
		}
		have := s.tag(c)
		if c.local {
			found[n], errs[n] = c.index(ctx, s.name, have)
			continue
		}
		slots <- struct{}{}
		done.Go(func() {
			found[n], errs[n] = c.index(ctx, s.name, have)
			<-slots
		})
	}
	done.Wait()
	any := false
	for n, s := range p.subdirs {
		switch err := errs[n]; {
		case errors.Is(err, fs.ErrNotExist) || found[n] == nil && err == nil:
		case err != nil:
			return sourceError(c, s.name, err)
		default:
			any = true
			s.sources = append(s.sources, sourced{from: c, n: i, index: found[n]})
		}
	}
	if !any && !c.local {
		return choose.Advise("see whether the address is that of a channel, which has such directories", "channel %s: has none of %s", c.shown, strings.Join(p.names(), ", "))
	}
	return nil
}

func (p *Plan) names() (names []string) {
	for _, s := range p.subdirs {
		names = append(names, s.name)
	}
	return names
}

// tag returns what the index of a channel was when the state was written.
func (s *subdir) tag(c *channel) string {
	if s.state == nil || s.state.Fingerprint == "" {
		return ""
	}
	return s.state.Tags[c.shown]
}

func (p *Plan) readState(subdir string) *state {
	text, err := host.ReadFile(p.r, path.Join(p.dir, stateName(subdir)))
	if err != nil {
		return nil // then everything is hashed, which is never wrong
	}
	return parseState(text, subdir)
}

// settle finds out whether the subdir is as its state says, and that all there is to do.
func (p *Plan) settle(ctx context.Context, s *subdir) error {
	s.print = p.fingerprint(s)
	s.done = s.state != nil && s.state.Fingerprint == s.print && !p.mirror.Full
	for i := range s.sources {
		s.done = s.done && s.sources[i].same
	}
	if s.done {
		intact, err := p.intact(s)
		if err != nil {
			return err
		}
		s.done = intact
	}
	if s.done {
		s.packages, s.kept = s.state.Packages, s.state.Packages
		s.total, s.removed, s.bytes = s.state.Records, s.state.Removed, s.state.Bytes
		return nil
	}
	return p.reopen(ctx, s)
}

// reopen fetches the texts that were thought not to be needed.
func (p *Plan) reopen(ctx context.Context, s *subdir) error {
	for i := range s.sources {
		x := &s.sources[i]
		if !x.same {
			continue
		}
		fresh, err := x.from.index(ctx, s.name, "")
		if err != nil {
			return sourceError(x.from, s.name, err)
		}
		x.index = fresh
	}
	return nil
}

// fingerprint covers all that decides what a subdir holds, but for the texts of the indexes.
func (p *Plan) fingerprint(s *subdir) string {
	h := sha256.New()
	m := p.mirror
	fmt.Fprintln(h, "runbook mirror", 1, p.selector.Fingerprint(), s.name, m.NoBzip2, m.Shards, m.Both)
	for _, x := range s.sources {
		fmt.Fprintf(h, "%q\n", x.from.shown)
	}
	for _, c := range m.Config.Channels {
		fmt.Fprintf(h, "%q\n", m.show(c))
	}
	if base := m.bases[s.name]; base != nil {
		fmt.Fprintln(h, "without", base.digest())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// intact looks whether every file of the state is there as it was.
func (p *Plan) intact(s *subdir) (bool, error) {
	dir := path.Join(p.dir, s.name)
	if ok, err := p.formsIntact(s); !ok || err != nil {
		return ok, err
	}
	const many = 16 << 10 // names at once
	names, want := make([]string, 0, many), make([]known, 0, many)
	for off, more := 0, true; more; {
		names, want = names[:0], want[:0]
		for len(names) < many {
			name, k, behind, ok := s.state.next(off)
			if more = ok; !ok {
				break
			}
			names, want, off = append(names, name), append(want, k), behind
		}
		for i, m := range p.r.LstatAll(dir, names) {
			if m.Err != nil || !want[i].knows(m) {
				return false, unlessAbsent(m.Err)
			}
			p.owned(m.Meta)
		}
	}
	return true, nil
}

func unlessAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir) {
		return nil
	}
	return err
}

func (p *Plan) formsIntact(s *subdir) (bool, error) {
	names := make([]string, len(s.state.Forms))
	for i, f := range s.state.Forms {
		names[i] = f.Name
	}
	for i, m := range p.r.LstatAll(path.Join(p.dir, s.name), names) {
		f := s.state.Forms[i]
		if m.Err != nil || !(known{size: f.Size, mtime: f.Mtime, ino: f.Ino}).knows(m) {
			return false, unlessAbsent(m.Err)
		}
		p.owned(m.Meta)
	}
	return len(names) > 0, nil
}

// filter has every subdir that is not done read, filtered and compared with the disk.
func (p *Plan) filter(ctx context.Context) error {
	for _, s := range p.subdirs {
		if !s.done {
			if err := p.filterSubdir(ctx, s); err != nil {
				return err
			}
		}
		p.tally(s)
	}
	p.warn(p.unused()...)
	p.count(p.selector.Undated(), "newer_than: %d packages have no date and are kept")
	return nil
}

// unused lists words of the filters that matched nothing, if the filters saw everything.
func (p *Plan) unused() []string {
	for _, s := range p.subdirs {
		if s.done {
			return nil
		}
	}
	return p.selector.Unused()
}

func (p *Plan) filterSubdir(ctx context.Context, s *subdir) error {
	p.tell("comparing " + s.name)
	c := &comparison{plan: p, ctx: ctx, in: s, taken: s.shadows(), found: map[string]known{}}
	s.total = make([]int, len(s.sources))
	sum := sha256.New()
	h := &sizedHash{h: sum}
	summaries, err := p.rewrite(s, false, c.keep).Run(ctx, h)
	if err == nil {
		err = c.flush()
	}
	if err != nil {
		return c.blame(err)
	}
	s.json = plainIndex{h.n, hex.EncodeToString(sum.Sum(nil))}
	s.found, s.packages = c.found, c.packages
	slices.SortFunc(s.fetch, func(a, b *item) int { return a.seq - b.seq })
	removed := map[string]bool{}
	for i, sum := range summaries {
		s.sources[i].summary, s.total[i] = sum, sum.Records
		for _, f := range sum.Removed {
			if !removed[f] {
				removed[f] = true
				s.removed = append(s.removed, f)
			}
		}
		for _, key := range sum.Dropped {
			p.warn(fmt.Sprintf("%s/%s: %s is not mirrored", s.sources[i].from.shown, s.name, key))
		}
	}
	p.count(c.twice, s.name+": %d packages of later channels have the name of an earlier one's and were left out")
	p.count(c.odd, s.name+": %d packages are not called NAME-VERSION-BUILD of their own record")
	if err := p.notHalved(s); err != nil {
		return err
	}
	if err := p.locateAll(s); err != nil {
		return err
	}
	return p.compareIndex(s)
}

// rewrite makes the index that is published of a subdir, of those records that keep keeps.
func (p *Plan) rewrite(s *subdir, trusted bool, keep func(int, *repodata.Record) (bool, error)) *repodata.Rewrite {
	rw := &repodata.Rewrite{Subdir: s.name, Keep: keep, Trusted: trusted, Sibling: p.sibling}
	for i := range s.sources {
		rw.Sources = append(rw.Sources, s.sources[i].open)
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

// suspect is from how many packages on losing half of them at once looks like an outage upstream.
const suspect = 100

func (p *Plan) notHalved(s *subdir) error {
	if s.state == nil || s.state.Fingerprint != s.print || len(s.state.Records) != len(s.total) {
		return nil
	}
	for i, old := range s.state.Records {
		if old >= suspect && s.total[i]*2 < old {
			return choose.Advise("if the channel is meant to shrink so, remove "+path.Join(p.dir, stateName(s.name)),
				"%s: %s lists %d packages, want at least half of the %d that it had before", s.name, s.sources[i].from.shown, s.total[i], old)
		}
	}
	return nil
}
