// Package tree writes many files below a directory, so that neither a crash nor a
// loss of power leaves a name without all its bytes.
//
// A file is written under a partial name beside its place, gets its owner, mode
// and time there, is made durable together with others, and only then is renamed.
//
// Two things to know. Durability comes in batches: where the kernel reports lost
// writes ([host.CanSyncAll]), one commit of the file system serves all files that
// are finished, elsewhere each file is synced by itself. And partial names are the
// same in every run, so that the next run replaces what a killed one left; Sweep
// removes what no run will replace.
//
// The archive, fetch and mirror packages call it, each with a root that a host
// gave them.
package tree

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"runbook/runtime/host"
)

// Suffix ends the default partial names.
const Suffix = ".part"

// Partial returns the default partial name of a file: .NAME.part beside it.
func Partial(name string) string {
	return path.Join(path.Dir(name), "."+strings.TrimPrefix(path.Base(name), ".")+Suffix)
}

// ErrLocked says that another process writes to the tree.
var ErrLocked = errors.New("another run is writing to this tree")

// An Error is about the tree itself, not about what is written to it.
type Error struct {
	Name string // below the root
	Err  error  // without the names of a library's error
}

func (e *Error) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap returns what the system says.
func (e *Error) Unwrap() error { return e.Err }

// Wrap returns err as an Error about name; nil and an Error stay what they are.
func Wrap(name string, err error) error {
	var already *Error
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case err == nil || errors.As(err, &already):
		return err
	case errors.As(err, &pe):
		err = pe.Err
	case errors.As(err, &le):
		err = le.Err
	}
	return &Error{name, err}
}

// Options of a Writer.
type Options struct {
	UID, GID int                      // own what is made; -1 leaves it to whoever runs
	Partial  func(name string) string // names a file while it is written; nil stands for Partial
	Fault    func(name string) error  // in tests: an error takes the place of the next system call for name
}

// Attr is what a file or directory gets before its name.
type Attr struct {
	Mode     fs.FileMode // permission bits
	ModTime  time.Time   // zero: that of its last write
	UID, GID int         // -1 leaves it to whoever runs
}

// A Writer writes below one root, with names that are relative to it. Its methods
// may be called by several goroutines at once, for different names. Their errors
// are Errors.
type Writer struct {
	root   *os.Root
	top    *os.File
	o      Options
	atOnce bool // host.SyncAll serves all files
	lock   *os.File

	mu   sync.Mutex
	dirs []*openDir // the last used is the last
}

// An openDir is a directory that is held open, so that a name in it is one step away.
type openDir struct {
	*os.Root
	name string
	uses int // by the Writer's list and by calls under way
}

const maxOpenDirs = 32

// New returns a Writer that makes files below root.
func New(root *os.Root, o Options) (*Writer, error) {
	top, err := root.Open(".")
	if err != nil {
		return nil, Wrap(".", err)
	}
	if o.Partial == nil {
		o.Partial = Partial
	}
	return &Writer{root: root, top: top, o: o, atOnce: host.CanSyncAll(top)}, nil
}

// Close gives back the lock and what was held open. The root stays open.
func (w *Writer) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.dirs {
		d.drop()
	}
	w.dirs = nil
	w.top.Close()
	if w.lock != nil {
		host.Unlock(w.lock)
		w.lock.Close()
	}
}

// Attr returns an Attr with a mode and the Writer's owner.
func (w *Writer) Attr(mode fs.FileMode) Attr { return Attr{Mode: mode, UID: w.o.UID, GID: w.o.GID} }

// Lock takes the lock file called name for this process, or fails with ErrLocked.
// cut reports that the run that had it before did not reach Unlock: it may have
// left partial files. The file is never removed: that would let two in.
func (w *Writer) Lock(name string) (cut bool, err error) {
	f, err := w.root.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return false, Wrap(name, err)
	}
	w.lock = f
	if err := w.give(f, w.o.UID, w.o.GID); err != nil {
		return false, Wrap(name, err)
	}
	ok, err := host.Lock(f)
	if err == nil && !ok {
		return false, ErrLocked
	}
	if err != nil {
		return false, err
	}
	fi, err := f.Stat()
	if err == nil {
		_, err = f.WriteAt([]byte("a run writes to this tree, or was cut short\n"), 0)
	}
	return err == nil && fi.Size() > 0, Wrap(name, err)
}

// Unlock records that this run leaves no partial files. Close gives the lock back.
func (w *Writer) Unlock() error { return Wrap(w.lock.Name(), w.lock.Truncate(0)) }

// Mkdir makes a directory whose parent is there. One that is there stays as it is.
func (w *Writer) Mkdir(name string, a Attr) (made bool, err error) {
	if err := w.fault(name); err != nil {
		return false, Wrap(name, err)
	}
	dir, base, err := w.at(name)
	if err != nil {
		return false, err
	}
	defer w.release(dir)
	switch fi, err := dir.Lstat(base); {
	case err == nil && !fi.IsDir():
		return false, Wrap(name, errors.New("is there and is not a directory"))
	case !errors.Is(err, fs.ErrNotExist):
		return false, Wrap(name, err)
	}
	part := path.Base(w.o.Partial(name))
	make := func() error { return dir.Mkdir(part, 0o700) }
	return true, w.place(dir, name, make, func() error { return settle(dir, part, a) })
}

// Symlink makes name a link to target, in the place of whatever file is there.
func (w *Writer) Symlink(target, name string, a Attr) error {
	dir, base, err := w.at(name)
	if err != nil {
		return err
	}
	defer w.release(dir)
	part := path.Base(w.o.Partial(base))
	make := func() error { return dir.Symlink(target, part) }
	return w.place(dir, name, make, func() error {
		if a.UID < 0 && a.GID < 0 {
			return nil
		}
		return dir.Lchown(part, a.UID, a.GID)
	})
}

// Link makes name another name of the file called old, in the place of whatever
// file is there.
func (w *Writer) Link(old, name string) error {
	part := w.o.Partial(name)
	make := func() error { return w.root.Link(old, part) }
	if err := w.place(nil, name, make, nil); err != nil {
		return err
	}
	// Renaming one hard link to another of the same file leaves both: rename(2).
	if err := w.root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Wrap(name, err)
	}
	return nil
}

// place makes something under name's partial name, readies it and renames it. dir
// is the directory of name, or nil to go by the whole name.
func (w *Writer) place(dir *openDir, name string, make, ready func() error) error {
	root, part, base := w.root, w.o.Partial(name), name
	if dir != nil {
		root, part, base = dir.Root, path.Base(part), path.Base(name)
	}
	err := make()
	if errors.Is(err, fs.ErrExist) {
		if err = root.RemoveAll(part); err == nil {
			err = make()
		}
	}
	if err != nil {
		return Wrap(name, err)
	}
	if ready != nil {
		err = ready()
	}
	if err == nil {
		err = root.Rename(part, base)
	}
	if err != nil {
		root.RemoveAll(part)
	}
	return Wrap(name, err)
}

// settle sets the owner, then the mode, which a change of owner may clear.
func settle(dir *openDir, base string, a Attr) error {
	if a.UID >= 0 || a.GID >= 0 {
		if err := dir.Lchown(base, a.UID, a.GID); err != nil {
			return err
		}
	}
	return dir.Chmod(base, a.Mode)
}

// Create makes the partial file of name anew: never through a link, never one that
// is there.
func (w *Writer) Create(name string) (*os.File, error) {
	f, err := w.CreateFirst(name)
	if errors.Is(err, fs.ErrExist) {
		if err = w.Discard(name); err == nil {
			f, err = w.CreateFirst(name)
		}
	}
	return f, Wrap(w.o.Partial(name), err)
}

// CreateFirst makes the partial file of name. The error wraps fs.ErrExist if there
// is one.
func (w *Writer) CreateFirst(name string) (*os.File, error) {
	if err := w.fault(name); err != nil {
		return nil, Wrap(name, err)
	}
	dir, base, err := w.at(w.o.Partial(name))
	if err != nil {
		return nil, err
	}
	defer w.release(dir)
	return dir.OpenFile(base, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// Finish gives a complete partial file its attributes and closes it; after an
// earlier error, which it returns, it only closes. Where no commit serves all files
// it also makes this one durable. A sync that failed is not tried again: what the
// kernel dropped stays dropped, and a second fsync does not report it.
func (w *Writer) Finish(f *os.File, a Attr, err error) error {
	if err == nil {
		err = w.give(f, a.UID, a.GID)
	}
	if err == nil {
		err = f.Chmod(a.Mode)
	}
	if err == nil && !a.ModTime.IsZero() {
		err = host.SetTime(f, a.ModTime)
	}
	if err == nil && !w.atOnce {
		err = f.Sync()
	}
	return cmp.Or(err, f.Close())
}

func (w *Writer) give(f *os.File, uid, gid int) error {
	if uid < 0 && gid < 0 {
		return nil
	}
	return f.Chown(uid, gid)
}

// Commit makes all finished files, and the names in dirs, survive a loss of power.
func (w *Writer) Commit(dirs ...string) error {
	err := w.fault("commit")
	if err == nil && w.atOnce {
		return Wrap(w.root.Name(), host.SyncAll(w.top))
	}
	for _, dir := range dirs {
		if err == nil {
			err = w.SyncDir(dir)
		}
	}
	return Wrap(w.root.Name(), err)
}

// SyncDir makes the names in a directory survive a loss of power.
func (w *Writer) SyncDir(dir string) error {
	if err := w.fault(dir); err != nil {
		return Wrap(dir, err)
	}
	d, err := w.root.Open(dir)
	if err != nil {
		return Wrap(dir, err)
	}
	defer d.Close()
	return Wrap(dir, d.Sync())
}

// Rename gives a finished and committed file its name.
func (w *Writer) Rename(name string) error {
	if err := w.fault(name); err != nil {
		return Wrap(name, err)
	}
	dir, base, err := w.at(name)
	if err != nil {
		return err
	}
	defer w.release(dir)
	return Wrap(name, dir.Rename(path.Base(w.o.Partial(name)), base))
}

// Discard removes the partial file of name, whatever it is.
func (w *Writer) Discard(name string) error {
	part := w.o.Partial(name)
	return Wrap(part, w.root.RemoveAll(part))
}

// Sweep removes the partial files, by their default names, in directories; one that
// is not there has none.
func (w *Writer) Sweep(dirs ...string) error {
	for _, dir := range dirs {
		if err := w.sweep(dir); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) sweep(dir string) error {
	d, err := w.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return Wrap(dir, err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	for _, n := range names {
		if err == nil && strings.HasPrefix(n, ".") && strings.HasSuffix(n, Suffix) {
			err = w.root.RemoveAll(path.Join(dir, n))
		}
	}
	return Wrap(dir, err)
}

// at returns the directory of name, for release, and name's last part.
func (w *Writer) at(name string) (*openDir, string, error) {
	dir, base := path.Split(name)
	if dir = strings.TrimSuffix(dir, "/"); dir == "" || dir == "." {
		return &openDir{Root: w.root, uses: 2}, base, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.IndexFunc(w.dirs, func(d *openDir) bool { return d.name == dir }); i >= 0 {
		d := w.dirs[i]
		w.dirs = append(slices.Delete(w.dirs, i, i+1), d)
		d.uses++
		return d, base, nil
	}
	opened, err := w.root.OpenRoot(dir)
	if err != nil {
		return nil, base, Wrap(dir, err)
	}
	if len(w.dirs) == maxOpenDirs {
		w.dirs[0].drop()
		w.dirs = slices.Delete(w.dirs, 0, 1)
	}
	d := &openDir{Root: opened, name: dir, uses: 2}
	w.dirs = append(w.dirs, d)
	return d, base, nil
}

func (w *Writer) release(d *openDir) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d.drop()
}

func (d *openDir) drop() {
	if d.uses--; d.uses == 0 {
		d.Close()
	}
}

func (w *Writer) fault(name string) error {
	if w.o.Fault == nil {
		return nil
	}
	return w.o.Fault(name)
}
