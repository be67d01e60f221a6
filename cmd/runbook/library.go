package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

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

// find looks FILE up as a path, then with .star added, then among the shipped
// runbooks, there also without .star. The caller closes the library.
func (p *program) find(file string) (*library, error) {
	var isDir error
	for _, name := range []string{file, file + ".star"} {
		fi, err := os.Stat(name)
		switch {
		case err == nil && !fi.IsDir() && strings.HasSuffix(name, testEnding):
			return nil, mistake("runbook test "+name, "%s is a file of tests, not a runbook", name)
		case err == nil && !fi.IsDir():
			return p.libraryAt(filepath.Dir(name), filepath.Base(name))
		case err == nil && isDir == nil:
			isDir = mistake("name a file in it, such as "+filepath.Join(file, "install.star"), "%s is a directory", name)
		case err != nil && !missing(err):
			return nil, mistake("", "%w", err)
		}
	}
	shipped := p.shippedNames()
	for _, name := range []string{file, file + ".star"} {
		if fs.ValidPath(name) && !strings.Contains(name, "/") && isFile(p.shipped, name) {
			return &library{runtime.Library{Shipped: p.shipped}, name, nil}, nil
		}
	}
	if isDir != nil {
		return nil, isDir
	}
	return nil, unknown("runbook", file, shipped,
		"it is looked for as a path, with .star added, then among the shipped: "+strings.Join(shipped, " "))
}

// missing reports whether name is "" or no file has it.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENAMETOOLONG)
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
