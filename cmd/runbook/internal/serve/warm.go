package serve

import (
	"io"
	"sync"
	"time"
)

// warm is what was read of small packages a moment ago. A package never changes under its name, and many machines ask
// for the same ones at a time; most of what a small one costs is to open and to read it. One that is withdrawn is
// served for lookAgain longer.
type warm struct {
	mu    sync.RWMutex
	files map[string]*warmed
	bytes int
}

type warmed struct {
	text    []byte
	tag     string
	changed time.Time
	until   time.Time
}

// warmest is how many bytes of them are kept.
const warmest = 8 << 20

// get returns a file by its name below the directory, nil if it is to be opened.
func (w *warm) get(name string, now time.Time) *warmed {
	w.mu.RLock()
	f := w.files[name]
	w.mu.RUnlock()
	if f == nil || !now.Before(f.until) {
		return nil
	}
	return f
}

// keep reads a file and keeps it, if it is small and settled. It returns nil if it did not.
func (w *warm) keep(name, tag string, changed time.Time, f *file, now time.Time) *warmed {
	if f.Size() > small || !lasting(name) || tag == "" || changed.IsZero() {
		return nil
	}
	text := make([]byte, f.Size())
	if _, err := io.ReadFull(f, text); err != nil {
		f.at = 0
		return nil
	}
	kept := &warmed{text, tag, changed, now.Add(lookAgain)}
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
