package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"

	"runbook/runtime/host"
)

const (
	dirMode  = 0o755
	fileMode = 0o644
)

// Apply does what Changes tells. All packages that can be had are fetched and all subdirs that are complete
// are published before an error names those that could not be had.
func (p *Plan) Apply(ctx context.Context, h host.Host) error {
	for _, d := range p.dirs {
		if err := h.Mkdir(d, host.Meta{Mode: dirMode, Owner: p.mirror.Owner}); err != nil {
			return err
		}
	}
	if m := p.manifest(); len(m) > 0 {
		fill := func(ctx context.Context, root *host.Root) error {
			f := &filler{plan: p, root: root}
			if err := f.resolve(ctx, h); err != nil {
				return err
			}
			return f.fill(ctx)
		}
		if err := h.WriteTree(ctx, p.mirror.Dir(), m, fill); err != nil {
			return p.room(err)
		}
	}
	if p.strange > 0 {
		if err := h.Chown(p.mirror.Dir(), p.mirror.Owner, p.strange); err != nil {
			return err
		}
	}
	return p.failure()
}

// room says what to do about a full disk.
func (p *Plan) room(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &Advised{err, "make room on the file system of " + p.mirror.Dir() + ": what is there stays, and the next run goes on from it"}
	}
	return err
}

// manifest lists what Apply makes in the tree. Its contents can be read before they are there.
func (p *Plan) manifest() (m host.Manifest) {
	for _, s := range p.subdirs {
		if s.fresh && len(s.fetch)+len(s.index) > 0 {
			m = append(m, host.Entry{Name: s.name, Meta: p.meta(fs.ModeDir|dirMode, 0)})
		}
		for _, it := range s.fetch {
			m = append(m, host.Entry{Name: it.name, Meta: p.meta(fileMode, it.size), Sum: it.sha256, Content: it.content})
		}
		for _, f := range s.index {
			m = append(m, host.Entry{
				Name: f.name, Meta: p.meta(fileMode, int64(len(f.data))),
				Sum: checksum(string(f.data)), Content: host.Bytes(f.data),
			})
		}
	}
	return m
}

func (p *Plan) meta(mode fs.FileMode, size int64) host.Meta {
	return host.Meta{Mode: mode, Owner: p.mirror.Owner, Size: size}
}

// A filler does what a manifest declares.
type filler struct {
	plan     *Plan
	root     *host.Root
	uid, gid int // of all that is made; -1 for whoever runs
	done     int // packages
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

// fill goes through the subdirs. What was verified is remembered even if it is cut short.
func (f *filler) fill(ctx context.Context) (err error) {
	for _, s := range f.plan.subdirs {
		if len(s.fetch)+len(s.index) == 0 {
			continue
		}
		if err = f.fillSubdir(ctx, s); err != nil {
			break
		}
	}
	if serr := f.saveState(); err == nil {
		err = serr
	}
	if err == nil {
		err = f.plan.failure()
	}
	return err
}

func (f *filler) fillSubdir(ctx context.Context, s *subdir) error {
	if err := f.mkdir(s.name); err != nil {
		return err
	}
	batch := &batch{filler: f, dir: s.name}
	if err := f.fetch(ctx, s, batch); err != nil {
		return err
	}
	for _, it := range s.items {
		if it.failed != nil {
			return nil // the old index lists the old files, which stay
		}
	}
	if len(s.index) == 0 {
		return batch.swap()
	}
	return f.publish(s, batch)
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

// gives reports whether what is made goes to somebody else than whoever runs.
func (f *filler) gives() bool { return f.uid >= 0 || f.gid >= 0 }

// saveState replaces the state file.
func (f *filler) saveState() error {
	data := []byte(f.plan.disk.state.text())
	if err := f.write(stateFile, data); err != nil {
		return err
	}
	return f.rename(stateFile)
}

// publish replaces the index of a subdir whose packages are all in place, the plain file last. What
// an index lists must survive a power cut before the index does, so directories are synced in between.
func (f *filler) publish(s *subdir, b *batch) error {
	for _, x := range s.index {
		if err := f.write(x.name, x.data); err != nil {
			return err
		}
	}
	if err := b.swap(); err != nil {
		return err
	}
	for _, x := range s.index {
		if err := f.rename(x.name); err != nil {
			return err
		}
		fi, err := f.root.Lstat(x.name)
		if err != nil {
			return storage(x.name, err)
		}
		f.plan.disk.state.files[x.name] = verified{fi.Size(), fi.ModTime().UnixNano(), x.sum}
	}
	return f.sync(s.name)
}

// write makes the partial file of name, with all of its content, and syncs it.
func (f *filler) write(name string, data []byte) error {
	file, err := f.create(name)
	if err != nil {
		return storage(name, err)
	}
	_, err = file.Write(data)
	return storage(name, f.settle(file, err))
}

func (f *filler) rename(name string) error {
	err := f.fault(name)
	if err == nil {
		err = f.root.Rename(partial(name), name)
	}
	return storage(name, err)
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

func (f *filler) fault(name string) error {
	if f.plan.testOnlyFault == nil {
		return nil
	}
	return f.plan.testOnlyFault(name)
}

// partial is the name of a file while it is written.
func partial(name string) string {
	return path.Join(path.Dir(name), "."+strings.TrimPrefix(path.Base(name), ".")+".part")
}
