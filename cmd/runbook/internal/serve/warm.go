package serve

import (
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// warm is what was read of small packages. Many machines ask for the same ones at a time, and most of what a small one
// costs is to open and to read it. That a file is still the one that was read is seen before it is served.
type warm struct {
	mu    sync.RWMutex
	files map[string]*warmed
	bytes int
}

type warmed struct {
	version
	text []byte
	st   syscall.Stat_t
}

// warmest is how many bytes of them are kept.
const warmest = 8 << 20

// get returns a file by its name below top, nil if it is to be opened.
func (w *warm) get(top *os.File, name string) *warmed {
	w.mu.RLock()
	f := w.files[name]
	w.mu.RUnlock()
	if f == nil {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstatat(int(top.Fd()), name, &st, 0); err != nil || !f.is(&st) {
		return nil
	}
	return f
}

// is reports whether a file is the one that was read, and was not changed since.
func (f *warmed) is(st *unix.Stat_t) bool {
	return st.Ino == f.st.Ino && st.Dev == f.st.Dev && st.Size == f.st.Size &&
		st.Ctim.Nano() == f.st.Ctim.Nano() && st.Mtim.Nano() == f.st.Mtim.Nano()
}

// keep reads a file and keeps it, if it is small and settled. It returns nil if it did not.
func (w *warm) keep(name string, v version, f *file) *warmed {
	if f.Size() > small || !lasting(name) || v.tag == "" || v.changed.IsZero() {
		return nil
	}
	text := make([]byte, f.Size())
	if _, err := io.ReadFull(f, text); err != nil {
		f.at = 0
		return nil
	}
	kept := &warmed{v, text, f.st}
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.files[name]; old != nil {
		w.bytes -= len(old.text)
	}
	if w.files == nil || w.bytes+len(text) > warmest {
		w.files, w.bytes = map[string]*warmed{}, 0
	}
	w.files[name] = kept
	w.bytes += len(text)
	return kept
}
