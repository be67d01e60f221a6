package host

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"syscall"
)

// check refuses what leaves dir, would be written through a symbolic link, or
// takes the place of a directory. Every host calls it first, so that all refuse the same.
func (m Entries) check(r Reader, dir string) error {
	if d, err := r.Lstat(dir); err != nil {
		return err
	} else if !d.Mode.IsDir() {
		return guest("tree", dir, syscall.ENOTDIR)
	}
	err := m.layout(r, dir, false)
	if err == errUnsorted {
		err = m.layout(r, dir, true)
	}
	return err
}

// SortedBefore reports whether name comes before another one where a directory is followed at once by all that is in
// it.
func SortedBefore(name, other string) bool {
	i := 0
	for i < len(name) && i < len(other) && name[i] == other[i] {
		i++
	}
	switch {
	case i == len(other):
		return false
	case i == len(name) || name[i] == '/':
		return true
	}
	return other[i] != '/' && name[i] < other[i]
}

var errUnsorted = errors.New("not in the order of SortedBefore")

// layout checks m. Files need to be remembered only where they do not come in the order of names.
func (m Entries) layout(r Reader, dir string, all bool) error {
	l := layout{Reader: r, dir: dir, types: map[string]fs.FileMode{".": fs.ModeDir}, fresh: map[string]bool{}}
	for e := range m {
		name := path.Clean(e.Name)
		if !all && SortedBefore(name, l.last) {
			return errUnsorted
		}
		if err := l.check(e, name); err != nil {
			return guest("tree", path.Join(dir, e.Name), err)
		}
		l.last, l.lastType = name, e.Mode.Type()
		if all || l.lastType != 0 {
			l.types[name] = l.lastType
		}
	}
	return nil
}

// A layout is what a manifest makes of a directory: the types of what is there
// or comes, and the directories that only the manifest makes.
type layout struct {
	Reader
	dir      string
	last     string // entry
	lastType fs.FileMode
	types    map[string]fs.FileMode
	fresh    map[string]bool
}

func (l *layout) check(e Entry, name string) error {
	if !filepath.IsLocal(e.Name) {
		return fmt.Errorf("leaves %s", l.dir)
	}
	for p := path.Dir(name); p != "."; p = path.Dir(p) {
		switch t, err := l.typeOf(p); {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s is not in the manifest", p)
		case err != nil && !errors.Is(err, ErrUnknown):
			return err
		case t != fs.ModeDir:
			return fmt.Errorf("%s is not a directory", p)
		}
	}
	t, err := l.typeOf(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if e.Mode.IsDir() {
			l.fresh[name] = true
		}
		return nil
	case errors.Is(err, ErrUnknown):
		return nil
	case err != nil:
		return err
	case e.Mode.IsDir() && t != fs.ModeDir:
		return errors.New("is there and not a directory")
	case !e.Mode.IsDir() && t == fs.ModeDir:
		return errors.New("is there and a directory")
	}
	return nil
}

// typeOf takes for a directory what an overlay cannot know.
func (l *layout) typeOf(p string) (fs.FileMode, error) {
	if p == l.last && p != "" {
		return l.lastType, nil
	}
	if t, ok := l.types[p]; ok {
		return t, nil
	}
	if l.fresh[path.Dir(p)] {
		return 0, fs.ErrNotExist // without looking: big trees are mostly new
	}
	m, err := l.Lstat(path.Join(l.dir, p))
	if errors.Is(err, ErrUnknown) && p != "." {
		return fs.ModeDir, err
	}
	if err == nil && m.Mode.IsDir() {
		l.types[p] = fs.ModeDir
	}
	return m.Mode.Type(), err
}
