package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/repodata"
	"runbook/runtime/host"
)

// locateAll finds out which packages their source surely cannot give, and plans an index without them.
func (w *planner) locateAll(ctx context.Context, s *subdir) (err error) {
	p := w.plan
	for _, it := range s.fetch {
		if err := w.locate(it); err != nil {
			return err
		}
		it.foreseen = it.failed != nil
	}
	if s.failures() > 0 {
		s.json, _, err = measure(ctx, p.rewrite(s, true, p.keeps(s)))
	}
	return err
}

func (w *planner) locate(it *item) error {
	at, err := it.where()
	if err != nil {
		it.failed = err
		return nil
	}
	size, err := it.from().from.Look(at)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
		it.failed = errors.New("is listed and missing at the source")
		if errors.Is(err, fs.ErrPermission) {
			it.failed = errors.New("may not be read at the source")
		}
	case errors.Is(err, host.ErrUnknown):
	case err != nil:
		return fmt.Errorf("%s: %w", it.name(), err)
	case size >= 0 && it.size < 0:
		it.size = size
	case size >= 0 && size != it.size:
		it.failed = fmt.Errorf("got %d bytes at the source, want %d", size, it.size)
	}
	return nil
}

// where returns the place of an item's file.
func (it *item) where() (string, error) {
	x := it.from()
	base := ""
	if x.summary != nil {
		base = x.summary.BaseURL
	}
	return x.from.Locate(it.in.name, base, it.file)
}

// keeps decides again as comparison.keep did, and leaves out what could not be had.
func (p *Plan) keeps(s *subdir) func(int, *repodata.Record) (bool, error) {
	taken := s.shadows()
	bad := map[string]bool{}
	for _, it := range s.fetch {
		if it.failed != nil {
			bad[it.file] = true
		}
	}
	return func(source int, r *repodata.Record) (bool, error) {
		return !taken.shadowed(r) && p.selector.Keeps(s.name, s.sources[source].n, r) && !bad[r.File], nil
	}
}

// wantedForms are the files that a subdir's index consists of, the plain one last.
func (p *Plan) wantedForms() []string {
	forms := []string{channel.IndexFile + ".bz2", channel.IndexFile + ".zst", channel.IndexFile}
	if p.mirror.NoBzip2 {
		forms = forms[1:]
	}
	if p.mirror.Shards {
		forms = slices.Insert(forms, len(forms)-1, channel.ShardsFile)
	}
	return forms
}

// compareIndex finds out whether the published index is the one that it should be, in every form.
func (w *planner) compareIndex(s *subdir) error {
	p := w.plan
	wanted := p.wantedForms()
	seen := p.r.LstatAll(path.Join(p.dir, s.name), wanted)
	for i, m := range seen {
		if err := unlessAbsent(m.Err); err != nil {
			return err
		}
		if m.Err == nil {
			w.owned(m)
		}
		s.bare = m.Err != nil // of the last, the plain one
		right, err := w.formHolds(s, wanted[i], m)
		if err != nil {
			return err
		}
		if !right {
			s.forms = append(s.forms, wanted[i])
		}
	}
	s.publish = len(s.forms) > 0
	return nil
}

// formHolds reports whether a form of the index that is there holds what s.json is.
func (w *planner) formHolds(s *subdir, name string, m host.Seen) (bool, error) {
	p := w.plan
	if m.Err != nil || !m.Mode.IsRegular() || name == channel.IndexFile && m.Size != s.json.size {
		return false, nil
	}
	if s.state != nil && s.state.JSON == s.json.sum && !p.mirror.Full {
		for _, f := range s.state.Forms {
			if f.Name == name && f.Knows(m) {
				return true, nil
			}
		}
	}
	if name == channel.ShardsFile { // too costly to compare
		return false, nil
	}
	c, err := p.r.Content(path.Join(p.dir, s.name, name))
	if err != nil {
		return false, err
	}
	f, err := c.Reader()
	if err != nil {
		return false, err
	}
	text, err := channel.Unpacked(f, name)
	if err != nil {
		return false, nil
	}
	defer text.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(text, s.json.size+1)); err != nil {
		return false, nil // damaged: it will be replaced
	}
	return hex.EncodeToString(h.Sum(nil)) == s.json.sum, nil
}
