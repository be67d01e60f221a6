package mirror

import "time"

// A batch gives fetched files their names together, once they are durable together: one commit of the file system
// instead of one for each.
type batch struct {
	filler *filler
	items  []*item
	bytes  int64
	since  time.Time // when the first came
}

const (
	batchFiles = 1000
	batchBytes = 256 << 20
	batchTime  = 20 * time.Second
)

// take accepts a package, if it could be had.
func (b *batch) take(it *item) error {
	if it.failed != nil {
		return nil
	}
	if len(b.items) == 0 {
		b.since = time.Now()
	}
	b.items = append(b.items, it)
	b.bytes += it.size
	if len(b.items) < batchFiles && b.bytes < batchBytes && time.Since(b.since) < batchTime {
		return nil
	}
	return b.flush()
}

// flush makes the files of the batch durable and names them, but for those that take the place of others: the published
// index still lists these.
func (b *batch) flush() error {
	if len(b.items) == 0 {
		return nil
	}
	items := b.items
	b.items, b.bytes = nil, 0
	if err := b.filler.tree.Commit(); err != nil { // what the kernel dropped must not be taken for whole next time
		for _, it := range items {
			b.filler.tree.Discard(it.name())
		}
		return err
	}
	for _, it := range items {
		if it.replaces {
			continue
		}
		if err := b.filler.tree.Rename(it.name()); err != nil {
			return err
		}
		it.named = true
	}
	const every = 30 * time.Second
	if time.Since(b.filler.saved) < every {
		return nil
	}
	return b.filler.saveStates()
}
