package shards

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"runbook/builtins/internal/compress"
)

// A Section says where in a repodata.json a record stands.
type Section uint8

// The sections of packages that conda installs. The keys of the first two are names of
// files, those of v3 (CEP 48) lack the extension.
const (
	Packages      Section = iota // "packages"
	PackagesConda                // "packages.conda"
	V3TarBz2                     // "tar.bz2" of "v3"
	V3Conda                      // "conda" of "v3"
	sections
)

const (
	shardsDir = "shards/"
	smallRun  = 1 << 10 // bytes of records that are not worth compressing
	largeRun  = 1 << 20 // that are compressed together at most
)

// A Builder makes the shards of one subdir of the records of its index. These may
// come in any order; until Build they are held as msgpack, compressed wherever there is more than a
// little of one name in a row. That is a quarter of the index's text if it is sorted by file, as
// most are, and half if it has no order. A Builder is for one goroutine at a time.
type Builder struct {
	subdir string
	pieces *compress.Pieces
	pack   packer
	names  map[string]*group
	last   *part // the records in text belong to
	text   []byte
	packed []byte // scratch
}

// A group is what will be a shard.
type group struct {
	parts   [sections]part
	removed []string
}

// A part is the records of one name and section, as members of a map.
type part struct {
	n      uint32
	packed [][]byte
	rest   []byte // those behind packed, plain
}

// NewBuilder returns a Builder for a subdir, "linux-64".
func NewBuilder(subdir string) (*Builder, error) {
	pieces, err := compress.NewPieces(maxShard)
	return &Builder{subdir: subdir, pieces: pieces, names: map[string]*group{}}, err
}

// Add takes a record, whose JSON text must be that of a strictly read index, each file once.
// Its key is its file, its shard that of its "name" in lower case: clients ask for nothing else.
func (b *Builder) Add(s Section, file, record string) error {
	start := len(b.text)
	text, name, err := b.pack.packRecord(msgp.AppendString(b.text, file), record, b.subdir)
	if b.text = text; err == nil {
		err = checkName(name)
	}
	if err == nil && (s >= sections || !plainFile(file)) {
		err = fmt.Errorf("got section %d, want a file in one of %d", s, sections)
	}
	if err != nil {
		b.text = b.text[:start]
		return fmt.Errorf("%.220q: %w", file, err)
	}
	if p := &b.group(name).parts[s]; p != b.last || len(b.text) > largeRun {
		b.settle(start)
		b.last = p
	}
	b.last.n++
	return nil
}

// Remove takes a file that is no longer installable: name-version-build and an extension.
func (b *Builder) Remove(file string) error {
	stem := file
	for range 2 {
		stem = stem[:max(0, strings.LastIndexByte(stem, '-'))]
	}
	if err := checkName(stem); err != nil || !plainFile(file) {
		return fmt.Errorf("removed %.220q: got no name of a file as conda builds it", file)
	}
	g := b.group(stem)
	g.removed = append(g.removed, strings.Clone(file))
	return nil
}

func (b *Builder) group(name string) *group {
	name = strings.ToLower(name)
	g := b.names[name]
	if g == nil {
		g = &group{}
		b.names[strings.Clone(name)] = g
	}
	return g
}

// settle puts the first n bytes of text into the part that they belong to.
func (b *Builder) settle(n int) {
	if p := b.last; p != nil {
		p.rest = append(p.rest, b.text[:n]...)
		if len(p.rest) > smallRun {
			b.packed = b.pieces.Pack(b.packed[:0], p.rest)
			p.packed, p.rest = append(p.packed, bytes.Clone(b.packed)), nil
		}
	}
	b.text = append(b.text[:0], b.text[n:]...)
}

// Build calls put with every shard, in the order of names, and then with the IndexFile, so that
// no index is ever there without its shards. file is a path below the subdir's directory; data is
// good until put returns. Equal calls of Add and Remove give equal files. A Builder is used up by it.
func (b *Builder) Build(put func(file string, data []byte) error) error {
	b.settle(len(b.text))
	index := b.head()
	index = msgp.AppendMapHeader(msgp.AppendString(index, "shards"), uint32(len(b.names)))
	var packed []byte
	for _, name := range slices.Sorted(maps.Keys(b.names)) {
		g := b.names[name]
		text, err := b.shard(g)
		if err != nil {
			return fmt.Errorf("shard %s: %w", name, err)
		}
		packed = b.pieces.Pack(packed[:0], text)
		s := Shard{name, sha256.Sum256(packed)}
		if err := put(shardsDir+s.File(), packed); err != nil {
			return err
		}
		*g = group{}
		index = msgp.AppendBytes(msgp.AppendString(index, name), s.Digest[:])
	}
	return put(IndexFile, b.pieces.Pack(packed[:0], index))
}

// head begins the index. base_url is there, empty, because clients insist on it.
func (b *Builder) head() []byte {
	text := msgp.AppendMapHeader(nil, 3)
	text = msgp.AppendInt(msgp.AppendString(text, "version"), version)
	text = msgp.AppendMapHeader(msgp.AppendString(text, "info"), 3)
	text = msgp.AppendString(msgp.AppendString(text, "base_url"), "")
	text = msgp.AppendString(msgp.AppendString(text, "shards_base_url"), "./"+shardsDir)
	return msgp.AppendString(msgp.AppendString(text, "subdir"), b.subdir)
}

// shard returns the msgpack of a shard.
func (b *Builder) shard(g *group) ([]byte, error) {
	v3 := g.parts[V3TarBz2].n+g.parts[V3Conda].n > 0
	text := msgp.AppendMapHeader(b.text[:0], 3)
	if v3 {
		text = msgp.AppendMapHeader(b.text[:0], 4)
	}
	text, err := b.members(msgp.AppendString(text, "packages"), g, Packages)
	if err == nil {
		text, err = b.members(msgp.AppendString(text, "packages.conda"), g, PackagesConda)
	}
	text = msgp.AppendArrayHeader(msgp.AppendString(text, "removed"), uint32(len(g.removed)))
	for _, file := range g.removed {
		text = msgp.AppendString(text, file)
	}
	if v3 && err == nil {
		text = msgp.AppendMapHeader(msgp.AppendString(text, "v3"), 2)
		if text, err = b.members(msgp.AppendString(text, "conda"), g, V3Conda); err == nil {
			text, err = b.members(msgp.AppendString(text, "tar.bz2"), g, V3TarBz2)
		}
	}
	if b.text = text; err == nil && len(text) > maxShard {
		err = fmt.Errorf("got %d bytes, want at most %d", len(text), maxShard)
	}
	return text, err
}

// members appends a map of the records of one section.
func (b *Builder) members(text []byte, g *group, s Section) (_ []byte, err error) {
	p := &g.parts[s]
	text = msgp.AppendMapHeader(text, p.n)
	for _, packed := range p.packed {
		if text, err = b.pieces.Unpack(text, packed); err != nil {
			return nil, err
		}
	}
	return append(text, p.rest...), nil
}
