package runtime

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"runbook/runtime/host"
)

// A stateDir is a machine on which the directory for markers is there already,
// with those above it: a run on the machine makes it before it begins.
type stateDir struct {
	host.Reader
	dir  string
	self host.Owner
}

// withDir returns base with dir made by self, unless it is there.
func withDir(base host.Reader, dir string, self host.Owner) host.Reader {
	if ok, err := host.Exists(base, dir); dir == "" || ok || err != nil {
		return base
	}
	return stateDir{base, dir, self}
}

// Lstat describes the directory and those above it that are missing.
func (r stateDir) Lstat(name string) (host.Meta, error) {
	m, err := r.Reader.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) && r.leadsTo(name) {
		return host.Meta{Mode: fs.ModeDir | 0o700, Owner: r.self}, nil
	}
	return m, err
}

// ReadDir adds what leads to the directory.
func (r stateDir) ReadDir(name string) ([]string, error) {
	names, err := r.Reader.ReadDir(name)
	if !r.leadsTo(name) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return names, err
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(r.dir, path.Clean(name)), "/")
	if next, _, _ := strings.Cut(rest, "/"); next != "" && !slices.Contains(names, next) {
		names = append(slices.Clone(names), next)
		slices.Sort(names)
	}
	return names, nil
}

func (r stateDir) leadsTo(name string) bool {
	return name == "/" || name == r.dir || strings.HasPrefix(r.dir, name+"/")
}
