package mirror

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path"
	"strings"

	"runbook/builtins/internal/repodata"
	"runbook/builtins/internal/shards"
	"runbook/runtime/host/tree"
)

// shardsDir is where shards lie, in a subdir.
const shardsDir = "shards"

// A shardWriter makes shards of the records of one index (CEP 16). They are there before the file that lists
// them; those that no list names any more stay, for clients that still hold an older one.
type shardWriter struct {
	*filler
	s     *subdir
	index *os.File // the list
	b     *shards.Builder
}

func (f *filler) newShardWriter(s *subdir, index *os.File) (*shardWriter, error) {
	b, err := shards.NewBuilder(s.name)
	if err == nil {
		err = f.mkdir(path.Join(s.name, shardsDir))
	}
	return &shardWriter{f, s, index, b}, err
}

func (w *shardWriter) add(r *repodata.Record) error {
	return w.b.Add(shards.Section(r.Section), r.File, r.Raw)
}

func (w *shardWriter) close() error {
	for _, f := range w.s.removed {
		if err := w.b.Remove(f); err != nil {
			continue // a name that no shard can have
		}
	}
	return w.b.Build(w.put)
}

// put writes a shard, unless the very same is there, or the list.
func (w *shardWriter) put(file string, data []byte) error {
	name := path.Join(w.s.name, file)
	if file == shards.IndexFile {
		_, err := w.index.Write(data)
		return tree.Wrap(name, err)
	}
	if w.has(name) {
		return nil
	}
	f, err := w.tree.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := w.settle(f, err); err != nil {
		return tree.Wrap(name, err)
	}
	return w.tree.Rename(name)
}

// has reports whether a shard, which is named for its digest, is there and whole.
func (w *shardWriter) has(name string) bool {
	f, err := w.root.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && strings.HasPrefix(path.Base(name), hex.EncodeToString(h.Sum(nil)))
}
