package rpm

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"time"
)

// Tags, as numbered in rpm's manual (docs/manual/tags.md).
const (
	tagName          = 1000
	tagVersion       = 1001
	tagRelease       = 1002
	tagEpoch         = 1003
	tagArch          = 1022
	tagPreIn         = 1023
	tagPostIn        = 1024
	tagOldFilenames  = 1027 // whole names, in packages of rpm 3
	tagFileSizes     = 1028
	tagFileModes     = 1030
	tagFileMtimes    = 1034
	tagFileLinktos   = 1036
	tagFileFlags     = 1037
	tagFileOwners    = 1039
	tagFileGroups    = 1040
	tagProvides      = 1047
	tagDirIndexes    = 1116
	tagBasenames     = 1117
	tagDirnames      = 1118
	tagPreTrans      = 1151
	tagPostTrans     = 1152
	tagLongFileSizes = 5008

	flagGhost = 1 << 6
)

// Types of values.
const (
	typeInt16       = 3
	typeInt32       = 4
	typeInt64       = 5
	typeString      = 6
	typeStringArray = 8
	typeI18N        = 9
)

// A table is a header: an index of tags into a store of big-endian values.
type table struct {
	index map[uint32]entry
	store []byte
	raw   [2][]byte // the header as it came: what precedes the index, and the rest
}

// digests returns the digests that rpm keeps of a header.
func (h *table) digests() (sha256Hex, sha1Hex string) {
	a, b := sha256.New(), sha1.New()
	for _, part := range h.raw {
		a.Write(part)
		b.Write(part)
	}
	return hex.EncodeToString(a.Sum(nil)), hex.EncodeToString(b.Sum(nil))
}

type entry struct{ kind, offset, count uint32 }

// data returns the store from an entry's value on, nil if there is none.
func (h *table) data(tag uint32) (entry, []byte) {
	e, ok := h.index[tag]
	if !ok || uint64(e.offset) >= uint64(len(h.store)) {
		return entry{}, nil
	}
	return e, h.store[e.offset:]
}

// strings returns the texts of a tag, nil if the header does not have it. Fewer
// texts than the index says are an error.
func (h *table) strings(tag uint32) ([]string, error) {
	e, data := h.data(tag)
	if data == nil {
		return nil, nil
	}
	switch e.kind {
	case typeString:
		e.count = 1
	case typeStringArray, typeI18N:
	default:
		return nil, fmt.Errorf("tag %d: got type %d, want text", tag, e.kind)
	}
	if int64(e.count) > int64(len(data)) {
		return nil, fmt.Errorf("tag %d: got %d bytes for %d texts", tag, len(data), e.count)
	}
	list := make([]string, 0, min(e.count, 1<<16))
	for range e.count {
		s, rest, ok := bytes.Cut(data, []byte{0})
		if !ok {
			return nil, fmt.Errorf("tag %d: got %d texts, want %d", tag, len(list), e.count)
		}
		list, data = append(list, string(s)), rest
	}
	return list, nil
}

// text returns the first text of a tag, "" if there is none.
func (h *table) text(tag uint32) (string, error) {
	list, err := h.strings(tag)
	if err != nil || len(list) == 0 {
		return "", err
	}
	return list[0], nil
}

// numbers returns the integers of a tag, of any width, nil if the header does not
// have it.
func (h *table) numbers(tag uint32) ([]int64, error) {
	e, data := h.data(tag)
	if data == nil {
		return nil, nil
	}
	width, ok := map[uint32]int64{typeInt16: 2, typeInt32: 4, typeInt64: 8}[e.kind]
	if !ok {
		return nil, fmt.Errorf("tag %d: got type %d, want integers", tag, e.kind)
	}
	if int64(e.count)*width > int64(len(data)) {
		return nil, fmt.Errorf("tag %d: got %d bytes for %d integers", tag, len(data), e.count)
	}
	list := make([]int64, e.count)
	for i := range list {
		switch b := data[int64(i)*width:]; width {
		case 2:
			list[i] = int64(binary.BigEndian.Uint16(b))
		case 4:
			list[i] = int64(binary.BigEndian.Uint32(b))
		default:
			list[i] = int64(binary.BigEndian.Uint64(b))
		}
	}
	return list, nil
}

// pack makes a Package of the header.
func (h *table) pack() (*Package, error) {
	p := &Package{}
	for tag, to := range map[uint32]*string{
		tagName: &p.Name, tagVersion: &p.Version, tagRelease: &p.Release, tagArch: &p.Arch,
	} {
		s, err := h.text(tag)
		if err != nil {
			return nil, err
		}
		*to = s
	}
	epoch, err := h.numbers(tagEpoch)
	if err != nil {
		return nil, err
	}
	if len(epoch) > 0 {
		p.Epoch = strconv.FormatInt(epoch[0], 10)
	}
	for _, tag := range []uint32{tagPreTrans, tagPreIn, tagPostIn, tagPostTrans} {
		s, err := h.text(tag)
		if err != nil {
			return nil, err
		}
		if s != "" {
			p.Scripts = append(p.Scripts, s)
		}
	}
	if p.Provides, err = h.strings(tagProvides); err != nil {
		return nil, err
	}
	p.Files, err = h.files()
	return p, err
}

// files joins the arrays that describe files.
func (h *table) files() ([]File, error) {
	names, err := h.names()
	if err != nil {
		return nil, err
	}
	texts, numbers := map[uint32][]string{}, map[uint32][]int64{}
	for _, tag := range []uint32{tagFileLinktos, tagFileOwners, tagFileGroups} {
		if texts[tag], err = h.strings(tag); err != nil {
			return nil, err
		}
		if n := len(texts[tag]); n != 0 && n != len(names) {
			return nil, fmt.Errorf("tag %d: got %d values for %d files", tag, n, len(names))
		}
	}
	for _, tag := range []uint32{tagFileModes, tagFileSizes, tagLongFileSizes, tagFileMtimes, tagFileFlags} {
		if numbers[tag], err = h.numbers(tag); err != nil {
			return nil, err
		}
		if n := len(numbers[tag]); n != 0 && n != len(names) {
			return nil, fmt.Errorf("tag %d: got %d values for %d files", tag, n, len(names))
		}
	}
	files := make([]File, len(names))
	for i, name := range names {
		size := max(at(numbers[tagFileSizes], i), at(numbers[tagLongFileSizes], i))
		files[i] = File{
			Name: name, Mode: fileMode(at(numbers[tagFileModes], i)), Size: size,
			ModTime: time.Unix(at(numbers[tagFileMtimes], i), 0), Target: at(texts[tagFileLinktos], i),
			Owner: at(texts[tagFileOwners], i), Group: at(texts[tagFileGroups], i),
			Ghost: at(numbers[tagFileFlags], i)&flagGhost != 0,
		}
	}
	return files, nil
}

// at is list[i], or the zero value if the header does not have the list.
func at[T any](list []T, i int) (v T) {
	if i < len(list) {
		v = list[i]
	}
	return v
}

// names puts directories and base names together.
func (h *table) names() ([]string, error) {
	bases, err := h.strings(tagBasenames)
	if err != nil || bases == nil {
		if err == nil {
			bases, err = h.strings(tagOldFilenames)
		}
		return bases, err
	}
	dirs, err := h.strings(tagDirnames)
	if err != nil {
		return nil, err
	}
	indexes, err := h.numbers(tagDirIndexes)
	if err != nil {
		return nil, err
	}
	if len(indexes) != len(bases) {
		return nil, fmt.Errorf("got %d directories of %d files", len(indexes), len(bases))
	}
	for i, n := range indexes {
		if n >= int64(len(dirs)) || n < 0 {
			return nil, fmt.Errorf("file %q: got directory %d of %d", bases[i], n, len(dirs))
		}
		if bases[i] == "" { // the root directory itself
			bases[i] = path.Clean(dirs[n])
			continue
		}
		bases[i] = dirs[n] + bases[i]
	}
	return bases, nil
}

// fileMode translates st_mode as Linux numbers it (inode(7)).
func fileMode(m int64) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	for bit, to := range map[int64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&bit != 0 {
			mode |= to
		}
	}
	switch m & 0o170000 {
	case 0o040000:
		mode |= fs.ModeDir
	case 0o120000:
		mode |= fs.ModeSymlink
	case 0o020000:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case 0o060000:
		mode |= fs.ModeDevice
	case 0o010000:
		mode |= fs.ModeNamedPipe
	case 0o140000:
		mode |= fs.ModeSocket
	}
	return mode
}
