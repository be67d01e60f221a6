// Package state remembers which files of a subdir were verified, and by which digest.
//
// Two things to know. A file is the verified one if its size, time and inode are those that the state has: then it is
// not hashed again. And a state that is damaged or lost costs one hashing, nothing else, so that it is never trusted
// unless its own digest is right.
//
// Package mirror reads it through a host and writes it beside the tree.
package state

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"path"
	"unsafe"

	"runbook/runtime/host"
)

// Dir lies in the account's tree. For each subdir it holds what was verified (SUBDIR.state) and a
// manifest of what the last publishing run did (SUBDIR.jsonl), and the lock. Losing a state costs one hashing of
// the subdir's packages, nothing else.
const Dir = ".runbook-mirror"

// Magic begins the text of a state.
const (
	Magic     = "runbook mirror state 2\n"
	sumLen    = sha256.Size
	lengthLen = 4
)

// Name returns the file of a subdir's state, below the account's tree.
func Name(subdir string) string { return path.Join(Dir, subdir+".state") }

// ManifestName returns the file of a subdir's manifest, likewise.
func ManifestName(subdir string) string { return path.Join(Dir, subdir+".jsonl") }

// A state is what is known of one subdir. Its text is stateMagic, one entry for each package that was verified, in the
// order of the published index, a header in JSON, the header's length in four bytes, and the SHA-256 of all that.
type State struct {
	Header
	Size    int    // bytes of the text, for the manifest
	entries []byte // encoded
	cursor  int
	table   []uint32 // offsets of entries plus one by hash of the name; made when the order does not help
}

// A header tells what an index was made of. Without a Fingerprint something is missing that must be looked for again.
type Header struct {
	Subdir      string
	Interim     bool              // a run was cut short before it published
	Fingerprint string            // of all that decides what is chosen
	Tags        map[string]string // of the sources' indexes, by channel
	Records     map[string]int    // that each source had, likewise
	Removed     []string          // files that the sources call removed
	JSON        string            // hex SHA-256 of the published repodata.json
	Forms       []Form            // the published index
	Manifest    string            // hex SHA-256 of the manifest
	Packages    int
	Absent      map[string]Absence `json:",omitempty"` // by channel; noarch has it for all
}

// An Absence is subdirs that a server did not have when it was asked for all that it might have.
type Absence struct {
	Subdirs []string
	Asked   int64 // seconds since 1970
}

// A form is a file of the published index as it was when it was made.
type Form struct {
	Name        string
	Size, Mtime int64
	Ino         uint64
}

// Knows reports whether the file that was seen is this form.
func (f Form) Knows(m host.Seen) bool {
	return Known{Size: f.Size, Mtime: f.Mtime, Ino: f.Ino}.Knows(m)
}

// A Known is a package file whose bytes were compared with a digest.
type Known struct {
	Size, Mtime int64 // bytes; nanoseconds since 1970
	Ino         uint64
	Sum         Sum
}

// Parse returns what text says, or nil if it is damaged or another's.
func Parse(text []byte, subdir string) *State {
	n := len(text) - sumLen
	if n < len(Magic)+lengthLen || !bytes.HasPrefix(text, []byte(Magic)) ||
		sha256.Sum256(text[:n]) != [sumLen]byte(text[n:]) {
		return nil
	}
	s := &State{Size: len(text)}
	at := n - lengthLen - int(binary.LittleEndian.Uint32(text[n-lengthLen:]))
	if at < len(Magic) || json.Unmarshal(text[at:n-lengthLen], &s.Header) != nil || s.Subdir != subdir {
		return nil
	}
	s.entries = text[len(Magic):at]
	return s
}

// Next returns the entry at off and where the one behind it begins; ok is false at the end.
func (s *State) Next(off int) (name string, k Known, behind int, ok bool) {
	if off >= len(s.entries) {
		return "", k, off, false
	}
	b := s.entries[off:]
	n := int(b[0])
	if len(b) < n+entryLen { // nobody but a forger writes such
		return "", k, off, false
	}
	name = unsafe.String(&b[1], n) // the text never changes
	fixed := b[1+n:]
	k.Size = int64(binary.LittleEndian.Uint64(fixed))
	k.Mtime = int64(binary.LittleEndian.Uint64(fixed[8:]))
	k.Ino = binary.LittleEndian.Uint64(fixed[16:])
	k.Sum.Kind = Kind(fixed[24])
	copy(k.Sum.head[:], fixed[25:])
	return name, k, off + n + entryLen, true
}

// entryLen is the length of an entry without its name, which has at most 211 bytes.
const entryLen = 1 + 3*8 + 1 + headLen

func appendEntry(b []byte, name string, k Known) []byte {
	b = append(append(b, byte(len(name))), name...)
	b = binary.LittleEndian.AppendUint64(b, uint64(k.Size))
	b = binary.LittleEndian.AppendUint64(b, uint64(k.Mtime))
	b = binary.LittleEndian.AppendUint64(b, k.Ino)
	b = append(b, byte(k.Sum.Kind))
	return append(b, k.Sum.head[:]...)
}

// Find returns what is known of a file. It is quickest for files in the order of the state.
func (s *State) Find(name string) (Known, bool) {
	if s == nil || len(s.entries) == 0 {
		return Known{}, false
	}
	if n, k, behind, ok := s.Next(s.cursor); ok && n == name {
		s.cursor = behind
		return k, true
	}
	if s.table == nil {
		s.index()
	}
	for i := HashOf(name); ; i++ {
		at := s.table[i&uint64(len(s.table)-1)]
		if at == 0 {
			return Known{}, false
		}
		if n, k, behind, _ := s.Next(int(at) - 1); n == name {
			s.cursor = behind
			return k, true
		}
	}
}

// index makes the table.
func (s *State) index() {
	n := 0
	for off, ok := 0, true; ok; n++ {
		_, _, off, ok = s.Next(off)
	}
	size := 4
	for size < 2*n {
		size *= 2
	}
	s.table = make([]uint32, size)
	for off := 0; ; {
		name, _, behind, ok := s.Next(off)
		if !ok {
			return
		}
		i := HashOf(name)
		for s.table[i&uint64(size-1)] != 0 {
			i++
		}
		s.table[i&uint64(size-1)] = uint32(off) + 1
		off = behind
	}
}

// HashOf is FNV-1a.
func HashOf(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h ^ h>>32
}

// Knows reports whether the file that was seen is the one that k is about.
func (k Known) Knows(m host.Seen) bool {
	return m.Mode.IsRegular() && k.Size == m.Size && k.Mtime == m.ModTime.UnixNano() && k.Ino == m.Ino && m.Ino != 0
}

// A Writer writes the text of a state.
type Writer struct {
	out io.Writer
	w   *bufio.Writer
	h   hash.Hash
	buf []byte
}

// NewWriter returns a Writer of a new state to out.
func NewWriter(out io.Writer) *Writer {
	h := sha256.New()
	s := &Writer{out: out, w: bufio.NewWriterSize(io.MultiWriter(out, h), 128<<10), h: h}
	s.w.WriteString(Magic)
	return s
}

// Add appends an entry; errors come from End.
func (s *Writer) Add(name string, k Known) {
	s.buf = appendEntry(s.buf[:0], name, k)
	s.w.Write(s.buf)
}

// AddOthers appends the entries of an older state for files that are not written yet, so that no file has two.
func (s *Writer) AddOthers(old *State, written func(file string) bool) {
	if old == nil {
		return
	}
	for off := 0; ; {
		name, _, behind, ok := old.Next(off)
		if !ok {
			return
		}
		if !written(name) {
			s.w.Write(old.entries[off:behind])
		}
		off = behind
	}
}

// End completes the text.
func (s *Writer) End(h Header) error {
	line, err := json.Marshal(h)
	if err != nil {
		return err
	}
	s.w.Write(line)
	s.w.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(line))))
	if err := s.w.Flush(); err != nil {
		return err
	}
	_, err = s.out.Write(s.h.Sum(nil))
	return err
}

// Digest identifies what a state knows.
func (s *State) Digest() string {
	sum := sha256.Sum256(bytes.Join([][]byte{[]byte(s.Subdir), s.entries}, []byte{0}))
	return hex.EncodeToString(sum[:])
}
