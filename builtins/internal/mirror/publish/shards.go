package publish

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"path"
	"strings"

	"runbook/builtins/internal/repodata"
	"runbook/builtins/internal/shards"
	"runbook/runtime/host"
	"runbook/runtime/host/tree"
)

// ShardsDir is where shards lie, in a subdir.
const ShardsDir = "shards"

// The permissions of what is published: everybody may read it.
const (
	DirMode  = 0o755
	FileMode = 0o644
)

// Shards makes the shards of the records of one index (CEP 16). They are there before the file that lists them; those
// that no list names any more stay, for clients that still hold an older one.
type Shards struct {
	tree    *tree.Writer
	root    *host.Root
	subdir  string
	list    io.Writer
	builder *shards.Builder
}

// NewShards returns Shards of a subdir below root whose list goes to list.
func NewShards(w *tree.Writer, root *host.Root, subdir string, list io.Writer) (*Shards, error) {
	b, err := shards.NewBuilder(subdir)
	if err == nil {
		_, err = w.Mkdir(path.Join(subdir, ShardsDir), w.Attr(DirMode))
	}
	return &Shards{w, root, subdir, list, b}, err
}

// Add takes a record into its shard.
func (s *Shards) Add(r *repodata.Record) error {
	return s.builder.Add(shards.Section(r.Section), r.File, r.Raw)
}

// Close writes the shards and their list; removed are the files that the source calls so.
func (s *Shards) Close(removed []string) error {
	for _, f := range removed {
		if err := s.builder.Remove(f); err != nil {
			continue // a name that no shard can have
		}
	}
	return s.builder.Build(s.put)
}

// put writes a shard, unless the very same is there, or the list.
func (s *Shards) put(file string, data []byte) error {
	name := path.Join(s.subdir, file)
	if file == shards.IndexFile {
		_, err := s.list.Write(data)
		return tree.Wrap(name, err)
	}
	if s.has(name) {
		return nil
	}
	f, err := s.tree.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := s.tree.Finish(f, s.tree.Attr(FileMode), err); err != nil {
		return tree.Wrap(name, err)
	}
	return s.tree.Rename(name)
}

// has reports whether a shard, which is named for its digest, is there and whole.
func (s *Shards) has(name string) bool {
	f, err := s.root.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && strings.HasPrefix(path.Base(name), hex.EncodeToString(h.Sum(nil)))
}
