package mirror

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/mirror/channel"
	"runbook/runtime/fetch"
	"runbook/runtime/host/tree"
)

// localWorkers is how many files are copied or hashed at once.
func localWorkers() int { return 2 * runtime.GOMAXPROCS(0) }

// fetchAll fetches the items of all subdirs through one pool, the largest first, so that the pool does not end with
// one connection at work. A subdir is published as soon as all that can be had of it is there. A package that
// cannot be had keeps its error; the error returned is another.
func (f *filler) fetchAll(ctx context.Context) error {
	items, workers := f.queue()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// while a batch is made durable the next one gathers
	jobs, done := make(chan *item, workers), make(chan *item, 4*batchFiles)
	var pool sync.WaitGroup
	w := &fetcher{filler: f, limit: newLimit(f.plan.mirror.Rate), slots: make(chan struct{}, f.connections()),
		errs: make(map[*channel.Channel]*patience)}
	for _, c := range f.plan.channels {
		w.errs[c] = &patience{most: int64(max(8, workers))}
	}
	var broken atomic.Pointer[error]
	for range workers {
		pool.Go(func() {
			for it := range jobs {
				if err := w.fetch(ctx, it); err != nil {
					broken.CompareAndSwap(nil, &err)
					cancel()
				}
				done <- it
			}
		})
	}
	go func() {
		for _, it := range items {
			jobs <- it // once ctx has ended each fails at once
		}
		close(jobs)
		pool.Wait()
		close(done)
	}()
	if err := f.collect(items, done, cancel); err != nil {
		return err
	}
	if err := broken.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *filler) connections() int { return cmp.Or(f.plan.mirror.Connections, DefaultConnections) }

// queue returns what is to be fetched, in order, and by how many workers: more than there may be requests, so that
// making and completing files keeps no connection waiting.
func (f *filler) queue() (items []*item, workers int) {
	workers = localWorkers()
	for _, s := range f.plan.subdirs {
		for _, it := range s.fetch {
			if it.failed != nil {
				continue
			}
			items = append(items, it)
			if !it.from().from.Local {
				workers = f.connections() + localWorkers()
			}
		}
	}
	slices.SortStableFunc(items, func(a, b *item) int { return cmp.Compare(b.size, a.size) })
	return items, min(workers, max(len(items), 1))
}

// collect takes packages as they come, and publishes subdirs that are complete.
func (f *filler) collect(items []*item, done <-chan *item, cancel func()) (failed error) {
	left := map[*subdir]int{}
	for _, it := range items {
		left[it.in]++
	}
	b := &batch{filler: f, since: time.Now()}
	for it := range done {
		if failed != nil || it.failed == errStopped {
			continue
		}
		f.progress.took(it)
		failed = b.take(it)
		if left[it.in]--; left[it.in] == 0 && failed == nil {
			if failed = b.flush(); failed == nil {
				failed = f.publish(it.in)
			}
		}
		if failed != nil {
			cancel()
		}
	}
	for _, it := range items {
		if it.failed == errStopped {
			it.failed = nil
		}
	}
	return cmp.Or(failed, b.flush())
}

// finish publishes subdirs for which nothing was to be fetched, and makes everything durable.
func (f *filler) finish() error {
	for _, s := range f.plan.subdirs {
		if s.writes() && !s.done {
			if err := f.publish(s); err != nil {
				return err
			}
		}
	}
	f.progress.end()
	return f.tree.Commit()
}

// errStopped marks items that were not tried, or not to their end, because the run ends.
var errStopped = errors.New("was not fetched")

// A fetcher is what the workers share.
type fetcher struct {
	filler *filler
	limit  *rate.Limiter // nil: none
	slots  chan struct{} // requests under way
	errs   map[*channel.Channel]*patience
}

func newLimit(bytes int64) *rate.Limiter {
	if bytes == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytes), max(block, int(min(bytes, 1<<20))))
}

// connect waits until there may be another request.
func (w *fetcher) connect(ctx context.Context) error {
	select {
	case w.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *fetcher) disconnect() { <-w.slots }

// patience with one source ends when so many packages in a row could not be had from it.
type patience struct {
	most int64
	row  atomic.Int64
}

// fetch tries to get one item. It returns only errors that are not about that package.
func (w *fetcher) fetch(ctx context.Context, it *item) error {
	if ctx.Err() != nil {
		it.failed = errStopped
		return ctx.Err()
	}
	lost := w.errs[it.from().from]
	if lost.row.Load() >= lost.most {
		it.failed = advice.New("see whether the source is well, and run again: what is there stays",
			"not tried: %d packages before it could not be had either", lost.most)
		return nil
	}
	err := w.insist(ctx, it)
	var s *tree.Error
	switch {
	case err == nil:
		lost.row.Store(0)
	case ctx.Err() != nil:
		it.failed = errStopped
		return ctx.Err()
	case errors.As(err, &s):
		it.failed = errStopped
		return err
	default:
		it.failed = err
		var broken *brokenError
		if errors.As(err, &broken) {
			lost.row.Add(1)
		}
	}
	return nil
}

// A brokenError is about the way to a source, not about what came.
type brokenError struct {
	error
	again bool // it may help to go on from where it broke off
}

// Unwrap returns the error itself.
func (b *brokenError) Unwrap() error { return b.error }

// A wrongError is about what came: other bytes than the record says.
type wrongError struct{ error }

const (
	tries   = 5       // how often one package is asked for without getting forward
	forward = 1 << 20 // bytes that count as getting forward
)

// insist asks until the package is there. Bytes that are wrong are asked for once more, past all caches; a transfer
// that breaks off goes on from where it was.
func (w *fetcher) insist(ctx context.Context, it *item) error {
	a := &attempt{fetcher: w, filler: w.filler, it: it}
	defer a.close()
	refetched, most := false, int64(0)
	for try := 1; ; try++ {
		err := a.run(ctx)
		var wrong *wrongError
		var broken *brokenError
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case errors.As(err, &wrong):
			if refetched {
				return err
			}
			refetched, a.fresh, try = true, true, 0
			continue
		case !errors.As(err, &broken) || !broken.again:
			return err
		case a.size >= most+forward:
			most, try = a.size, 1
		case try >= tries || it.from().from.Local && try >= 2:
			return err
		}
		if err := w.pause(ctx, try); err != nil {
			return err
		}
	}
}

// pause waits before another try.
func (w *fetcher) pause(ctx context.Context, try int) error {
	if w.filler.plan.testOnlyPause != nil {
		w.filler.plan.testOnlyPause(try)
		return ctx.Err()
	}
	return fetch.Wait(ctx, 400*time.Millisecond, 20*time.Second, try)
}
