package mirror

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/choose"
	"runbook/builtins/internal/conda"
	"runbook/builtins/internal/mirror/publish"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
)

// A delta is a channel for another tree: whole indexes, but only those packages that the other tree, the base,
// lacks. Another Mirror makes it, whose source is the tree. The directory remembers what its base is, so that a
// run that was cut short, or one more run, adds to it.
type delta struct {
	mirror *Mirror
	plan   *Plan // if the tree is already as it will be
	dirs   []string
	bases  []baseFile // to be written before the tree changes
	report Report
}

// A baseFile is the state that a delta's subdir begins from.
type baseFile struct {
	name string
	text []byte
}

func baseName(subdir string) string { return path.Join(state.Dir, subdir+".base") }

// planDelta finds the base, and what the delta lacks as far as that can be known before the tree is changed.
func (w *planner) planDelta(ctx context.Context) error {
	p := w.plan
	m := p.mirror
	if m.Delta == "" {
		return nil
	}
	if err := apart(m.Delta, p.dir); err != nil {
		return err
	}
	d := &delta{mirror: &Mirror{
		Config: choose.Config{Channels: []string{p.dir}, Platforms: []string{conda.Noarch}}, dir: m.Delta, Owner: m.Owner, NoBzip2: m.NoBzip2, Shards: m.Shards,
		Progress: m.Progress, bases: map[string]*state.State{},
	}}
	for _, s := range p.subdirs {
		if err := w.begin(d, s.name); err != nil {
			return err
		}
	}
	var err error
	if d.dirs, err = host.MissingDirs(p.r, path.Join(m.Delta, state.Dir)); err != nil {
		return err
	}
	if len(p.Changes()) == 0 && len(d.dirs) == 0 {
		if d.plan, err = d.mirror.Plan(ctx, p.r); err != nil {
			return fmt.Errorf("delta: %w", err)
		}
	}
	p.delta = d
	return nil
}

// begin has the delta hold a subdir, from its base on.
func (w *planner) begin(d *delta, subdir string) error {
	text, err := w.base(subdir, d)
	if err != nil {
		return err
	}
	base := state.Parse(text, subdir)
	if base == nil {
		return advice.New("give since= the state directory of the tree that the delta is for, ACCOUNT/"+state.Dir,
			"delta: the base of %s is damaged or no state", subdir)
	}
	d.mirror.bases[subdir] = base
	if subdir != conda.Noarch {
		d.mirror.Config.Platforms = append(d.mirror.Config.Platforms, subdir)
	}
	return nil
}

// apart refuses directories of which one holds the other.
func apart(a, b string) error {
	if !path.IsAbs(a) {
		return fmt.Errorf("delta: got %q, want an absolute path", a)
	}
	if a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/") {
		return fmt.Errorf("delta: got %s, want a directory apart from %s", a, b)
	}
	return nil
}

// base returns the state that the delta begins from: the one that the caller names, or else the one that the directory
// remembers, or else what the tree has now, which the directory is then to remember.
func (w *planner) base(subdir string, d *delta) ([]byte, error) {
	p := w.plan
	m := p.mirror
	if m.Since != "" {
		for _, dir := range []string{m.Since, path.Join(m.Since, state.Dir)} {
			if text, err := host.ReadFile(p.r, path.Join(dir, subdir+".state")); err == nil {
				return text, nil
			}
		}
		if _, err := p.r.ReadDir(m.Since); err != nil {
			return nil, fmt.Errorf("since: %w", err)
		}
		return noState(subdir), nil
	}
	text, err := host.ReadFile(p.r, path.Join(m.Delta, baseName(subdir)))
	if err == nil {
		return text, nil
	}
	if err := unlessAbsent(err); err != nil {
		return nil, err
	}
	text, err = host.ReadFile(p.r, path.Join(p.dir, state.Name(subdir)))
	if err != nil || state.Parse(text, subdir) == nil {
		text = noState(subdir)
	}
	d.bases = append(d.bases, baseFile{path.Join(m.Delta, baseName(subdir)), text})
	return text, nil
}

// noState is the text of a state that knows of nothing.
func noState(subdir string) []byte {
	var b bytes.Buffer
	if err := state.NewWriter(&b).End(state.Header{Subdir: subdir, Interim: true}); err != nil {
		panic("mirror: " + err.Error()) // a header always has a JSON form
	}
	return b.Bytes()
}

func (d *delta) changes() (changes []host.Change) {
	switch {
	case d == nil:
		return nil
	case d.plan == nil:
		return []host.Change{{What: d.mirror.dir, To: "what changes, and the whole index"}}
	}
	for _, c := range d.plan.Changes() {
		c.What = "delta " + c.What
		changes = append(changes, c)
	}
	for _, b := range d.bases {
		changes = append(changes, host.Change{What: b.name, To: "what the delta begins from"})
	}
	return changes
}

// begin has the directory remember its base, before the tree loses it.
func (d *delta) begin(h host.Host) error {
	if d == nil {
		return nil
	}
	o := d.mirror.Owner
	for _, dir := range d.dirs {
		if err := h.Mkdir(dir, host.Meta{Mode: publish.DirMode, Owner: o}); err != nil {
			return err
		}
	}
	for _, b := range d.bases {
		if err := h.WriteFile(b.name, host.Bytes(b.text),
			host.Meta{Mode: fs.FileMode(publish.FileMode), Owner: o}); err != nil {
			return err
		}
	}
	return nil
}

// apply fills the directory from the tree.
func (d *delta) apply(ctx context.Context, h host.Host, raw func(host.Reader) host.Reader) (err error) {
	if d == nil {
		return nil
	}
	plan := d.plan
	if plan == nil {
		var r host.Reader = h
		if raw != nil {
			r = raw(h)
		}
		if plan, err = d.mirror.Plan(ctx, r); err != nil {
			return fmt.Errorf("delta: %w", err)
		}
	}
	d.report = plan.Report
	if len(plan.Changes()) == 0 {
		return nil
	}
	return plan.Apply(ctx, h)
}

// elsewhere reports whether the tree that a delta is for has this very file.
func (c *comparison) elsewhere(it *item) bool {
	base := c.plan.mirror.bases[c.in.name]
	k, ok := base.Find(it.file)
	return ok && it.sum.Kind != state.None && k.Sum == it.sum
}
