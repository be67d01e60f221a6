package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"runbook/builtins/internal/mirror/state"
)

// compareState finds out whether the subdir is as its state says, and that all there is to do.
func (w *planner) compareState(ctx context.Context, s *subdir) error {
	p := w.plan
	s.print = w.fingerprint(s)
	s.done = s.state != nil && s.state.Fingerprint == s.print && !p.mirror.Full
	for i := range s.sources {
		s.done = s.done && s.sources[i].Same
	}
	if s.done {
		intact, err := w.intact(s)
		if err != nil {
			return err
		}
		s.done = intact
	}
	if s.done {
		s.packages, s.kept = s.state.Packages, s.state.Packages
		s.total, s.removed = s.state.Records, s.state.Removed
		return nil
	}
	return w.reopen(ctx, s)
}

// reopen fetches the texts that were thought not to be needed.
func (w *planner) reopen(ctx context.Context, s *subdir) error {
	for i := range s.sources {
		x := &s.sources[i]
		if !x.Same {
			continue
		}
		fresh, err := x.from.Index(ctx, s.name, "")
		if err != nil {
			return sourceError(x.from, s.name, err)
		}
		x.Index = fresh
	}
	return nil
}

// fingerprint covers all that decides what a subdir holds, but for the texts of the indexes.
func (w *planner) fingerprint(s *subdir) string {
	p := w.plan
	h := sha256.New()
	m := p.mirror
	fmt.Fprintln(h, "runbook mirror", 1, p.selector.Fingerprint(), s.name, m.NoBzip2, m.Shards, m.Both)
	for _, x := range s.sources {
		fmt.Fprintf(h, "%q\n", x.from.Shown)
	}
	for _, c := range m.Config.Channels {
		fmt.Fprintf(h, "%q\n", m.show(c))
	}
	if base := m.bases[s.name]; base != nil {
		fmt.Fprintln(h, "without", base.Digest())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// intact looks whether every file of the state is there as it was.
func (w *planner) intact(s *subdir) (bool, error) {
	p := w.plan
	dir := path.Join(p.dir, s.name)
	if ok, err := w.formsIntact(s); !ok || err != nil {
		return ok, err
	}
	const many = 16 << 10 // names at once
	names, want := make([]string, 0, many), make([]state.Known, 0, many)
	for off, more := 0, true; more; {
		names, want = names[:0], want[:0]
		for len(names) < many {
			name, k, behind, ok := s.state.Next(off)
			if more = ok; !ok {
				break
			}
			names, want, off = append(names, name), append(want, k), behind
		}
		for i, m := range p.r.LstatAll(dir, names) {
			if m.Err != nil || !want[i].Knows(m) {
				return false, unlessAbsent(m.Err)
			}
			if !w.owned(m) {
				return false, nil
			}
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

func (w *planner) formsIntact(s *subdir) (bool, error) {
	p := w.plan
	names := make([]string, len(s.state.Forms))
	for i, f := range s.state.Forms {
		names[i] = f.Name
	}
	for i, m := range p.r.LstatAll(path.Join(p.dir, s.name), names) {
		f := s.state.Forms[i]
		if m.Err != nil || !f.Knows(m) {
			return false, unlessAbsent(m.Err)
		}
		w.owned(m)
	}
	return len(names) > 0, nil
}
