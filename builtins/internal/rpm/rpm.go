// Package rpm reads RPM packages without rpm: the headers of a file that may
// exist only in a dry run, names of files, and the order of versions.
//
// Two things to know. It reads headers, never the payload, so a package of any
// size costs a few kilobytes. And what scriptlets do can only be guessed:
// [Package.Users] and [Package.Groups] are for what a dry run believes, never for
// what a real run asserts.
//
// The parser, some 400 lines, is written here because a dry run needs two dozen tags
// and no more: rpm itself checks signatures and unpacks payloads. In exchange
// it reads from any io.Reader, such as the content of a file that only an overlay
// has, allocates by what has arrived rather than by what a header claims, and
// refuses names and indexes that do not fit: a dry run believes what it returns.
//
// The builtin yum calls it. The format is described in rpm's own manual
// (docs/manual/format_v4.md, format_header.md and tags.md) and in LSB 3.1,
// chapter 22.
package rpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"
)

// A Package is what the headers of an RPM file say.
type Package struct {
	Name, Version, Release string
	Epoch                  string // "" if there is none; rpm then takes 0
	Arch                   string
	Source                 bool // a source package
	// SHA256 and SHA1 are digests, in hex, of the header: two builds of one version differ in them, two signatures of
	// one build do not. rpm keeps one or both of an installed package.
	SHA256, SHA1 string
	Files        []File
	Provides     []string // names, without versions
	Scripts      []string // texts of those of %pretrans, %pre, %post and %posttrans that it has
}

// A File is one file that a package installs.
type File struct {
	Name         string      // absolute and clean; in a source package, without a directory
	Mode         fs.FileMode // type, permissions and special bits
	Owner, Group string      // names
	Size         int64       // bytes
	ModTime      time.Time
	Target       string // of a symbolic link
	Ghost        bool   // belongs to the package but is not installed with it
}

// EVR returns epoch, version and release as rpm writes them: "1:2.6.8-1".
func (p *Package) EVR() string {
	evr := p.Version + "-" + p.Release
	if p.Epoch != "" {
		evr = p.Epoch + ":" + evr
	}
	return evr
}

const (
	leadSize = 96
	maxIndex = 1 << 16  // entries of a header, as rpm limits them
	maxStore = 64 << 20 // bytes of data of a header; the largest packages have about 30 MB
)

// Read reads the headers at the beginning of an RPM file.
// It never reads beyond them.
func Read(r io.Reader) (*Package, error) {
	lead := make([]byte, leadSize)
	if _, err := io.ReadFull(r, lead); err != nil {
		return nil, short(err)
	}
	if string(lead[:4]) != "\xed\xab\xee\xdb" {
		return nil, fmt.Errorf("is no RPM package: got the magic number %x, want edabeedb", lead[:4])
	}
	if lead[4] < 3 || lead[4] > 4 {
		return nil, fmt.Errorf("got format version %d, want 3 or 4", lead[4])
	}
	sig, err := readHeader(r)
	if err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	if _, err := io.CopyN(io.Discard, r, int64(-len(sig.store)&7)); err != nil {
		return nil, short(err)
	}
	h, err := readHeader(r)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	p, err := h.pack()
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	p.SHA256, p.SHA1 = h.digests()
	p.Source = binary.BigEndian.Uint16(lead[6:]) == 1
	return p, p.checkNames()
}

// short returns err; if it says that the file ended, in words that say so.
func short(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the file ends early: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// readHeader reads one header structure.
func readHeader(r io.Reader) (*table, error) {
	intro := make([]byte, 16)
	if _, err := io.ReadFull(r, intro); err != nil {
		return nil, short(err)
	}
	if string(intro[:4]) != "\x8e\xad\xe8\x01" {
		return nil, fmt.Errorf("got the magic number %x, want 8eade801", intro[:4])
	}
	entries, size := binary.BigEndian.Uint32(intro[8:]), binary.BigEndian.Uint32(intro[12:])
	if entries > maxIndex || size > maxStore {
		return nil, fmt.Errorf("got %d entries and %d bytes, want at most %d and %d", entries, size, maxIndex, maxStore)
	}
	// The buffer grows with what arrives, not with what is claimed.
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(entries)*16+int64(size)); err != nil {
		return nil, short(err)
	}
	h := &table{index: map[uint32]entry{}, store: b.Bytes()[entries*16:], raw: [2][]byte{intro, b.Bytes()}}
	for i := b.Bytes()[:entries*16]; len(i) > 0; i = i[16:] {
		tag := binary.BigEndian.Uint32(i)
		h.index[tag] = entry{
			kind: binary.BigEndian.Uint32(i[4:]), offset: binary.BigEndian.Uint32(i[8:]),
			count: binary.BigEndian.Uint32(i[12:]),
		}
	}
	return h, nil
}

// checkNames returns an error if p has a name that no package may have, or
// installs a file under one.
func (p *Package) checkNames() error {
	if p.Name == "" || p.Version == "" || p.Release == "" || strings.ContainsAny(p.Name+p.Version+p.Release, "/ \t\n") {
		return fmt.Errorf("got name %q, version %q, release %q", p.Name, p.Version, p.Release)
	}
	for _, f := range p.Files {
		if p.Source && !strings.Contains(f.Name, "/") {
			continue
		}
		if !path.IsAbs(f.Name) || path.Clean(f.Name) != f.Name || strings.ContainsRune(f.Name, 0) {
			return fmt.Errorf("file %q: want an absolute, clean name", f.Name)
		}
	}
	return nil
}
