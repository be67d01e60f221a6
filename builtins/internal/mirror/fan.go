package mirror

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// A fan passes what is written to it on to several writers, each in a goroutine of its own.
type fan struct {
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

func newFan() *fan { return &fan{} }

// add has w get all that is written.
func (f *fan) add(w io.Writer) {
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

// pack has out get all that is written, compressed.
func (f *fan) pack(compressor func(io.Writer) (io.WriteCloser, error), out io.Writer) error {
	z, err := compressor(out)
	if err == nil {
		f.add(packer{z})
	}
	return err
}

func (f *fan) fail(err error) {
	f.broken.Store(true)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

var errBroken = errors.New("writing was given up")

// Write is io.Writer's. Errors of the writers come from close.
func (f *fan) Write(p []byte) (n int, err error) {
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

func (f *fan) send() {
	c := f.cur
	f.cur = nil
	c.left.Store(int32(len(f.outs)))
	for _, out := range f.outs {
		out <- c
	}
}

// close waits until all writers have seen everything.
func (f *fan) close() error {
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
