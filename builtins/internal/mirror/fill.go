package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"runbook/runtime/host"
)

// A filler does what a manifest declares, in a tree that it holds the lock of.
type filler struct {
	plan     *Plan
	root     *host.Root
	dirs     map[string]*host.Root // of subdirs that are written to, so that a file there is one name away
	uid, gid int                   // of all that is made; -1 for whoever runs
	top      *os.File              // the tree
	atOnce   bool                  // host.SyncAll works
	lock     *os.File
	untidy   bool      // a run before this one was cut short
	saved    time.Time // when states were written last
	progress *progress
}

// fill goes through all that is to be done. What was verified is remembered even if it is cut short.
func (p *Plan) fill(ctx context.Context, h host.Host, root *host.Root) error {
	f := &filler{plan: p, root: root, dirs: map[string]*host.Root{}, saved: time.Now()}
	defer f.close()
	if err := f.open(ctx, h); err != nil {
		return err
	}
	for _, s := range p.subdirs {
		if s.writes() {
			if err := f.enter(s.name); err != nil {
				return err
			}
		}
	}
	known := p.failures()
	err := f.fetchAll(ctx)
	if err == nil {
		err = f.finish()
	}
	if err != nil {
		return errors.Join(err, f.saveStates())
	}
	if p.failures() > known {
		return p.failure()
	}
	return f.tidy()
}

// tidy removes partial files that runs before this one left, and says that this one leaves none.
func (f *filler) tidy() error {
	if f.untidy {
		dirs := []string{stateDir}
		for _, subdir := range f.plan.names() {
			dirs = append(dirs, subdir, path.Join(subdir, shardsDir))
		}
		for _, dir := range dirs {
			if err := f.sweep(dir); err != nil {
				return err
			}
		}
	}
	return storage(f.lock.Name(), f.lock.Truncate(0))
}

func (f *filler) sweep(dir string) error {
	d, err := f.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return storage(dir, err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	for _, n := range names {
		if err == nil && strings.HasPrefix(n, ".") && strings.HasSuffix(n, partSuffix) {
			err = f.root.RemoveAll(path.Join(dir, n))
		}
	}
	return storage(dir, err)
}

func (p *Plan) failures() (n int) {
	for _, s := range p.subdirs {
		n += s.failures()
	}
	return n
}

// failures is how many packages could not be had, as far as is known.
func (s *subdir) failures() (n int) {
	for _, it := range s.fetch {
		if it.failed != nil {
			n++
		}
	}
	return n
}

func (f *filler) open(ctx context.Context, h host.Host) (err error) {
	if err := f.resolve(ctx, h); err != nil {
		return err
	}
	if err := f.mkdir(stateDir); err != nil {
		return err
	}
	if f.top, err = f.root.Open("."); err != nil {
		return storage(".", err)
	}
	f.atOnce = host.CanSyncAll(f.top)
	f.progress = newProgress(f.plan)
	f.plan.progress = f.progress
	return f.seize()
}

// close ends what open has begun, as far as that came.
func (f *filler) close() {
	if f.progress != nil {
		f.progress.end()
	}
	for _, d := range f.dirs {
		d.Close()
	}
	f.top.Close()
	if f.lock != nil {
		host.Unlock(f.lock)
		f.lock.Close()
	}
}

// resolve finds the numbers of the owner.
func (f *filler) resolve(ctx context.Context, r host.Reader) (err error) {
	o := f.plan.mirror.Owner
	if f.uid, err = number(ctx, r, host.User, o.User); err == nil {
		f.gid, err = number(ctx, r, host.Group, o.Group)
	}
	return err
}

func number(ctx context.Context, r host.Reader, k *host.Kind, name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.Atoi(name); err == nil {
		return n, nil
	}
	v, err := r.Fact(ctx, host.Fact{Kind: k, Name: name})
	if err != nil {
		return -1, err
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return -1, fmt.Errorf("no %s %q", k.Name, name)
	}
	return n, nil
}

func (f *filler) mkdir(name string) error {
	err := f.fault(name)
	if err == nil {
		err = f.root.Mkdir(name, dirMode)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = f.root.Chmod(name, dirMode) // whatever the umask
	}
	if err == nil && f.gives() {
		err = f.root.Lchown(name, f.uid, f.gid)
	}
	return storage(name, err)
}

// enter makes a subdir and keeps it open.
func (f *filler) enter(subdir string) error {
	if err := f.mkdir(subdir); err != nil {
		return err
	}
	dir, err := f.root.OpenRoot(subdir)
	if err != nil {
		return storage(subdir, err)
	}
	f.dirs[subdir] = dir
	return nil
}

// at returns the directory of name that is open, and name's there.
func (f *filler) at(name string) (*host.Root, string) {
	if dir, base := path.Split(name); dir != "" {
		if d := f.dirs[dir[:len(dir)-1]]; d != nil {
			return d, base
		}
	}
	return f.root, name
}

// gives reports whether what is made goes to somebody else than whoever runs.
func (f *filler) gives() bool { return f.uid >= 0 || f.gid >= 0 }

// create makes the partial file of name anew: never through a link, never another's.
func (f *filler) create(name string) (*os.File, error) {
	file, err := f.createFirst(name)
	if errors.Is(err, fs.ErrExist) {
		if err = f.root.RemoveAll(partial(name)); err == nil {
			file, err = f.createFirst(name)
		}
	}
	return file, storage(partial(name), err)
}

// createFirst makes the partial file of name if there is none.
func (f *filler) createFirst(name string) (*os.File, error) {
	if err := f.fault(name); err != nil {
		return nil, storage(name, err)
	}
	dir, base := f.at(partial(name))
	return dir.OpenFile(base, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// settle makes a complete file ready and closes it. It only closes after an earlier error, which it returns.
func (f *filler) settle(file *os.File, err error) error {
	if err == nil {
		err = f.ready(file)
	}
	return cmp.Or(err, file.Close())
}

// ready gives a complete file its mode and owner. Where not all is made durable at once it is made so here. A failed
// sync is not tried again: what the kernel dropped stays dropped, and a second fsync says nothing of it.
func (f *filler) ready(file *os.File) error {
	err := file.Chmod(fileMode)
	if err == nil && f.gives() {
		err = file.Chown(f.uid, f.gid)
	}
	if err == nil && !f.atOnce {
		err = file.Sync()
	}
	return err
}

// commit makes all that was settled, and the names in dirs, survive a power cut.
func (f *filler) commit(dirs ...string) error {
	err := f.fault("commit")
	if err == nil && f.atOnce {
		return storage(f.plan.dir, host.SyncAll(f.top))
	}
	for _, dir := range dirs {
		if err == nil {
			err = f.sync(dir)
		}
	}
	return storage(f.plan.dir, err)
}

// sync makes the names in a directory survive a power cut.
func (f *filler) sync(dir string) error {
	if err := f.fault(dir); err != nil {
		return storage(dir, err)
	}
	d, err := f.root.Open(dir)
	if err != nil {
		return storage(dir, err)
	}
	defer d.Close()
	return storage(dir, d.Sync())
}

func (f *filler) rename(name string) error {
	err := f.fault(name)
	if err == nil {
		dir, base := f.at(name)
		err = dir.Rename(partial(base), base)
	}
	return storage(name, err)
}

func (f *filler) fault(name string) error {
	if f.plan.testOnlyFault == nil {
		return nil
	}
	return f.plan.testOnlyFault(name)
}
