package host

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// Local is the machine the program runs on, its files seen below a root
// directory as after chroot(2). Processes see the machine itself.
// It is for one goroutine at a time, but for Get and for reading contents.
type Local struct {
	// Net asks the network; without it Get is an error.
	Net func(context.Context, Request) (*Response, error)
	// Path replaces the directories where programs are looked for, which are
	// the usual ones and never the caller's.
	Path string
	// Asked, if not nil, is told of each command that Query ran and its exit
	// status, those of fact probes too. Its error becomes Query's.
	Asked func(p Process, code int) error

	dir   string // the root
	facts map[Fact]string
}

var _ Host = (*Local)(nil)

// NewLocal returns the machine with its files as seen below root, usually "/".
func NewLocal(root string) *Local {
	return &Local{dir: filepath.Clean(root), facts: map[Fact]string{}}
}

// Self owns what this process makes: its effective user and group.
func (l *Local) Self() Owner {
	o, err := l.owner(os.Geteuid(), os.Getegid())
	if err != nil {
		return Owner{strconv.Itoa(os.Geteuid()), strconv.Itoa(os.Getegid())}
	}
	return o
}

// Lstat is Reader's.
func (l *Local) Lstat(name string) (Meta, error) {
	p, err := l.real(name, false)
	if err != nil {
		return Meta{}, guest("lstat", name, err)
	}
	fi, err := os.Lstat(p)
	if err != nil {
		return Meta{}, guest("lstat", name, err)
	}
	m := Meta{Mode: fi.Mode(), Size: fi.Size(), ModTime: fi.ModTime()}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		m.Owner, err = l.owner(int(st.Uid), int(st.Gid))
	}
	return m, err
}

// Content is Reader's. Only regular files have one: a pipe could block for ever.
func (l *Local) Content(name string) (Content, error) {
	f, err := l.open(name)
	if err != nil {
		return Content{}, guest("open", name, err)
	}
	return Content{Open: func() (File, error) {
		f, err := l.open(name)
		if err != nil {
			return nil, guest("open", name, err)
		}
		return f, nil
	}}, f.Close()
}

var errIrregular = errors.New("is not a regular file")

func (l *Local) open(name string) (*os.File, error) {
	p, err := l.real(name, true)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(p, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	switch {
	case err == nil && fi.IsDir():
		err = syscall.EISDIR
	case err == nil && !fi.Mode().IsRegular():
		err = errIrregular
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Readlink is Reader's.
func (l *Local) Readlink(name string) (string, error) {
	p, err := l.real(name, false)
	if err != nil {
		return "", guest("readlink", name, err)
	}
	s, err := os.Readlink(p)
	return s, guest("readlink", name, err)
}

// ReadDir is Reader's.
func (l *Local) ReadDir(name string) ([]string, error) {
	p, err := l.real(name, true)
	if err != nil {
		return nil, guest("readdir", name, err)
	}
	es, err := os.ReadDir(p)
	if err != nil {
		return nil, guest("readdir", name, err)
	}
	names := make([]string, len(es))
	for i, e := range es {
		names[i] = e.Name()
	}
	slices.Sort(names)
	return names, nil
}

// Fact remembers answers until the next effect.
func (l *Local) Fact(ctx context.Context, f Fact) (string, error) {
	if v, ok := l.facts[f]; ok {
		return v, nil
	}
	v, err := f.Kind.Probe(ctx, l, f.Name)
	if errors.Is(err, exec.ErrNotFound) {
		v, err = "", nil // a machine without the program has none of what it tells of
	}
	if err == nil {
		l.facts[f] = v
	}
	return v, err
}

// forget drops what was learned: effects reach further than what they declare.
func (l *Local) forget() { clear(l.facts) }

// Query is Reader's.
func (l *Local) Query(ctx context.Context, p Process) (Result, error) {
	res, err := l.run(ctx, p, false)
	if err != nil {
		return res, &fs.PathError{Op: "query", Path: title(p), Err: err}
	}
	if l.Asked != nil {
		return res, l.Asked(p, res.Code)
	}
	return res, nil
}

// Get is Reader's.
func (l *Local) Get(ctx context.Context, r Request) (*Response, error) {
	if l.Net == nil {
		return nil, &fs.PathError{Op: "get", Path: RedactURL(r.URL), Err: errors.New("this host has no network")}
	}
	return l.Net(ctx, r)
}

// owner names the accounts, by number where they have no name.
func (l *Local) owner(uid, gid int) (Owner, error) {
	u, err := l.account(userName, uid)
	if err != nil {
		return Owner{}, err
	}
	g, err := l.account(groupName, gid)
	return Owner{u, g}, err
}

func (l *Local) account(k *Kind, n int) (string, error) {
	s := strconv.Itoa(n)
	v, err := l.Fact(context.Background(), Fact{k, s})
	return cmp.Or(v, s), err
}

// real returns where name lies on the machine. The kernel itself follows
// links below "/"; below another root an absolute link would leave it.
func (l *Local) real(name string, follow bool) (string, error) {
	if l.dir == "/" {
		return name, nil
	}
	dir, base, err := walk(links{l.dir}, name, follow)
	return filepath.Join(l.dir, dir, base), err
}

// links walks the real files below a directory. A place is a name as seen from
// there. The kernel finds what is missing or forbidden on the way.
type links struct{ dir string }

func (links) root() string { return "/" }

func (w links) child(dir, name string) (at string, err error) {
	if name == ".." { // joining would hide that dir is a file, or closed to us
		_, err = os.Lstat(filepath.Join(w.dir, dir) + "/.")
	}
	return path.Join(dir, name), err
}

func (w links) link(at string) (string, bool, error) {
	target, err := os.Readlink(filepath.Join(w.dir, at))
	if errors.Is(err, syscall.EINVAL) {
		return "", false, nil
	}
	return target, err == nil, err
}
