package archive

import (
	"archive/tar"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"

	"runbook/builtins/internal/advice"
	"runbook/runtime/host"
)

// A layout is how a member's data lies in the archive.
type layout struct {
	bytes  int64 // of data that follow
	sparse bool  // they are not all of the file: holes are left out
}

// layoutOf returns the layout of a member whose own header begins b, what was read behind that
// included. records are the keys of its extended header that begin with GNU.sparse, and size.
//
// GNU tar has four forms of sparse files (its manual, "Sparse Formats"). The oldest and the newest are read,
// which tar -S writes; in the others the map is in an extended header, which readers are known to
// take differently.
func layoutOf(hdr *tar.Header, b []byte, records map[string]string) (layout, error) {
	l := layout{bytes: dataSize(hdr)}
	size, ok := number(b[124:136]) // of POSIX.1-1988 ustar
	behind := int64(len(b) - block)
	switch {
	case b[156] == tar.TypeGNUSparse:
		if !ok || behind != mapBlocks(b)*block {
			return l, refuse(hdr.Name, "is sparse, and its map is damaged")
		}
		return layout{size, true}, nil
	case isNewSparse(records):
		if text, given := records["size"]; given {
			n, err := strconv.ParseInt(text, 10, 64)
			size, ok = n, err == nil
		}
		if !ok || size < behind {
			return l, refuse(hdr.Name, "is sparse, and its map is damaged")
		}
		return layout{size - behind, true}, nil
	case len(records) > 1 || len(records) == 1 && records["size"] == "":
		return l, advice.On(refuse(hdr.Name, "is sparse, in a form that not all programs read alike"),
			"make the archive again with tar --sparse-version=1.0, or without --sparse")
	case behind > 0:
		return l, refuse(hdr.Name, "has more headers than are known")
	}
	return l, nil
}

// isNewSparse reports whether an extended header is that of the newest form and of no other one besides.
func isNewSparse(records map[string]string) bool {
	for key := range records {
		switch key {
		case "size", "GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.name", "GNU.sparse.realsize":
		default:
			return false
		}
	}
	return records["GNU.sparse.major"] == "1" && records["GNU.sparse.minor"] == "0"
}

// mapBlocks counts the blocks behind an old header that go on with its map.
func mapBlocks(b []byte) (n int64) {
	const more, moreBehind = 482, 504 // isextended, in the header and in those blocks
	for next := b[more]; next != 0; n++ {
		if b = b[block:]; len(b) < block {
			return -1
		}
		next = b[moreBehind]
	}
	return n
}

// number reads a field of a header: octal digits or, as GNU tar writes what is too large for these, a binary
// number behind 0x80.
func number(b []byte) (int64, bool) {
	if b[0] == 0x80 {
		n := binary.BigEndian.Uint64(b[len(b)-8:])
		return int64(n), n < 1<<62 && strings.Trim(string(b[1:len(b)-8]), "\x00") == ""
	}
	n, err := strconv.ParseInt(strings.Trim(string(b), " \x00"), 8, 64)
	return n, err == nil && n >= 0
}

// whole is the content of a sparse member, read from the archive when somebody does. A large one is unknown.
func (l *Listing) whole(name string, size int64) host.Content {
	const most = 64 << 20
	return host.Content{Open: func() (host.File, error) {
		if size > most {
			return nil, fmt.Errorf("%s: %w", name, host.ErrUnknown)
		}
		src, err := open(l.content, nil)
		if err != nil {
			return nil, err
		}
		defer src.Close()
		var data []byte
		_, err = walk(context.Background(), src, l.strip, func(m member, r io.Reader) (err error) {
			if m.Name == name && data == nil {
				data, err = io.ReadAll(io.LimitReader(r, most))
			}
			return err
		})
		if err == nil && int64(len(data)) != size {
			err = errChanged
		}
		if err != nil {
			return nil, err
		}
		return host.Bytes(data).Reader()
	}}
}
