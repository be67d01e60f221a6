package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/time/rate"

	"runbook/builtins/internal/mirror/publish"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
	"runbook/runtime/host/tree"
)

// An attempt gathers one package in its partial file.
type attempt struct {
	fetcher *fetcher
	filler  *filler
	it      *item
	file    *os.File
	d       *state.Digest
	size    int64  // bytes in file, all of them seen by d
	etag    string // of the version that they are of
	fresh   bool   // go past caches
}

// run goes on until the package is complete and verified. It keeps what it has if a transfer breaks off, for
// the next run of this attempt or of another process; what turned out wrong is thrown away.
func (a *attempt) run(ctx context.Context) error {
	at, err := a.it.where()
	if err != nil {
		return err
	}
	if a.file == nil {
		if err := a.begin(ctx, at); err != nil {
			return err
		}
	}
	linked := false
	if a.it.size < 0 || a.size != a.it.size {
		if linked, err = a.copy(ctx, at); err != nil {
			return err
		}
	}
	if err := a.check(); err != nil {
		return errors.Join(err, a.drop())
	}
	return a.complete(linked)
}

// begin opens the partial file and takes over what can stay of it. Only the digest can tell whether that belongs to
// this package.
func (a *attempt) begin(ctx context.Context, at string) error {
	a.d = state.NewDigest(a.it.sum.Kind, a.it.md5 != nil)
	name := tree.Partial(a.it.name())
	file, err := a.filler.tree.CreateFirst(a.it.name())
	if err == nil || !errors.Is(err, fs.ErrExist) {
		a.file = file
		return tree.Wrap(name, err)
	}
	fi, err := a.filler.root.Lstat(name)
	if err != nil || a.fresh || a.it.sum.Kind == state.None || !fi.Mode().IsRegular() ||
		a.it.size >= 0 && fi.Size() > a.it.size || !alone(fi) {
		a.file, err = a.filler.tree.Create(a.it.name())
		return err
	}
	if file, err = a.filler.root.OpenFile(name, os.O_RDWR|syscall.O_NOFOLLOW, 0); err != nil {
		return tree.Wrap(name, err)
	}
	a.file = file
	if err := a.reread(ctx); err != nil {
		return err
	}
	if a.size != a.it.size {
		if a.etag, err = a.it.from().from.Version(ctx, at); err != nil {
			return &brokenError{err, false}
		}
	}
	return nil
}

// alone reports whether a file has no other name: what is written to it must not change the medium it was linked from.
func alone(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 1
}

// copy gets what is missing, but little more than the item should have. linked reports that the file is the source's
// own.
func (a *attempt) copy(ctx context.Context, at string) (linked bool, err error) {
	if !a.it.from().from.Local {
		if err := a.fetcher.connect(ctx); err != nil {
			return false, err
		}
		defer a.fetcher.disconnect()
	}
	return a.get(ctx, at)
}

func (a *attempt) get(ctx context.Context, at string) (linked bool, err error) {
	src, err := a.it.from().from.Fetch(ctx, at, a.size, a.etag, a.fresh)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, errors.New("is listed and missing at the source")
	case err != nil:
		return false, &brokenError{err, false} // who asks has tried again already
	}
	defer src.Close()
	if a.size > 0 && src.Off != a.size { // the server begins anew
		if err := a.restart(); err != nil {
			return false, err
		}
	}
	a.etag = ""
	if strings.HasPrefix(src.ETag, `"`) {
		a.etag = src.ETag
	}
	if file, ok := src.ReadCloser.(*os.File); ok && a.size == 0 {
		if a.filler.plan.mirror.Link && a.linkable(file) {
			return a.link(ctx, file)
		}
		if host.Reflink(a.file, file) {
			return false, a.shared(ctx)
		}
	}
	stop := context.AfterFunc(ctx, func() { src.Close() }) // a server may keep a Read waiting
	defer stop()
	var r io.Reader = src
	if a.it.size >= 0 {
		r = io.LimitReader(src, a.it.size-a.size+1)
	}
	return false, a.pour(ctx, r)
}

const (
	writeBack = 8 << 20   // bytes after which the kernel is told to begin to write
	fewBytes  = 512 << 10 // that it had better write together with those of other files
)

// pour appends r to the file.
func (a *attempt) pour(ctx context.Context, r io.Reader) error {
	buf := blocks.Get().(*[block]byte)
	defer blocks.Put(buf)
	told := a.size
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf[:])
		if n > 0 {
			if _, err := a.file.Write(buf[:n]); err != nil {
				return tree.Wrap(tree.Partial(a.it.name()), err)
			}
			a.d.Write(buf[:n])
			a.size += int64(n)
			a.filler.progress.got(n)
			if err := await(ctx, a.fetcher.limit, n); err != nil {
				return err
			}
		}
		if n := a.size - told; n >= writeBack || err != nil && n >= fewBytes {
			host.WriteBack(a.file, told, a.size-told)
			told = a.size
		}
		if err == io.EOF && (a.it.size < 0 || a.size >= a.it.size || a.it.from().from.Local) {
			return nil
		}
		if err == io.EOF {
			err = fmt.Errorf("got %d bytes, want %d", a.size, a.it.size)
		}
		if err != nil {
			return &brokenError{err, true}
		}
	}
}

func await(ctx context.Context, l *rate.Limiter, n int) error {
	if l == nil {
		return nil
	}
	return l.WaitN(ctx, n)
}

// shared reads bytes of the source that came without passing by here.
func (a *attempt) shared(ctx context.Context) error {
	err := a.reread(ctx)
	a.filler.progress.got(int(a.size))
	return err
}

// reread has the digest see what the file holds.
func (a *attempt) reread(ctx context.Context) error {
	n := &sizedHash{h: a.d}
	if err := transfer(ctx, n, a.file); err != nil {
		return tree.Wrap(tree.Partial(a.it.name()), err)
	}
	a.size = n.n
	return nil
}

// linkable reports whether the source's own file may be the tree's, which must have an owner and be readable by all.
func (a *attempt) linkable(file *os.File) bool {
	fi, err := file.Stat()
	if err != nil {
		return false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	uid, gid := a.filler.uid, a.filler.gid
	return ok && fi.Mode().Perm() == publish.FileMode && (uid < 0 || int(st.Uid) == uid) && (gid < 0 || int(st.Gid) == gid)
}

// link puts the source's own file in place of the partial one, if they share a file system, and reads it; linked is
// false where it had to be copied.
func (a *attempt) link(ctx context.Context, file *os.File) (linked bool, err error) {
	name := tree.Partial(a.it.name())
	dir, err := a.filler.root.Open(path.Dir(name))
	if err != nil {
		return false, tree.Wrap(name, err)
	}
	defer dir.Close()
	if err := a.filler.root.Remove(name); err != nil {
		return false, tree.Wrap(name, err)
	}
	if err := host.Link(file, dir, path.Base(name)); err != nil { // another file system: a copy will do
		a.file.Close()
		if a.file, err = a.filler.tree.Create(a.it.name()); err != nil {
			return false, err
		}
		return false, a.pour(ctx, file)
	}
	a.file.Close()
	a.file, err = a.filler.root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return true, tree.Wrap(name, err)
	}
	return true, a.shared(ctx)
}

// check compares what came with what the record says.
func (a *attempt) check() error {
	switch it := a.it; {
	case it.size >= 0 && a.size > it.size:
		return &wrongError{fmt.Errorf("got more than %d bytes", it.size)}
	case it.size >= 0 && a.size < it.size:
		return &wrongError{fmt.Errorf("got %d bytes, want %d", a.size, it.size)}
	}
	if text := a.d.Differs(a.it.sum, a.it.md5); text != "" {
		return &wrongError{errors.New(text)}
	}
	return nil
}

// complete finishes the file, which then waits for its name.
func (a *attempt) complete(linked bool) error {
	file, name := a.file, a.it.name()
	a.file = nil
	fi, err := file.Stat()
	if linked {
		err = cmp.Or(err, file.Close())
	} else {
		err = a.filler.tree.Finish(file, a.filler.tree.Attr(publish.FileMode), err)
	}
	if err != nil {
		a.filler.tree.Discard(name)
		return tree.Wrap(tree.Partial(name), err)
	}
	st, _ := fi.Sys().(*syscall.Stat_t)
	a.it.size, a.it.mtime, a.it.ino = fi.Size(), fi.ModTime().UnixNano(), st.Ino
	return nil
}

// restart empties the file.
func (a *attempt) restart() error {
	a.d.Reset()
	a.size, a.etag = 0, ""
	if err := a.file.Truncate(0); err != nil {
		return tree.Wrap(tree.Partial(a.it.name()), err)
	}
	_, err := a.file.Seek(0, io.SeekStart)
	return tree.Wrap(tree.Partial(a.it.name()), err)
}

// drop throws the file away.
func (a *attempt) drop() error {
	a.close()
	a.size, a.etag = 0, ""
	name := tree.Partial(a.it.name())
	if err := a.filler.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return tree.Wrap(name, err)
	}
	return nil
}

func (a *attempt) close() {
	if a.file != nil {
		a.file.Close()
		a.file = nil
	}
}
