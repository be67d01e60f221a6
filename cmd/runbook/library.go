package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"runbook/runtime"
)

// A library is where one runbook is read from.
type library struct {
	runtime.Library
	name  string     // of the runbook in it
	roots []*os.Root // to be closed
}

// findWithSite is find with the site's own file beside it; see siteFor.
func (p *program) findWithSite(file, site string) (*library, error) {
	lib, err := p.find(file)
	if err != nil {
		return nil, err
	}
	dir := "."
	if lib.Dir != nil {
		dir = filepath.Dir(file)
	}
	if lib.Site, err = p.siteFor(lib, dir, site); err != nil {
		lib.close()
		return nil, err
	}
	return lib, nil
}

// find looks FILE up as a path, then among the shipped runbooks, there also
// without .star. The caller closes the library.
func (p *program) find(file string) (*library, error) {
	fi, err := os.Stat(file)
	switch {
	case err == nil && fi.IsDir():
		return nil, mistake("name a file in it, such as "+filepath.Join(file, "install.star"), "%s is a directory", file)
	case err == nil:
		return p.libraryAt(filepath.Dir(file), filepath.Base(file))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, mistake("", "%w", err)
	}
	shipped := p.shippedNames()
	for _, name := range []string{file, file + ".star"} {
		if fs.ValidPath(name) && !strings.Contains(name, "/") && isFile(p.shipped, name) {
			return &library{runtime.Library{Shipped: p.shipped}, name, nil}, nil
		}
	}
	return nil, unknown("runbook", file, shipped,
		"it is looked for as a path, then among the shipped: "+strings.Join(shipped, " "))
}

// libraryAt returns the library of name below dir.
func (p *program) libraryAt(dir, name string) (*library, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, mistake("", "%w", err)
	}
	return &library{runtime.Library{Dir: root.FS(), Shipped: p.shipped}, name, []*os.Root{root}}, nil
}

func (l *library) close() {
	for _, root := range l.roots {
		root.Close()
	}
}

// shippedNames are the names of the shipped runbooks.
func (p *program) shippedNames() []string {
	names, _ := fs.Glob(p.shipped, "*.star") // only a malformed pattern is an error
	return names
}

func isFile(fsys fs.FS, name string) bool {
	fi, err := fs.Stat(fsys, name)
	return err == nil && fi.Mode().IsRegular()
}
