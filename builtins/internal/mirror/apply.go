package mirror

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"syscall"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/mirror/publish"
	"runbook/runtime/host"
)

// Apply does what Changes tells. All packages that can be had are fetched and all subdirs are
// published without the others before an error names those.
func (p *Plan) Apply(ctx context.Context, h host.Host) error {
	if err := p.delta.begin(h); err != nil {
		return err
	}
	for _, d := range p.dirs {
		err := h.Mkdir(d, host.Meta{Mode: publish.DirMode, Owner: p.mirror.Owner})
		if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) { // both make it under one name at first
			return advice.New("run again", "%s: another run has changed the tree since this one looked at it", d)
		}
		if err != nil {
			return err
		}
	}
	for _, f := range p.stale {
		if err := h.Remove(f, 1); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(p.subdirs, (*subdir).writes) {
		fill := func(ctx context.Context, root *host.Root) error { return p.fill(ctx, h, root) }
		if err := h.WriteTree(ctx, p.dir, p.manifest(), fill); err != nil {
			return p.full(err)
		}
	}
	if p.foreign > 0 {
		if err := h.Chown(p.dir, p.mirror.Owner, p.foreign); err != nil {
			return err
		}
	}
	if err := p.failure(); err != nil {
		return err
	}
	if err := p.remove(h); err != nil {
		return err
	}
	return p.delta.apply(ctx, h, p.mirror.Raw)
}

// full says what to do about a tree that cannot be written to.
func (p *Plan) full(err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = "make room on the file system of " + p.dir +
			", for bytes or for files (df, df -i): what is there stays, and the next run goes on from it"
	case errors.Is(err, syscall.EROFS):
		hint = "the file system of " + p.dir +
			" is mounted read-only: see why (dmesg tells), mount it for writing, and run again"
	case errors.Is(err, fs.ErrPermission):
		hint = "run as the owner of " + p.dir +
			", or as root with owner=; a drive that keeps no modes, such as FAT, must be mounted with fmask=133,dmask=022"
	case errors.Is(err, syscall.EIO):
		hint = "the disk of " + p.dir + " has errors: dmesg tells; what is there stays, and the next run goes on from it"
	}
	return advice.On(err, hint)
}

// writes reports whether anything is written for a subdir.
func (s *subdir) writes() bool {
	for _, it := range s.fetch {
		if it.failed == nil {
			return true
		}
	}
	return s.publish || s.remembers()
}
