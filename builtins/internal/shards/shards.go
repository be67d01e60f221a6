// Package shards reads and writes sharded repodata (CEP 16): the index of one
// subdir of a conda channel, cut into one file for each package name, and one
// file that lists these by their digests.
//
// Both ways lead through the text of a repodata.json, so that whoever mirrors a
// channel need know only that: [Index.WriteJSON] makes it of shards, a [Builder] makes
// shards of its records. What is read comes from outside, so reading is strict and
// bounded; what is written depends on the records only, never on a clock.
//
// The mirror engine calls it. It reads and writes only memory.
package shards

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"runbook/builtins/internal/compress"
)

const (
	// IndexFile is what the list of shards is called, in the directory of the subdir.
	IndexFile = "repodata_shards.msgpack.zst"

	version  = 1
	maxIndex = 256 << 20 // bytes, decompressed; that of the largest channel has 2 MB
	maxName  = 64        // bytes of a package's name: CEP 26
	maxNames = 4 << 20
)

// An Index lists the shards of a subdir.
type Index struct {
	Subdir        string // "linux-64"; "" if the index does not say
	BaseURL       string // where packages are, relative to the index or absolute; "" for beside it
	ShardsBaseURL string // where shards are, likewise; a missing slash at its end is meant
	Shards        []Shard
}

// A Shard is a file with all records of one package name.
type Shard struct {
	Name   string   // of the package, by the grammar of CEP 26
	Digest [32]byte // SHA-256 of the file
}

// File returns the name of the shard's file, below ShardsBaseURL.
func (s Shard) File() string { return hex.EncodeToString(s.Digest[:]) + ".msgpack.zst" }

// check refuses data that is not the shard's file.
func (s Shard) check(data []byte) error {
	if got := sha256.Sum256(data); got != s.Digest {
		return fmt.Errorf("got a wrong digest: sha256 %x, want %x", got, s.Digest)
	}
	return nil
}

// Parse reads an IndexFile. Shards are sorted by name. Keys that it does not know are
// ignored, as CEP 16 wants; anything else that is not as it should be is an error.
func Parse(compressed []byte) (*Index, error) {
	pieces, err := compress.NewPieces(maxIndex)
	if err != nil {
		return nil, err
	}
	raw, err := pieces.Unpack(nil, compressed)
	if err != nil {
		return nil, err
	}
	r, index, seen := newReader(raw), &Index{}, false
	for m := r.enterMap(); r.next(&m); {
		switch m.key {
		case "version":
			r.version()
		case "info":
			r.info(index)
		case "shards":
			seen = true
			r.shards(index)
		default:
			r.skip()
		}
	}
	if r.end(); r.err == nil && !seen {
		r.fail("got no shards, want a map of them")
	}
	slices.SortFunc(index.Shards, func(a, b Shard) int { return strings.Compare(a.Name, b.Name) })
	return index, r.err
}

func (r *reader) version() {
	if n := r.int(); r.err == nil && n != version {
		r.fail("got version %d, want %d", n, version)
	}
}

func (r *reader) info(index *Index) {
	for m := r.enterMap(); r.next(&m); {
		switch m.key {
		case "subdir":
			index.Subdir = r.textIfAny(m.key)
		case "base_url":
			index.BaseURL = r.textIfAny(m.key)
		case "shards_base_url":
			index.ShardsBaseURL = r.textIfAny(m.key)
		default:
			r.skip()
		}
	}
}

func (r *reader) shards(index *Index) {
	for m := r.enterMap(); r.next(&m); {
		s := Shard{Name: strings.Clone(m.key)} // what is read is to go
		if err := checkName(s.Name); err != nil {
			r.fail("%v", err)
		}
		if len(index.Shards) == maxNames {
			r.fail("got more than %d names", maxNames)
		}
		copy(s.Digest[:], r.digest(m.key, len(s.Digest)))
		index.Shards = append(index.Shards, s)
	}
}

// checkName returns an error unless name can be a package's (CEP 26): at most 64 letters, digits, dots, underscores
// and dashes, no two of ._- in a row, the first a letter, a digit or an underscore. A name may begin with two
// underscores, which CEP 26 keeps for virtual packages, because "defaults" has such a package.
func checkName(name string) error {
	body := strings.TrimPrefix(name, "_")
	separators := func(a, b byte) bool { return strings.IndexByte("._-", a) >= 0 && strings.IndexByte("._-", b) >= 0 }
	for i := range len(body) {
		c := body[i]
		switch {
		case i > 0 && separators(body[i-1], c):
			return fmt.Errorf("got the name %.70q with %q, want no two separators in a row", name, body[i-1:i+1])
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' ||
			i > 0 && (c == '-' || c == '.'):
		default:
			return fmt.Errorf("got the name %.70q with %q there, want letters, digits and ._-", name, c)
		}
	}
	if body == "" || len(name) > maxName {
		return fmt.Errorf("got the name %.70q of %d bytes, want 1 to %d", name, len(name), maxName)
	}
	return nil
}

// firstTwice returns an item that is there twice. It sorts items.
func firstTwice(items []string) (string, bool) {
	slices.Sort(items)
	for i := 1; i < len(items); i++ {
		if items[i] == items[i-1] {
			return items[i], true
		}
	}
	return "", false
}
