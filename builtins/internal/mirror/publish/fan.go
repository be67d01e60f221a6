// Package publish writes what a subdir's index consists of: its forms side by side, its shards, and the manifest of
// every file.
//
// Two things to know. All forms are written in one pass over the records, each by its goroutine. And nothing here gets
// its name: the caller renames what it finished, in the order that readers need.
//
// Package mirror calls it, with a tree writer for the account's tree.
package publish

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// A Fan passes what is written to it on to several writers, each in its goroutine.
type Fan struct {
	outs   []chan *chunk
	done   sync.WaitGroup
	mu     sync.Mutex
	errs   []error
	broken atomic.Bool
	cur    *chunk
	closed bool
}

// A chunk is text on its way to the writers.
type chunk struct {
	data []byte
	left atomic.Int32 // writers that have not seen it
}

const chunkLen = 256 << 10

var chunks = sync.Pool{New: func() any { return &chunk{data: make([]byte, 0, chunkLen)} }}

// NewFan returns a Fan without writers.
func NewFan() *Fan { return &Fan{} }

// Add has w get all that is written.
func (f *Fan) Add(w io.Writer) {
	in := make(chan *chunk, 4)
	f.outs = append(f.outs, in)
	f.done.Go(func() {
		var err error
		for c := range in {
			if err == nil {
				if _, err = w.Write(c.data); err != nil {
					f.fail(err)
				}
			}
			if c.left.Add(-1) == 0 {
				c.data = c.data[:0]
				chunks.Put(c)
			}
		}
		if c, ok := w.(packer); ok && err == nil {
			if err := c.Close(); err != nil {
				f.fail(err)
			}
		}
	})
}

// A packer is a compressor, which the fan closes.
type packer struct{ io.WriteCloser }

// Pack has out get all that is written, compressed.
func (f *Fan) Pack(compressor func(io.Writer) (io.WriteCloser, error), out io.Writer) error {
	z, err := compressor(out)
	if err == nil {
		f.Add(packer{z})
	}
	return err
}

func (f *Fan) fail(err error) {
	f.broken.Store(true)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

var errBroken = errors.New("writing was given up")

// Write is io.Writer's. Errors of the writers come from Close.
func (f *Fan) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if f.broken.Load() {
			return n, errBroken
		}
		if f.cur == nil {
			f.cur = chunks.Get().(*chunk)
		}
		m := min(len(p)-n, chunkLen-len(f.cur.data))
		f.cur.data = append(f.cur.data, p[n:n+m]...)
		n += m
		if len(f.cur.data) == chunkLen {
			f.send()
		}
	}
	return n, nil
}

func (f *Fan) send() {
	c := f.cur
	f.cur = nil
	c.left.Store(int32(len(f.outs)))
	for _, out := range f.outs {
		out <- c
	}
}

// Close waits until all writers have seen everything.
func (f *Fan) Close() error {
	if f.closed {
		return errors.Join(f.errs...)
	}
	f.closed = true
	if f.cur != nil && len(f.outs) > 0 {
		f.send()
	}
	for _, out := range f.outs {
		close(out)
	}
	f.done.Wait()
	return errors.Join(f.errs...)
}
