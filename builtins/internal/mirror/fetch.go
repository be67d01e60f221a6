package mirror

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"runbook/runtime/host"
)

const (
	inFlight   = 2         // packages copied at once
	batchFiles = 64        // files made durable together,
	batchBytes = 256 << 20 // or as soon as they have so many bytes
)

// A storageError is about the tree, not about a package: it ends the run at once.
type storageError struct {
	name string
	err  error
}

func (e *storageError) Error() string { return e.name + ": " + e.err.Error() }
func (e *storageError) Unwrap() error { return e.err }

func storage(name string, err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &pe):
		err = pe.Err
	case errors.As(err, &le):
		err = le.Err
	}
	return &storageError{name, err}
}

// A fetched package waits, open and complete, to be made durable.
type fetched struct {
	it   *item
	file *os.File
	sum  string
	err  error
}

// fetch copies the packages of s, some at once, and makes them durable in batches. A
// package that cannot be had keeps its error; the error returned is another.
func (f *filler) fetch(ctx context.Context, s *subdir, b *batch) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	jobs, done := make(chan *item), make(chan fetched)
	var workers sync.WaitGroup
	for range inFlight {
		workers.Go(func() {
			for it := range jobs {
				done <- f.fetchOne(ctx, it)
			}
		})
	}
	go func() {
		for _, it := range s.fetch {
			jobs <- it // once ctx has ended each fails at once
		}
		close(jobs)
		workers.Wait()
		close(done)
	}()
	var failed error
	for p := range done {
		if err := b.take(p); err != nil && failed == nil {
			failed = err
			cancel()
		}
	}
	return cmp.Or(failed, b.flush())
}

// fetchOne tries twice: a partial file of an earlier run may be no part of this
// package, and a reader may stumble.
func (f *filler) fetchOne(ctx context.Context, it *item) (p fetched) {
	for _, resume := range []bool{true, false} {
		p = fetched{it: it, err: ctx.Err()}
		if p.err == nil {
			p.file, p.sum, p.err = f.attempt(ctx, it, resume)
		}
		if ctx.Err() != nil && p.err != nil {
			p.err = ctx.Err() // whatever else its end brought about
		}
		if p.err == nil || fatal(p.err) {
			break
		}
	}
	return p
}

// fatal reports whether an error is not about one package.
func fatal(err error) bool {
	var s *storageError
	return errors.As(err, &s) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// attempt copies and verifies a package in one pass. What it leaves of a package that ended early is
// gone on with next time; what turned out wrong is thrown away.
func (f *filler) attempt(ctx context.Context, it *item, resume bool) (*os.File, string, error) {
	name := partial(it.name)
	h := newHash(kind(it.sum()))
	file, n, err := f.begin(ctx, it, resume, h)
	if err != nil {
		return nil, "", storage(name, err)
	}
	if n != it.size {
		var more int64
		more, err = f.copyRest(ctx, it, n, io.MultiWriter(h, stored{name, file}))
		n += more
	}
	sum := kind(it.sum()) + ":" + hex.EncodeToString(h.Sum(nil))
	wrong := true
	switch {
	case err != nil:
		wrong = false
	case it.size >= 0 && n > it.size:
		err = fmt.Errorf("got more than %d bytes", it.size)
	case it.size >= 0 && n < it.size:
		err = fmt.Errorf("got %d bytes, want %d", n, it.size)
	case it.sum() != "" && sum != it.sum():
		err = fmt.Errorf("got %s, want %s", sum, it.sum())
	default:
		return file, sum, nil
	}
	file.Close()
	if wrong {
		f.root.Remove(name)
	}
	return nil, "", err
}

// begin opens the partial file of an item and returns how many bytes of it can stay, which h then has seen.
// Without a digest nothing can tell whether they belong to this package.
func (f *filler) begin(ctx context.Context, it *item, resume bool, h hash.Hash) (*os.File, int64, error) {
	name := partial(it.name)
	fi, err := f.root.Lstat(name)
	if err != nil || !resume || it.sum() == "" || !fi.Mode().IsRegular() || it.size >= 0 && fi.Size() > it.size {
		file, err := f.create(it.name)
		return file, 0, err
	}
	file, err := f.root.OpenFile(name, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, 0, err
	}
	if err := transfer(ctx, h, file); err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, fi.Size(), nil
}

// create makes the partial file of name anew: never through a link, never another's.
func (f *filler) create(name string) (*os.File, error) {
	if err := cmp.Or(f.fault(name), f.root.RemoveAll(partial(name))); err != nil {
		return nil, err
	}
	return f.root.OpenFile(partial(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// copyRest copies what an item's source has from byte off on, but little more than the item should have.
func (f *filler) copyRest(ctx context.Context, it *item, off int64, w io.Writer) (int64, error) {
	src, err := f.source(it)
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { src.Close() }) // a server may keep a Read waiting
	defer func() {
		if stop() {
			src.Close()
		}
	}()
	if off > 0 {
		if _, err := src.Seek(off, io.SeekStart); err != nil {
			return 0, err
		}
	}
	c := &counter{w: w}
	var r io.Reader = src
	if it.size >= 0 {
		r = io.LimitReader(src, it.size-off+1)
	}
	err = transfer(ctx, c, r)
	return c.n, err
}

// source opens an item where it comes from.
func (f *filler) source(it *item) (host.File, error) {
	f.plan.asking.Lock()
	defer f.plan.asking.Unlock()
	return it.content.Reader()
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// stored marks errors of writing as not the package's fault.
type stored struct {
	name string
	file *os.File
}

func (s stored) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	return n, storage(s.name, err)
}
