package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"sync"
)

const (
	batchFiles = 256       // open at a time
	batchBytes = 256 << 20 // not yet synced
	syncers    = 8         // fsyncs at a time: a journal commits them together
	copyBytes  = 16 << 20  // between two looks at the context
)

// tmpName is where a file is written before it gets its name. It is the same in
// every run, so that the next one removes what a killed one left.
func tmpName(name string) string {
	sum := sha256.Sum256([]byte(path.Base(name)))
	return path.Join(path.Dir(name), tmpPrefix+hex.EncodeToString(sum[:12]))
}

// file writes the data of m, to be called name.
func (x *extraction) file(name string, m member, data io.Reader) error {
	tmp := tmpName(name)
	if err := x.remove(tmp); err != nil {
		return err
	}
	f, err := x.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	x.writing = append(x.writing, pending{name, f})
	if err := x.copy(f, m, data); err != nil {
		return err
	}
	if err := x.settle(tmp, m.Mode.Perm()); err != nil {
		return err
	}
	if err := x.root.Chtimes(tmp, m.ModTime, m.ModTime); err != nil {
		return err
	}
	x.touched[path.Dir(name)] = true
	x.batch += m.Size
	if len(x.writing) < batchFiles && x.batch < batchBytes {
		return nil
	}
	if err := x.sync(); err != nil || x.sums != nil {
		return err
	}
	return x.rename()
}

// copy copies from the file itself where it can, which the kernel does without
// us, and goes back for archive/tar, which will pass over the data on its own.
func (x *extraction) copy(f *os.File, m member, data io.Reader) error {
	direct := x.src.seek != nil
	if direct {
		data = x.src.file
	}
	for left := m.Size; left > 0; {
		if x.ctx.Err() != nil {
			return context.Cause(x.ctx)
		}
		n, err := io.CopyN(f, data, min(left, copyBytes))
		left -= n
		x.done += n
		if err == io.EOF {
			err = refuse(m.Name, "%w: %d bytes are missing", ErrShort, left)
		}
		if err != nil {
			return err
		}
		if x.o.Progress != nil {
			x.o.Progress(x.done, x.total)
		}
	}
	if !direct {
		return nil
	}
	_, err := x.src.Seek(m.off, io.SeekStart)
	return err
}

// sync brings the open files to the disk and closes them.
func (x *extraction) sync() error {
	errs := make([]error, len(x.writing))
	var wg sync.WaitGroup
	slots := make(chan struct{}, syncers)
	for i, p := range x.writing {
		slots <- struct{}{}
		wg.Go(func() {
			errs[i] = errors.Join(p.file.Sync(), p.file.Close())
			<-slots
		})
	}
	wg.Wait()
	x.ready = append(x.ready, x.writing...)
	x.writing, x.batch = nil, 0
	return errors.Join(errs...)
}

// rename gives the synced files their names.
func (x *extraction) rename() error {
	for len(x.ready) > 0 {
		name := x.ready[0].name
		if err := x.root.Rename(tmpName(name), name); err != nil {
			return err
		}
		x.ready = x.ready[1:]
	}
	return nil
}

// syncDirs brings the names themselves to the disk.
func (x *extraction) syncDirs() error {
	for name := range x.touched {
		d, err := x.root.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
	}
	return nil
}
