package mirror

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/mirror/state"
	"runbook/builtins/internal/repodata"
	"runbook/runtime/host"
)

// A pruned file is a package of the tree that is to be removed.
type pruned struct {
	file string
	size int64
}

// names is a set of files, by hash. Two names of one hash leave a file where it is.
type names []uint64

func (n names) has(file string) bool {
	_, ok := slices.BinarySearch(n, state.HashOf(file))
	return ok
}

// findPrunable lists what nobody lists any more. A source that has lost many of its packages is more likely ill than
// tidy: then nothing is removed.
func (w *planner) findPrunable(ctx context.Context) error {
	p := w.plan
	if !p.mirror.Prune {
		return nil
	}
	for i, s := range p.subdirs {
		if err := w.pruneSubdir(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		t := &p.Report.Subdirs[i]
		t.Prune = len(s.prune)
		for _, f := range s.prune {
			t.PruneBytes += f.size
		}
		p.Report.Prune += t.Prune
		p.Report.PruneBytes += t.PruneBytes
	}
	return nil
}

func (w *planner) pruneSubdir(ctx context.Context, s *subdir) error {
	p := w.plan
	dir := path.Join(p.dir, s.name)
	files, err := p.r.ReadDir(dir)
	if err = unlessAbsent(err); err != nil || len(files) == 0 {
		return err
	}
	files = slices.DeleteFunc(files, func(f string) bool { return repodata.CheckFile(f) != nil })
	kept, source, err := w.listed(ctx, s, files)
	if err != nil {
		return err
	}
	if !p.mirror.PruneRemoved {
		kept = append(kept, source.removed...)
		slices.Sort(kept)
	}
	var old []string
	lost := 0
	for _, f := range files {
		if kept.has(f) {
			continue
		}
		old = append(old, f)
		if !source.all.has(f) && !source.removed.has(f) {
			lost++
		}
	}
	if most := p.mirror.MaxLoss; lost*100 > most*len(files) {
		p.refusals = append(p.refusals,
			advice.New(fmt.Sprintf("see whether the channel is as it should be; to remove them all the same, give max_loss=%d",
				(lost*100+len(files)-1)/len(files)),
				"%s: %d of %d packages have vanished from the source, more than %d percent: nothing is removed", s.name, lost,
				len(files), most))
		return nil
	}
	for i, m := range p.r.LstatAll(dir, old) {
		if m.Err == nil && m.Mode.IsRegular() {
			s.prune = append(s.prune, pruned{old[i], m.Size})
		}
	}
	return nil
}

// What a source lists, and what it calls removed.
type sourceNames struct{ all, removed names }

// listed returns which of a subdir's files the new index lists, and what its sources do.
func (w *planner) listed(ctx context.Context, s *subdir, files []string) (kept names, source sourceNames, err error) {
	p := w.plan
	for _, f := range s.removed {
		source.removed = append(source.removed, state.HashOf(f))
	}
	slices.Sort(source.removed)
	if s.done && !slices.ContainsFunc(files, func(f string) bool { _, ok := s.state.Find(f); return !ok }) {
		for _, f := range files {
			kept = append(kept, state.HashOf(f))
		}
		slices.Sort(kept)
		return kept, sourceNames{kept, source.removed}, nil
	}
	if s.done {
		if err := w.reopen(ctx, s); err != nil {
			return nil, source, err
		}
	}
	for i := range s.sources {
		err := s.sources[i].scan(func(r *repodata.Record) error {
			h := state.HashOf(r.File)
			source.all = append(source.all, h)
			if p.selector.Keeps(s.name, s.sources[i].n, r) {
				kept = append(kept, h)
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, source, s.indexError(&s.sources[i], err)
		}
	}
	slices.Sort(kept)
	slices.Sort(source.all)
	return kept, source, nil
}

// remove takes the files away, once the index that does not list them is published.
func (p *Plan) remove(h host.Host) error {
	for _, s := range p.subdirs {
		for _, f := range s.prune {
			if err := h.Remove(path.Join(p.dir, s.name, f.file), 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// refused joins the errors that do not come from a package.
func (p *Plan) refused() error { return errors.Join(p.refusals...) }
