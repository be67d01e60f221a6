package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path"
	"sync"
	"time"

	"runbook/runtime/host"
)

const (
	writers    = 4         // files written at a time
	batchFiles = 4096      // not yet durable
	batchBytes = 512 << 20 // likewise
	batchTime  = 20 * time.Second
	chunk      = 1 << 20  // bytes read at once, where every byte is read
	copyBytes  = 16 << 20 // copied between two looks at the context
	early      = 64 << 10 // bytes from which a file begins to be written to disk at once
)

// tmpName is where a file is written before it gets its name. It is the same in
// every run, so that the next one removes what a killed one left.
func tmpName(name string) string {
	sum := sha256.Sum256([]byte(path.Base(name)))
	return path.Join(path.Dir(name), tmpPrefix+hex.EncodeToString(sum[:12]))
}

// files are the regular files of an extraction on their way: several are written at
// once, while a batch of those that are finished is made durable and renamed.
type files struct {
	*extraction
	ctx    context.Context // ends with the first error
	cancel context.CancelCauseFunc
	jobs   chan job
	free   chan []byte // buffers
	work   sync.WaitGroup

	mu         sync.Mutex
	done       int64    // bytes written
	begun      []string // have a partial file, or may have one
	batch      []string // finished
	batchBytes int64
	since      time.Time
	committing sync.WaitGroup // at most one commit at a time
	busy       bool
}

// A job is a file to be written: from the archive's own file, or chunk by chunk.
type job struct {
	name   string
	m      member
	from   *os.File // nil: chunks
	chunks chan []byte
}

func newFiles(x *extraction) *files {
	f := &files{extraction: x, jobs: make(chan job), free: make(chan []byte, 4*writers)}
	f.ctx, f.cancel = context.WithCancelCause(x.ctx)
	for range cap(f.free) {
		f.free <- nil
	}
	for range writers {
		f.work.Go(f.writer)
	}
	return f
}

// add has a member's data written under name. Where the archive is a plain file the
// data is copied from there, else it is read from data here.
func (f *files) add(name string, m member, data io.Reader) error {
	j := job{name: name, m: m}
	if file, ok := f.src.file.(*os.File); ok && f.src.seek != nil && !m.sparse {
		j.from = file
		return f.send(j)
	}
	j.chunks = make(chan []byte, cap(f.free))
	if err := f.send(j); err != nil {
		return err
	}
	defer close(j.chunks)
	for left := m.Size; left > 0; {
		var buf []byte
		select {
		case buf = <-f.free:
		case <-f.ctx.Done():
			return context.Cause(f.ctx)
		}
		if buf == nil {
			buf = make([]byte, chunk)
		}
		n, err := io.ReadFull(data, buf[:min(left, chunk)])
		left -= int64(n)
		j.chunks <- buf[:n]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = refuse(m.Name, "%w: %d bytes are missing", ErrShort, left)
		}
		if err != nil {
			f.cancel(err)
			return err
		}
	}
	return nil
}

func (f *files) send(j job) error {
	select {
	case f.jobs <- j:
		return nil
	case <-f.ctx.Done():
		return context.Cause(f.ctx)
	}
}

// wait returns when no file is under way any more, with the first error.
func (f *files) wait() error {
	close(f.jobs)
	f.work.Wait()
	f.committing.Wait()
	return context.Cause(f.ctx)
}

// writer writes one file after the other.
func (f *files) writer() {
	for j := range f.jobs {
		if f.ctx.Err() == nil {
			if err := f.write(j); err != nil {
				f.cancel(err)
			}
		}
		if j.chunks == nil {
			continue
		}
		for buf := range j.chunks { // what an error has left
			f.free <- buf[:cap(buf)]
		}
	}
}

func (f *files) write(j job) error {
	f.mu.Lock()
	f.begun = append(f.begun, j.name)
	f.mu.Unlock()
	file, err := f.tree.Create(j.name)
	if err != nil {
		return err
	}
	if j.from != nil {
		err = f.copy(file, j)
	} else {
		err = f.gather(file, j)
	}
	if err == nil && j.m.Size >= early {
		host.WriteBack(file, 0, j.m.Size)
	}
	a := f.tree.Attr(j.m.Mode.Perm())
	a.ModTime = j.m.ModTime
	if err := f.tree.Finish(file, a, err); err != nil {
		return err
	}
	return f.finished(j)
}

// copy copies from the archive's file, which the kernel does without us.
func (f *files) copy(file *os.File, j job) error {
	for done := int64(0); done < j.m.Size; {
		n := min(j.m.Size-done, copyBytes)
		err := host.CopyRange(file, j.from, j.m.off+done, n)
		if err == io.ErrUnexpectedEOF {
			err = refuse(j.m.Name, "%w: some of %d bytes are missing", ErrShort, j.m.Size)
		}
		if err != nil {
			return err
		}
		if err := f.progress(n); err != nil {
			return err
		}
		done += n
	}
	return nil
}

func (f *files) gather(file *os.File, j job) error {
	left := j.m.Size
	for buf := range j.chunks {
		_, err := file.Write(buf)
		n := int64(len(buf))
		left -= n
		f.free <- buf[:cap(buf)]
		if err != nil {
			return err
		}
		if err := f.progress(n); err != nil {
			return err
		}
	}
	if left > 0 {
		return context.Cause(f.ctx) // add gave up
	}
	return nil
}

func (f *files) progress(n int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done += n
	if f.o.Progress != nil {
		f.o.Progress(f.done, f.total)
	}
	return context.Cause(f.ctx)
}

// finished takes a file into the batch. A full one is committed while others are
// written, unless the digest of the archive is still to be seen.
func (f *files) finished(j job) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.batch) == 0 {
		f.since = time.Now()
	}
	f.batch = append(f.batch, j.name)
	f.batchBytes += j.m.Size
	full := len(f.batch) >= batchFiles || f.batchBytes >= batchBytes || time.Since(f.since) >= batchTime
	if !full || f.busy || f.sums != nil {
		return nil
	}
	batch := f.batch
	f.batch, f.batchBytes, f.busy = nil, 0, true
	f.committing.Go(func() {
		if err := f.commit(batch); err != nil {
			f.cancel(err)
		}
		f.mu.Lock()
		f.busy = false
		f.mu.Unlock()
	})
	return nil
}

// commit makes files durable, then gives them their names.
func (f *files) commit(batch []string) error {
	if len(batch) == 0 {
		return nil
	}
	if err := f.tree.Commit(); err != nil {
		return err
	}
	for _, name := range batch {
		if err := f.tree.Rename(name); err != nil {
			return err
		}
	}
	return nil
}

// publish commits what is left.
func (f *files) publish() error { return f.commit(f.batch) }

// discard removes the partial files; what has its name already has none.
func (f *files) discard() {
	for _, name := range f.begun {
		f.tree.Discard(name)
	}
}
