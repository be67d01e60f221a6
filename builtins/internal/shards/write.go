package shards

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"sync"

	"runbook/builtins/internal/compress"
)

const (
	parallel = 16        // calls of Get at once
	maxShard = 64 << 20  // bytes, decompressed; real ones have up to 10 MB
	maxKept  = 512 << 20 // bytes, compressed, of shards that are read more than once
)

// A Get returns the file of a shard, s.File() below the index's ShardsBaseURL.
// Several goroutines call it at once.
type Get func(s Shard) (compressed []byte, err error)

// WriteJSON writes the whole subdir as the text of a repodata.json: the info, the records of all
// shards in the order of their names and within one in its own order, and what was removed,
// sorted. Equal shards give equal bytes.
//
// Up to 16 calls of get run at once; all have returned when WriteJSON does. Each shard must have
// its digest and list only records whose "name" is that of the shard. Digests that it has as bytes become
// hex. All other values are those of the record; what JSON cannot say is an error. "v3" (CEP 48) is carried
// over, keys that are not known are ignored.
//
// The text has packages of all shards in front of packages.conda of all shards, so every shard with
// more than packages is kept, compressed, until the end: that is some 50 MB for the
// largest channels, and an error beyond 512 MiB.
func (x *Index) WriteJSON(w io.Writer, get Get) error {
	pieces, err := compress.NewPieces(maxShard)
	if err != nil {
		return err
	}
	out := &joiner{w: bufio.NewWriterSize(w, 64<<10), pieces: pieces}
	out.head(x)
	out.open("packages")
	err = x.each(get, func(s Shard, data []byte) error {
		if err := s.check(data); err != nil {
			return err
		}
		return out.first(s.Name, data)
	})
	if err != nil {
		return err
	}
	out.w.WriteString("},\n")
	if err := out.rest(x); err != nil {
		return err
	}
	return out.w.Flush()
}

// each calls f with every shard in order, while the files of the next ones are on their way.
func (x *Index) each(get Get, f func(Shard, []byte) error) error {
	type result struct {
		data []byte
		err  error
	}
	var calls sync.WaitGroup
	defer calls.Wait()
	var results [parallel]chan result
	next := 0
	for i, s := range x.Shards {
		for ; next < min(i+parallel, len(x.Shards)); next++ {
			c, s := make(chan result, 1), x.Shards[next]
			results[next%parallel] = c
			calls.Go(func() {
				data, err := get(s)
				c <- result{data, err}
			})
		}
		got := <-results[i%parallel]
		if got.err == nil {
			got.err = f(s, got.data)
		}
		if got.err != nil {
			return fmt.Errorf("shard %s: %w", s.Name, got.err)
		}
	}
	return nil
}

// A joiner writes the text of an index of many shards. Errors of w stay in it until it is flushed.
type joiner struct {
	w       *bufio.Writer
	pieces  *compress.Pieces
	raw     []byte // the last shard
	text    []byte // its last record
	sep     string // in front of the next record
	kept    []kept
	size    int      // bytes of these
	v3      []string // the sections of v3 that shards have
	removed []string
}

// kept is a shard with sections that are still to be written.
type kept struct {
	name string
	data []byte
}

func (o *joiner) head(x *Index) {
	text := []byte("{\n\"info\":{")
	if x.Subdir != "" {
		text = appendString(appendKey(text, "subdir"), x.Subdir)
	}
	if x.BaseURL != "" {
		text = appendString(appendKey(text, "base_url"), x.BaseURL)
	}
	o.w.Write(append(text, "},\n"...))
}

// open begins an object of records.
func (o *joiner) open(key string) {
	o.w.Write(append(appendString(nil, key), ":{"...))
	o.sep = "\n"
}

// first writes the packages of a shard and keeps it if there is more in it.
func (o *joiner) first(name string, data []byte) error {
	more, err := o.read(name, data, section{"packages", ""})
	if err == nil {
		_, err = o.w.Write(nil) // whether w had an error
	}
	if err != nil || !more {
		return err
	}
	if o.size += len(data); o.size > maxKept {
		return fmt.Errorf("got more than %d bytes of shards", maxKept)
	}
	o.kept = append(o.kept, kept{name, data})
	return nil
}

// rest writes what is behind "packages".
func (o *joiner) rest(x *Index) error {
	if err := o.again(section{"packages.conda", ""}); err != nil {
		return err
	}
	if len(o.v3) > 0 {
		o.w.WriteString(",\n\"v3\":{")
		slices.Sort(o.v3)
		for i, ext := range o.v3 {
			o.comma(i)
			if err := o.again(section{"v3", ext}); err != nil {
				return err
			}
		}
		o.w.WriteString("}")
	}
	o.w.WriteString(",\n\"removed\":[")
	slices.Sort(o.removed)
	for i, file := range slices.Compact(o.removed) {
		o.comma(i)
		o.w.Write(appendString(nil, file))
	}
	version := 1
	if x.BaseURL != "" {
		version = 2 // CEP 15
	}
	fmt.Fprintf(o.w, "],\n\"repodata_version\":%d\n}\n", version)
	return nil
}

func (o *joiner) comma(i int) {
	if i > 0 {
		o.w.WriteByte(',')
	}
}

// again writes one section of the shards that are kept.
func (o *joiner) again(want section) error {
	key := want.ext
	if key == "" {
		key = want.top
	}
	o.open(key)
	for _, k := range o.kept {
		if _, err := o.read(k.name, k.data, want); err != nil {
			return fmt.Errorf("shard %s: %w", k.name, err)
		}
	}
	o.w.WriteByte('}')
	return nil
}
