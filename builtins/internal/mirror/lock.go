package mirror

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"

	"runbook/builtins/internal/choose"
	"runbook/runtime/host"
)

// seize takes the lock. The lock file is never removed: whoever removed it would let two in.
func (f *filler) seize() error {
	name := path.Join(stateDir, "lock")
	lock, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return storage(name, err)
	}
	f.lock = lock
	if f.gives() {
		if err := lock.Chown(f.uid, f.gid); err != nil {
			return storage(name, err)
		}
	}
	ok, err := host.Lock(lock)
	if err == nil && !ok {
		err = choose.Advise("wait until that run is done, then run again", "another run is writing to this tree")
	}
	if err != nil {
		return err
	}
	fi, err := lock.Stat()
	if err == nil {
		f.untidy = fi.Size() > 0
		_, err = lock.WriteAt([]byte("a run writes to this tree, or was cut short\n"), 0)
	}
	if err != nil {
		return storage(name, err)
	}
	return f.unchanged()
}

// unchanged refuses a tree whose states are not those that the plan has read.
func (f *filler) unchanged() error {
	for _, s := range f.plan.subdirs {
		if s.state == nil {
			continue
		}
		fi, err := f.root.Lstat(stateName(s.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return storage(stateName(s.name), err)
		}
		if err != nil || fi.Size() != int64(s.state.size) {
			return choose.Advise("run again", "%s: another run has changed the tree since this one looked at it", s.name)
		}
	}
	return nil
}
