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
	if dir == "" {
		return base
	}
	return stateDir{base, dir, self}
}

// kept are the directories in that for markers. A run makes them before anything else, and says nothing of it: that
// another runbook was the first to need one is not what this one does.
var kept = []string{"begun", "manual", "once"}

// makeKept makes them.
func makeKept(h host.Host, dir string) error {
	if ok, err := host.Exists(h, dir); dir == "" || !ok || err != nil {
		return err
	}
	for _, name := range kept {
		name = path.Join(dir, name)
		if ok, err := host.Exists(h, name); ok || err != nil {
			continue
		}
		if err := h.Mkdir(name, host.Meta{Mode: 0o700}); err != nil {
			return err
		}
	}
	return nil
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
	return name == "/" || name == r.dir || strings.HasPrefix(r.dir, name+"/") ||
		path.Dir(name) == r.dir && slices.Contains(kept, path.Base(name))
}
