package mirror

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"runbook/builtins/internal/compress"
	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/mirror/publish"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
)

// manifest lists what Apply makes in the tree, sorted by name. Its contents can be read before they are there. Of
// packages, which are many, no entry is kept.
func (p *Plan) manifest() host.Entries {
	all := p.stateEntries()
	for _, s := range p.subdirs {
		if s.fresh && s.writes() {
			all = append(all, host.Entry{Name: s.name, Meta: p.meta(fs.ModeDir|publish.DirMode, 0)})
		}
		if s.publish {
			if s.sharded {
				name := path.Join(s.name, publish.ShardsDir)
				all = append(all, host.Entry{Name: name, Meta: p.meta(fs.ModeDir|publish.DirMode, 0)})
			}
			all = append(all, p.formEntries(s)...)
		}
	}
	if p.data != nil {
		all = append(all, p.dataEntry())
	}
	slices.SortFunc(all, func(a, b host.Entry) int { return strings.Compare(a.Name, b.Name) })
	return func(yield func(host.Entry) bool) { p.merge(all, yield) }
}

// merge yields the entries of packages and others, which are sorted, in the order of their names.
func (p *Plan) merge(others []host.Entry, yield func(host.Entry) bool) {
	for _, s := range p.subdirs {
		for _, it := range s.fetch {
			if it.failed != nil {
				continue
			}
			name := it.name()
			n := 0
			for n < len(others) && others[n].Name < name {
				n++
			}
			if !yieldAll(others[:n], yield) || !yield(p.entry(it)) {
				return
			}
			others = others[n:]
		}
	}
	yieldAll(others, yield)
}

func yieldAll(all []host.Entry, yield func(host.Entry) bool) bool {
	for _, e := range all {
		if !yield(e) {
			return false
		}
	}
	return true
}

func (p *Plan) entry(it *item) host.Entry {
	return host.Entry{Name: it.name(), Meta: p.meta(publish.FileMode, it.size),
		Foresee: func() host.Content { return p.foresee(it) }}
}

// foresee is what a package will hold.
func (p *Plan) foresee(it *item) host.Content {
	at, err := it.where()
	if err == nil && path.IsAbs(at) {
		if c, err := p.r.Content(at); err == nil {
			return c
		}
	}
	return host.Content{Open: func() (host.File, error) { return it.foretaste(at) }}
}

// foretaste fetches a package of a server into memory, for a later step of a dry run that reads it.
func (it *item) foretaste(at string) (host.File, error) {
	const most = 64 << 20
	if it.size > most {
		return nil, host.ErrUnknown
	}
	src, err := it.from().from.Fetch(context.Background(), at, 0, "", false)
	if err != nil {
		return nil, err
	}
	data, err := channel.ReadLimited(src, most)
	if err != nil {
		return nil, err
	}
	d := state.NewDigest(it.sum.Kind, false)
	d.Write(data)
	if text := d.Differs(it.sum, nil); text != "" {
		return nil, fmt.Errorf("%s: %s", it.name(), text)
	}
	return host.Bytes(data).Reader()
}

func (p *Plan) formEntries(s *subdir) (m host.Manifest) {
	for _, f := range p.wantedForms() {
		e := host.Entry{Name: path.Join(s.name, f), Meta: p.meta(publish.FileMode, -1), Derived: true}
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
		if f != channel.ShardsFile {
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
			m = append(m, host.Entry{Name: state.Dir, Meta: p.meta(fs.ModeDir|publish.DirMode, 0)})
		}
		for _, name := range []string{state.Name(s.name), state.ManifestName(s.name)} {
			m = append(m, host.Entry{Name: name, Meta: p.meta(publish.FileMode, -1), Derived: true})
		}
	}
	return m
}
