package mirror

import (
	"cmp"
	"fmt"
	"os"
)

// A batch makes fetched files durable together, which costs a fifth of doing it one by one.
type batch struct {
	*filler
	dir   string // the subdir
	files []fetched
	bytes int64
	later []replacement
}

// A replacement waits until the index that lists it is published: the old one lists
// the file that it replaces.
type replacement struct {
	it   *item
	what verified
}

// take accepts a package or keeps its error. The error returned is not one package's.
func (b *batch) take(p fetched) error {
	b.done++
	if report := b.plan.mirror.Progress; report != nil {
		report(fmt.Sprintf("%d of %d packages", b.done, b.plan.Report.Fetch))
	}
	if p.err != nil {
		if !fatal(p.err) {
			p.it.failed = p.err
			return nil
		}
		return p.err
	}
	b.files = append(b.files, p)
	b.bytes += p.it.size
	if len(b.files) < batchFiles && b.bytes < batchBytes {
		return nil
	}
	return b.flush()
}

// flush gives the files of the batch their names. A file that could not be made durable is not tried
// again: what the kernel dropped stays dropped, and a second fsync says nothing of it.
func (b *batch) flush() (err error) {
	files := b.files
	b.files, b.bytes = nil, 0
	for _, p := range files {
		if ferr := b.finish(p); err == nil {
			err = ferr
		}
	}
	if len(files) > 0 && err == nil {
		err = b.sync(b.dir)
	}
	return err
}

func (b *batch) finish(p fetched) error {
	name := p.it.name
	fi, err := p.file.Stat()
	if err := b.settle(p.file, err); err != nil {
		b.root.Remove(partial(name))
		return storage(name, err)
	}
	what := verified{fi.Size(), fi.ModTime().UnixNano(), p.sum}
	if p.it.replaces {
		b.later = append(b.later, replacement{p.it, what})
		return nil
	}
	return b.name(p.it, what)
}

func (b *batch) name(it *item, what verified) error {
	if err := b.rename(it.name); err != nil {
		return err
	}
	b.plan.disk.state.files[it.name] = what
	return nil
}

// swap puts replacements in place.
func (b *batch) swap() error {
	for _, r := range b.later {
		if err := b.name(r.it, r.what); err != nil {
			return err
		}
	}
	if len(b.later) == 0 {
		return nil
	}
	return b.sync(b.dir)
}

// settle gives a complete file its mode and owner, makes it durable and closes it. It does nothing but close
// after an earlier error, which it returns.
func (f *filler) settle(file *os.File, err error) error {
	if err == nil {
		err = file.Chmod(fileMode)
	}
	if err == nil && f.gives() {
		err = file.Chown(f.uid, f.gid)
	}
	if err == nil {
		err = file.Sync()
	}
	return cmp.Or(err, file.Close())
}
