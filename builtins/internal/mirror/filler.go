package mirror

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"time"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/mirror/publish"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
	"runbook/runtime/host/tree"
)

// A filler does what a manifest declares, in a tree that it holds the lock of.
type filler struct {
	plan     *Plan
	root     *host.Root
	tree     *tree.Writer
	uid, gid int       // of all that is made; -1 for whoever runs
	cutShort bool      // a run before this one was cut short
	saved    time.Time // when states were written last
	progress *progress
}

// fill goes through all that is to be done. What was verified is remembered even if it is cut short.
func (p *Plan) fill(ctx context.Context, h host.Host, root *host.Root) error {
	f := &filler{plan: p, root: root, saved: time.Now()}
	defer f.close()
	if err := f.open(ctx, h); err != nil {
		return err
	}
	for _, s := range p.subdirs {
		if s.writes() {
			if err := f.mkdir(s.name); err != nil {
				return err
			}
		}
	}
	foreseen := p.failures()
	err := f.fetchAll(ctx)
	if err == nil {
		err = f.finish()
	}
	if err == nil {
		err = f.describe()
	}
	if err != nil {
		return errors.Join(err, f.saveStates())
	}
	if p.failures() > foreseen {
		return p.failure()
	}
	return f.tidy()
}

// tidy removes partial files that runs before this one left, and records that this one leaves none.
func (f *filler) tidy() error {
	if f.cutShort {
		dirs := []string{state.Dir}
		for _, subdir := range f.plan.names() {
			dirs = append(dirs, subdir, path.Join(subdir, publish.ShardsDir))
		}
		if err := f.tree.Sweep(dirs...); err != nil {
			return err
		}
	}
	return f.tree.Unlock()
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
	if f.uid, f.gid, err = f.plan.mirror.Owner.IDs(ctx, h); err != nil {
		return err
	}
	f.tree, err = tree.New(f.root, tree.Options{UID: f.uid, GID: f.gid, Fault: f.plan.testOnlyFault})
	if err != nil {
		return err
	}
	if err := f.mkdir(state.Dir); err != nil {
		return err
	}
	f.progress = newProgress(f.plan)
	f.plan.progress = f.progress
	return f.seize()
}

// close ends what open has begun, as far as that came.
func (f *filler) close() {
	if f.progress != nil {
		f.progress.end()
	}
	if f.tree != nil {
		f.tree.Close()
	}
}

func (f *filler) mkdir(name string) error {
	_, err := f.tree.Mkdir(name, f.tree.Attr(publish.DirMode))
	return err
}

// complete finishes a file that is not a package and closes it.
func (f *filler) complete(file *os.File, err error) error {
	return f.tree.Finish(file, f.tree.Attr(publish.FileMode), err)
}

// seize takes the lock, and refuses a tree whose states are not those that the plan has read.
func (f *filler) seize() (err error) {
	f.cutShort, err = f.tree.Lock(path.Join(state.Dir, "lock"))
	if errors.Is(err, tree.ErrLocked) {
		return advice.New("wait until that run is done, then run again", "%w", err)
	}
	if err != nil {
		return err
	}
	for _, s := range f.plan.subdirs {
		if s.state == nil {
			continue
		}
		fi, err := f.root.Lstat(state.Name(s.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return tree.Wrap(state.Name(s.name), err)
		}
		if err != nil || fi.Size() != int64(s.state.Size) {
			return advice.New("run again", "%s: another run has changed the tree since this one looked at it", s.name)
		}
	}
	return nil
}
