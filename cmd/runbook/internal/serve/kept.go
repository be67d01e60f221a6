package serve

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A kept value is made of files, and made again when they have changed. If that cannot be done it stays as it was, and
// a person is told.
type kept[T any] struct {
	files    []string
	make     func(files []string) (T, error)
	complain func(error)
	now      func() time.Time

	value atomic.Pointer[T]
	next  atomic.Int64 // when to look again, in nanoseconds since 1970
	mu    sync.Mutex   // of who looks
	seen  string
}

// keep makes a value of files.
func keep[T any](o Options, from func([]string) (T, error), files ...string) (*kept[T], error) {
	k := &kept[T]{files: files, make: from, complain: o.Complain, now: o.Now}
	k.seen = look(files)
	v, err := from(files)
	if err != nil {
		return nil, err
	}
	k.value.Store(&v)
	k.next.Store(o.Now().Add(lookAgain).UnixNano())
	return k, nil
}

// get returns the value.
func (k *kept[T]) get() T {
	if now := k.now(); now.UnixNano() >= k.next.Load() && k.mu.TryLock() {
		k.refresh(now)
		k.mu.Unlock()
	}
	return *k.value.Load()
}

func (k *kept[T]) refresh(now time.Time) {
	k.next.Store(now.Add(lookAgain).UnixNano())
	seen := look(k.files)
	if seen == k.seen {
		return
	}
	k.seen = seen
	v, err := k.make(k.files)
	if err != nil {
		k.complain(fmt.Errorf("%w; what it was before stays in force", err))
		return
	}
	k.value.Store(&v)
}

// look returns what tells files from what they were.
func look(files []string) (seen string) {
	for _, name := range files {
		fi, err := os.Stat(name)
		if err != nil {
			seen += err.Error()
			continue
		}
		seen += identity(fi) + " "
	}
	return seen
}
