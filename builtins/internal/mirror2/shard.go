package mirror

import (
	"os"

	"runbook/builtins/internal/repodata2"
)

// A shardWriter makes shards of the records of one index.
type shardWriter struct{ file *os.File }

func newShardWriter(f *filler, s *subdir, file *os.File) *shardWriter { return &shardWriter{file} }
func (w *shardWriter) add(r *repodata.Record) error                   { return nil }
func (w *shardWriter) close() error                                   { return nil }
