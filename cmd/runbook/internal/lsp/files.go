package lsp

import (
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"runbook/runtime"
)

// fileOf returns the name of the file that a URI means; of one that is nowhere yet its last part alone.
func fileOf(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return path.Base(uri)
	case u.Scheme == "file":
		return filepath.Clean(u.Path)
	}
	return path.Base(u.Path + u.Opaque)
}

func uriOf(file string) string { return (&url.URL{Scheme: "file", Path: file}).String() }

// A shelf is what can be seen from one file: what lies beside it, with the texts of the editor in the place of files.
type shelf struct {
	Book
	rt   *runtime.Runtime // that knows what the file can call
	seen map[string]*document
	utf8 bool
}

// shelf opens the files around a text. The caller closes it.
func (s *server) shelf(uri string) (*shelf, error) {
	file := fileOf(uri)
	b, err := s.Open(file)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	below := func(dir string) map[string]string {
		texts := map[string]string{}
		for u, d := range s.docs {
			name, err := filepath.Rel(dir, fileOf(u))
			if u == uri && dir == b.Top {
				texts[b.Name] = d.text
			} else if err == nil && dir != "" && filepath.IsLocal(name) {
				texts[filepath.ToSlash(name)] = d.text
			}
		}
		return texts
	}
	b.Dir = runtime.Overlaid(b.Dir, below(b.Top))
	if b.Site != nil && b.Site.FS != nil {
		b.Site.FS = runtime.Overlaid(b.Site.FS, below(b.Site.Dir))
	}
	sh := &shelf{Book: b, rt: s.Runtime, seen: map[string]*document{}, utf8: s.utf8}
	if sh.tests() {
		sh.rt = s.Tests
	}
	return sh, nil
}

// tests reports whether the file is one of tests, which has no steps.
func (sh *shelf) tests() bool { return strings.HasSuffix(sh.Name, "_test.star") }

// document returns a file on the shelf, and whether it is a shipped one; nil if there is none.
func (sh *shelf) document(name string) (d *document, shipped bool) {
	for i, fsys := range []fs.FS{sh.Dir, sh.Library.Shipped} {
		if fsys == nil || !fs.ValidPath(name) {
			continue
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil || len(text) > maxMessage {
			continue
		}
		if d, ok := sh.seen[name]; ok {
			return d, i == 1
		}
		sh.seen[name] = newDocument(string(text), 0, sh.utf8)
		return sh.seen[name], i == 1
	}
	return nil, false
}

// books are the runbooks that a site's file may be about: those of its directory, or else the shipped ones.
func (sh *shelf) books() (names []string) {
	for _, fsys := range []fs.FS{sh.Dir, sh.Library.Shipped} {
		if fsys == nil || len(names) > 0 {
			continue
		}
		found, _ := fs.Glob(fsys, "*.star") // a bad pattern is the only error
		for _, n := range found {
			if n != siteName && !strings.HasSuffix(n, "_test.star") {
				names = append(names, n)
			}
		}
	}
	return names
}

const siteName = "runbook.star"

// libraries are the files that load can be given.
func (sh *shelf) libraries() (names []string) {
	lib, _ := fs.Glob(sh.Dir, "lib/*.star") // a bad pattern is the only error
	beside, _ := fs.Glob(sh.Dir, "*.star")
	shipped, _ := fs.Glob(sh.Library.Shipped, "lib/*.star")
	for _, n := range slices.Concat(lib, beside, shipped) {
		if !slices.Contains(names, n) && n != sh.Name && n != siteName && !strings.HasSuffix(n, "_test.star") {
			names = append(names, n)
		}
	}
	return names
}

// beside are the files that here can be given: those below the runbook's directory that are no runbooks.
func (sh *shelf) beside() (names []string) {
	_ = fs.WalkDir(sh.Dir, ".", func(name string, e fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(e.Name(), ".") && name != "."
		switch {
		case err != nil || e.IsDir() && (hidden || strings.Count(name, "/") > 4):
			return fs.SkipDir
		case len(names) > 500:
			return fs.SkipAll
		case !e.IsDir() && !hidden && path.Ext(name) != ".star":
			names = append(names, name)
		}
		return nil
	})
	return names
}

// A place is a symbol and the file that has it.
type place struct {
	symbol
	file    string
	doc     *document
	shipped bool
}

// declared returns the symbols of the runbooks beside a site's file that pick chooses.
func (sh *shelf) declared(pick func(outline) []symbol) (all []place) {
	for _, n := range sh.books() {
		d, shipped := sh.document(n)
		if d == nil {
			continue
		}
		for _, s := range pick(d.outline) {
			if !slices.ContainsFunc(all, func(p place) bool { return p.id == s.id }) {
				all = append(all, place{s, n, d, shipped})
			}
		}
	}
	return all
}

// meaning follows a name of a text to what defines it, across loads.
func (sh *shelf) meaning(d *document, id string, at int) (place, bool) {
	p := place{file: sh.Name, doc: d}
	for range 10 { // a cycle of loads is a mistake that somebody may make
		s, ok := p.doc.outline.named(id, at)
		if !ok || s.is != loaded {
			p.symbol = s
			return p, ok
		}
		next, shipped := sh.document(s.module)
		if next == nil {
			p.symbol = s
			return p, true
		}
		p, id, at = place{file: s.module, doc: next, shipped: shipped}, s.id, -1
	}
	return p, false
}
