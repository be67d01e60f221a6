package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"runbook/builtins/internal/choose"
	"runbook/builtins/internal/compress"
	"runbook/runtime/host"
)

const (
	dirMode  = 0o755
	fileMode = 0o644
)

// Apply does what Changes tells. All packages that can be had are fetched and all subdirs are
// published without the others before an error names those.
func (p *Plan) Apply(ctx context.Context, h host.Host) error {
	if err := p.delta.begin(h); err != nil {
		return err
	}
	for _, d := range p.dirs {
		err := h.Mkdir(d, host.Meta{Mode: dirMode, Owner: p.mirror.Owner})
		if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) { // both make it under one name at first
			return choose.Advise("run again", "%s: another run has changed the tree since this one looked at it", d)
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
	if m := p.manifest(); len(m) > 0 {
		fill := func(ctx context.Context, root *host.Root) error { return p.fill(ctx, h, root) }
		if err := h.WriteTree(ctx, p.dir, m, fill); err != nil {
			return p.full(err)
		}
	}
	if p.strangers.files > 0 {
		if err := h.Chown(p.dir, p.mirror.Owner, p.strangers.files); err != nil {
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
	var a *choose.Advised
	hint := ""
	switch {
	case errors.As(err, &a):
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = "make room on the file system of " + p.dir + ", for bytes or for files (df, df -i): what is there stays, and the next run goes on from it"
	case errors.Is(err, syscall.EROFS):
		hint = "the file system of " + p.dir + " is mounted read-only: see why (dmesg tells), mount it for writing, and run again"
	case errors.Is(err, fs.ErrPermission):
		hint = "run as the owner of " + p.dir + ", or as root with owner=; a drive that keeps no modes, such as FAT, must be mounted with fmask=133,dmask=022"
	case errors.Is(err, syscall.EIO):
		hint = "the disk of " + p.dir + " has errors: dmesg tells; what is there stays, and the next run goes on from it"
	}
	if hint == "" {
		return err
	}
	return &choose.Advised{Err: err, Hint: hint}
}

// manifest lists what Apply makes in the tree. Its contents can be read before they are there.
func (p *Plan) manifest() (m host.Manifest) {
	for _, s := range p.subdirs {
		if s.fresh && s.writes() {
			m = append(m, host.Entry{Name: s.name, Meta: p.meta(fs.ModeDir|dirMode, 0)})
		}
		for _, it := range s.fetch {
			if it.failed == nil {
				m = append(m, p.entry(it))
			}
		}
		if s.publish {
			if s.sharded {
				m = append(m, host.Entry{Name: path.Join(s.name, shardsDir), Meta: p.meta(fs.ModeDir|dirMode, 0)})
			}
			m = append(m, p.formEntries(s)...)
		}
	}
	return append(m, p.stateEntries()...)
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

func (p *Plan) entry(it *item) host.Entry {
	e := host.Entry{Name: it.name(), Meta: p.meta(fileMode, it.size)}
	at, err := it.where()
	if err == nil && path.IsAbs(at) {
		if c, err := p.r.Content(at); err == nil {
			e.Content = c
			return e
		}
	}
	e.Content.Open = func() (host.File, error) { return it.foretaste(at) }
	return e
}

// foretaste fetches a package of a server into memory, for a later step of a dry run that reads it.
func (it *item) foretaste(at string) (host.File, error) {
	const most = 64 << 20
	if it.size > most {
		return nil, host.ErrUnknown
	}
	src, err := it.from().from.fetch(context.Background(), at, 0, "", false)
	if err != nil {
		return nil, err
	}
	data, err := limited(src, most)
	if err != nil {
		return nil, err
	}
	d := newDigest(it.sum.kind, false)
	d.Write(data)
	if text := d.differs(it); text != "" {
		return nil, fmt.Errorf("%s: %s", it.name(), text)
	}
	return host.Bytes(data).Reader()
}

func (p *Plan) formEntries(s *subdir) (m host.Manifest) {
	for _, f := range p.wantedForms() {
		e := host.Entry{Name: path.Join(s.name, f), Meta: p.meta(fileMode, -1), Derived: true}
		var pack func(io.Writer) (io.WriteCloser, error)
		switch path.Ext(f) {
		case ".json":
			e.Size, e.Sum, e.Derived = s.json.size, s.json.sum, false
			pack = func(w io.Writer) (io.WriteCloser, error) { return nopCloser{w}, nil }
		case ".bz2":
			pack = compress.NewBzip2
		default:
			pack = compress.NewZstd
		}
		if f != shardsFile {
			e.Content.Open = func() (host.File, error) { return p.predicted(s, pack) }
		}
		m = append(m, e)
	}
	return m
}

type nopCloser struct{ io.Writer }

// Close does nothing.
func (nopCloser) Close() error { return nil }

// predicted is a form of the index before it is published.
func (p *Plan) predicted(s *subdir, pack func(io.Writer) (io.WriteCloser, error)) (host.File, error) {
	var b bytes.Buffer
	w, err := pack(&b)
	if err != nil {
		return nil, err
	}
	if _, err := p.rewrite(s, true, p.keeps(s)).Run(context.Background(), w); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return host.Bytes(b.Bytes()).Reader()
}

// stateEntries are the files that remember.
func (p *Plan) stateEntries() (m host.Manifest) {
	for _, s := range p.subdirs {
		if !s.writes() {
			continue
		}
		if len(m) == 0 && !p.remembered {
			m = append(m, host.Entry{Name: stateDir, Meta: p.meta(fs.ModeDir|dirMode, 0)})
		}
		for _, name := range []string{stateName(s.name), manifestName(s.name)} {
			m = append(m, host.Entry{Name: name, Meta: p.meta(fileMode, -1), Derived: true})
		}
	}
	return m
}

const partSuffix = ".part"

// partial is the name of a file while it is written.
func partial(name string) string {
	return path.Join(path.Dir(name), "."+strings.TrimPrefix(path.Base(name), ".")+partSuffix)
}
