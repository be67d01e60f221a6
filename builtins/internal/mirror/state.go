package mirror

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash"
	"io"
	"path"
	"unsafe"

	"runbook/runtime/host"
)

// stateDir lies in the account's tree. For each subdir it holds what was verified (SUBDIR.state) and a
// manifest of what the last publishing run did (SUBDIR.jsonl), and the lock. Losing a state costs one hashing of
// the subdir's packages, nothing else.
const stateDir = ".runbook-mirror"

const (
	stateMagic = "runbook mirror state 2\n"
	sumLen     = sha256.Size
	lengthLen  = 4
)

func stateName(subdir string) string    { return path.Join(stateDir, subdir+".state") }
func manifestName(subdir string) string { return path.Join(stateDir, subdir+".jsonl") }

// A state is what is known of one subdir. Its text is stateMagic, one entry for each package that was verified, in the
// order of the published index, a header in JSON, the header's length in four bytes, and the SHA-256 of all that.
type state struct {
	header
	size    int    // bytes of the text, for the manifest
	entries []byte // encoded
	cursor  int
	table   []uint32 // offsets of entries plus one by hash of the name; made when the order does not help
}

// A header tells what an index was made of. Without a Fingerprint something is missing that must be looked for again.
type header struct {
	Subdir      string
	Interim     bool              // a run was cut short before it published
	Fingerprint string            // of all that decides what is chosen
	Tags        map[string]string // of the sources' indexes, by channel
	Records     map[string]int    // that each source had, likewise
	Removed     []string          // files that the sources call removed
	JSON        string            // hex SHA-256 of the published repodata.json
	Forms       []form            // the published index
	Manifest    string            // hex SHA-256 of the manifest
	Packages    int
}

// A form is a file of the published index as it was when it was made.
type form struct {
	Name        string
	Size, Mtime int64
	Ino         uint64
}

// knows reports whether the file that was seen is this form.
func (f form) knows(m host.Seen) bool {
	return known{size: f.Size, mtime: f.Mtime, ino: f.Ino}.knows(m)
}

// known is a package file whose bytes were compared with a digest.
type known struct {
	size, mtime int64 // bytes; nanoseconds since 1970
	ino         uint64
	sum         sum
}

// parseState returns what text says, or nil if it is damaged or another's.
func parseState(text []byte, subdir string) *state {
	n := len(text) - sumLen
	if n < len(stateMagic)+lengthLen || !bytes.HasPrefix(text, []byte(stateMagic)) ||
		sha256.Sum256(text[:n]) != [sumLen]byte(text[n:]) {
		return nil
	}
	s := &state{size: len(text)}
	at := n - lengthLen - int(binary.LittleEndian.Uint32(text[n-lengthLen:]))
	if at < len(stateMagic) || json.Unmarshal(text[at:n-lengthLen], &s.header) != nil || s.Subdir != subdir {
		return nil
	}
	s.entries = text[len(stateMagic):at]
	return s
}

// next returns the entry at off and where the one behind it begins; ok is false at the end.
func (s *state) next(off int) (name string, k known, behind int, ok bool) {
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
	k.size = int64(binary.LittleEndian.Uint64(fixed))
	k.mtime = int64(binary.LittleEndian.Uint64(fixed[8:]))
	k.ino = binary.LittleEndian.Uint64(fixed[16:])
	k.sum.kind = sumKind(fixed[24])
	copy(k.sum.head[:], fixed[25:])
	return name, k, off + n + entryLen, true
}

// entryLen is the length of an entry without its name, which has at most 211 bytes.
const entryLen = 1 + 3*8 + 1 + headLen

func appendEntry(b []byte, name string, k known) []byte {
	b = append(append(b, byte(len(name))), name...)
	b = binary.LittleEndian.AppendUint64(b, uint64(k.size))
	b = binary.LittleEndian.AppendUint64(b, uint64(k.mtime))
	b = binary.LittleEndian.AppendUint64(b, k.ino)
	b = append(b, byte(k.sum.kind))
	return append(b, k.sum.head[:]...)
}

// find returns what is known of a file. It is quickest for files in the order of the state.
func (s *state) find(name string) (known, bool) {
	if s == nil || len(s.entries) == 0 {
		return known{}, false
	}
	if n, k, behind, ok := s.next(s.cursor); ok && n == name {
		s.cursor = behind
		return k, true
	}
	if s.table == nil {
		s.index()
	}
	for i := hashOf(name); ; i++ {
		at := s.table[i&uint64(len(s.table)-1)]
		if at == 0 {
			return known{}, false
		}
		if n, k, behind, _ := s.next(int(at) - 1); n == name {
			s.cursor = behind
			return k, true
		}
	}
}

// index makes the table.
func (s *state) index() {
	n := 0
	for off, ok := 0, true; ok; n++ {
		_, _, off, ok = s.next(off)
	}
	size := 4
	for size < 2*n {
		size *= 2
	}
	s.table = make([]uint32, size)
	for off := 0; ; {
		name, _, behind, ok := s.next(off)
		if !ok {
			return
		}
		i := hashOf(name)
		for s.table[i&uint64(size-1)] != 0 {
			i++
		}
		s.table[i&uint64(size-1)] = uint32(off) + 1
		off = behind
	}
}

// hashOf is FNV-1a.
func hashOf(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h ^ h>>32
}

// knows reports whether the file that was seen is the one that k is about.
func (k known) knows(m host.Seen) bool {
	return m.Mode.IsRegular() && k.size == m.Size && k.mtime == m.ModTime.UnixNano() && k.ino == m.Ino && m.Ino != 0
}

// A stateWriter writes the text of a state.
type stateWriter struct {
	out io.Writer
	w   *bufio.Writer
	h   hash.Hash
	buf []byte
}

func newStateWriter(out io.Writer) *stateWriter {
	h := sha256.New()
	s := &stateWriter{out: out, w: bufio.NewWriterSize(io.MultiWriter(out, h), 128<<10), h: h}
	s.w.WriteString(stateMagic)
	return s
}

// add appends an entry; errors come from end.
func (s *stateWriter) add(name string, k known) {
	s.buf = appendEntry(s.buf[:0], name, k)
	s.w.Write(s.buf)
}

// addOthers appends the entries of an older state for files that are not written yet, so that no file has two.
func (s *stateWriter) addOthers(old *state, written func(file string) bool) {
	if old == nil {
		return
	}
	for off := 0; ; {
		name, _, behind, ok := old.next(off)
		if !ok {
			return
		}
		if !written(name) {
			s.w.Write(old.entries[off:behind])
		}
		off = behind
	}
}

// end completes the text.
func (s *stateWriter) end(h header) error {
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
