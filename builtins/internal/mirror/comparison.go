package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"runbook/builtins/internal/mirror/state"
	"runbook/builtins/internal/repodata"
	"runbook/runtime/host"
)

var errNotDir = syscall.ENOTDIR

// A sizedHash counts what it hashes.
type sizedHash struct {
	h io.Writer
	n int64
}

// Write never fails.
func (s *sizedHash) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	return s.h.Write(p)
}

// A comparison goes over the records of one subdir and compares those that stay with the disk, many at a time.
type comparison struct {
	w     *planner
	plan  *Plan
	ctx   context.Context
	in    *subdir
	taken shadows
	batch []item // their files are views of text
	names []string
	text  []byte
	found map[string]state.Known

	packages, twice, odd int
	failed               error // of the disk, not of the index
}

// keep decides on one record. Its order is that of Plan.keeps, which decides again when the index is published.
func (c *comparison) keep(source int, r *repodata.Record) (bool, error) {
	if c.taken.shadowed(r) {
		c.twice++
		return false, nil
	}
	if !c.plan.selector.Keeps(c.in.name, c.in.sources[source].n, r) {
		c.plan.Report.FilteredOut++
		return false, nil
	}
	if !r.Named() {
		c.odd++
	}
	c.packages++
	it := item{in: c.in, file: c.view(r.File), size: r.Size, sum: state.SumOf(&r.Fields), source: uint16(source)}
	if c.plan.mirror.Both && r.SHA256 != "" && r.MD5 != "" {
		s := state.ParseSum(state.MD5, r.MD5)
		it.md5 = &s
	}
	if c.elsewhere(&it) {
		return true, nil
	}
	if it.sum.Kind == state.None {
		c.plan.Report.Unverified++
	}
	c.names, c.batch = append(c.names, it.file), append(c.batch, it)
	if len(c.batch) < batchLen {
		return true, nil
	}
	c.failed = c.flush()
	return true, c.failed
}

const batchLen = 2048

// view copies s to where it stays until the batch is flushed.
func (c *comparison) view(s string) string {
	const longest = 256
	if c.text == nil {
		c.text = make([]byte, 0, batchLen*longest)
	}
	n := len(c.text)
	if n+len(s) > cap(c.text) {
		return strings.Clone(s)
	}
	c.text = append(c.text, s...)
	return unsafe.String(unsafe.SliceData(c.text[n:]), len(s))
}

// blame tells whose error it was that ended the reading.
func (c *comparison) blame(err error) error {
	if c.failed != nil || c.ctx.Err() != nil || len(c.in.sources) == 0 {
		return err
	}
	x := &c.in.sources[0]
	var one *repodata.SourceError
	if errors.As(err, &one) {
		x, err = &c.in.sources[one.Source], one.Err
	}
	return c.in.indexError(x, err)
}

// flush compares the batch with the disk.
func (c *comparison) flush() error {
	var unsure []doubt
	for i, m := range c.plan.r.LstatAll(path.Join(c.plan.dir, c.in.name), c.names) {
		it := &c.batch[i]
		sure, err := c.look(it, m)
		if err != nil {
			return err
		}
		if !sure {
			unsure = append(unsure, doubt{it, state.Known{Size: m.Size, Mtime: m.ModTime.UnixNano(), Ino: m.Ino, Sum: it.sum}})
		}
	}
	err := c.hash(unsure)
	c.names, c.batch, c.text = c.names[:0], c.batch[:0], c.text[:0]
	return err
}

// look decides on an item by what can be seen of its file. It is unsure where only its bytes can tell.
func (c *comparison) look(it *item, m host.Seen) (sure bool, err error) {
	switch {
	case m.Err != nil:
		if err := unlessAbsent(m.Err); err != nil {
			return false, err
		}
		c.fetch(it, false)
		return true, nil
	case m.Mode.IsDir():
		return false, fmt.Errorf("%s: is a directory", path.Join(c.plan.dir, it.name()))
	}
	if !c.w.owned(m) || !m.Mode.IsRegular() || it.size >= 0 && m.Size != it.size {
		c.fetch(it, true)
		return true, nil
	}
	k, ok := c.in.state.Find(it.file)
	switch {
	case ok && !c.plan.mirror.Full && k.Knows(m) && (k.Sum == it.sum || it.sum.Kind == state.None):
		c.in.kept++
		return true, nil
	case it.sum.Kind == state.None: // nothing tells whether it is the right one
		c.fetch(it, true)
		return true, nil
	case ok && !c.plan.mirror.Full && k.Knows(m) && k.Sum.Kind == it.sum.Kind:
		c.fetch(it, true)
		return true, nil
	}
	return false, nil
}

func (c *comparison) fetch(it *item, replaces bool) {
	lasting := *it
	lasting.file, lasting.replaces = strings.Clone(it.file), replaces
	c.in.fetch = append(c.in.fetch, &lasting)
}

// A doubt is about an item of which there is a file that may be the right one.
type doubt struct {
	*item
	seen state.Known // if it is
}

// hash reads files of the tree, some at once. What they turn out to be is remembered.
func (c *comparison) hash(doubts []doubt) error {
	errs := make([]error, len(doubts))
	right := make([]bool, len(doubts))
	slots := make(chan struct{}, localWorkers())
	var done sync.WaitGroup
	for i, it := range doubts {
		content, err := c.plan.r.Content(path.Join(c.plan.dir, it.name()))
		if err != nil {
			errs[i] = err
			break
		}
		slots <- struct{}{}
		done.Go(func() {
			right[i], errs[i] = c.holds(content, it.item)
			<-slots
		})
	}
	done.Wait()
	for i, it := range doubts {
		switch {
		case right[i]:
			c.in.kept++
			if k, ok := c.in.state.Find(it.file); !ok || k != it.seen {
				c.found[strings.Clone(it.file)] = it.seen
			}
		case errs[i] == nil:
			c.fetch(it.item, true)
		}
	}
	return errors.Join(errs...)
}

func (c *comparison) holds(content host.Content, it *item) (bool, error) {
	f, err := content.Reader()
	if err != nil {
		return false, err
	}
	defer f.Close()
	d := state.NewDigest(it.sum.Kind, it.md5 != nil)
	if err := transfer(c.ctx, d, f); err != nil {
		return false, err
	}
	return d.Differs(it.sum, it.md5) == "", nil
}

const block = 128 << 10 // bytes read at once

var blocks = sync.Pool{New: func() any { return new([block]byte) }}

// transfer copies all of r until ctx ends.
func transfer(ctx context.Context, w io.Writer, r io.Reader) error {
	buf := blocks.Get().(*[block]byte)
	defer blocks.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf[:])
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
