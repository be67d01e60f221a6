package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"runbook/builtins/internal/compress"
	"runbook/runtime/host"
)

const (
	block = 512
	// maxMeta is how many bytes of headers one member may have.
	maxMeta = 4 << 20
)

// A source is the decompressed bytes of an archive. It remembers the raw headers
// that lead to a member, because archive/tar accepts more than is safe: it
// merges what readers are known to merge differently.
type source struct {
	file  host.File
	size  int64 // of file
	plain bool  // the archive is not compressed

	seek io.Seeker // nil if every byte must be read
	r    io.Reader
	raw  io.Reader // what r decompresses
	stop func() error

	pos  int64  // in the decompressed archive
	next int64  // where the next header begins
	meta []byte // what was read from next on
}

// open opens an archive. Each byte of it is also written to tee if there is one.
func open(c host.Content, tee io.Writer) (*source, error) {
	f, err := c.Reader()
	if err != nil {
		return nil, err
	}
	s := &source{file: f, r: f, raw: f, stop: func() error { return nil }}
	if err := s.detect(tee); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

func (s *source) detect(tee io.Writer) (err error) {
	if s.size, err = s.file.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	if _, err = s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	head := make([]byte, 16)
	n, err := io.ReadFull(s.file, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return err
	}
	if _, err = s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s.plain = compress.Detect(head[:n]) == compress.Plain
	if s.plain && tee == nil {
		s.seek = s.file
		return nil
	}
	if tee != nil {
		s.raw = io.TeeReader(s.file, tee)
	}
	s.raw = bufio.NewReaderSize(s.raw, 256<<10)
	r, err := compress.NewReader(s.raw, "archive")
	if err != nil {
		return err
	}
	s.r, s.stop = bufio.NewReaderSize(r, 256<<10), r.Close
	return nil
}

// Close closes the archive.
func (s *source) Close() error { return errors.Join(s.stop(), s.file.Close()) }

// Read reads on and keeps the bytes between the data of members: headers and padding.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	from := max(s.next-s.pos, 0)
	s.pos += int64(n)
	if from < int64(n) {
		s.meta = append(s.meta, p[from:n]...)
	}
	if len(s.meta) > maxMeta {
		return n, fmt.Errorf("got more than %d bytes of headers for one member", maxMeta)
	}
	return n, err
}

// Seek lets archive/tar pass over data; without it, it reads.
func (s *source) Seek(off int64, whence int) (int64, error) {
	if s.seek == nil {
		return 0, errors.ErrUnsupported
	}
	pos, err := s.seek.Seek(off, whence)
	if err == nil {
		s.pos = pos
	}
	return pos, err
}

// expect says that size bytes of data follow; what is behind their padding are headers.
func (s *source) expect(size int64) {
	s.next = s.pos + (size+block-1)/block*block
	s.meta = s.meta[:0]
}

// checkHeaders refuses headers in front of a member that are understood
// differently by different readers: those for all members, more than one of a
// kind, mixed kinds, keys given twice, maps of sparse files in them. It returns how the data lies.
func (s *source) checkHeaders(hdr *tar.Header) (layout, error) {
	var records map[string]string
	b, kinds := s.meta, ""
	for len(b) > block && b[156] != tar.TypeGNUSparse && b[156] != tar.TypeReg { // the type flag of POSIX.1-1988 ustar
		kind := b[156]
		switch kind {
		case tar.TypeXGlobalHeader:
			return layout{}, refuse(hdr.Name, "is preceded by a global header")
		case tar.TypeXHeader, tar.TypeGNULongName, tar.TypeGNULongLink:
		default:
			return layout{}, refuse(hdr.Name, "has more headers than are known")
		}
		kinds += string(rune(kind))
		if strings.Count(kinds, string(rune(kind))) > 1 || len(kinds) > 1 && strings.ContainsRune(kinds, tar.TypeXHeader) {
			return layout{}, refuse(hdr.Name, "has more than one extended header")
		}
		size, ok := number(b[124:136])
		end := block + (size+block-1)/block*block
		if !ok || size > maxMeta || end+block > int64(len(b)) {
			return layout{}, refuse(hdr.Name, "has an extended header of a wrong size")
		}
		if kind == tar.TypeXHeader {
			var err error
			if records, err = checkPAX(hdr.Name, b[block:block+size]); err != nil {
				return layout{}, err
			}
		}
		b = b[end:]
	}
	l, err := layoutOf(hdr, b, records)
	if err == nil && s.plain && l.bytes > s.size-s.pos { // told at once
		err = refuse(hdr.Name, "%w: got %d bytes, want %d", ErrShort, s.size-s.pos, l.bytes)
	}
	return l, err
}

// checkPAX looks at records "LENGTH KEY=VALUE\n" (POSIX.1-2001 pax), and returns those of a layout.
func checkPAX(name string, records []byte) (layout map[string]string, err error) {
	seen := map[string]bool{}
	layout = map[string]string{}
	for len(records) > 0 {
		length, rest, ok := bytes.Cut(records, []byte(" "))
		n, err := strconv.Atoi(string(length))
		if !ok || err != nil || n <= len(length)+1 || n > len(records) {
			return nil, refuse(name, "has a damaged extended header")
		}
		key, value, _ := strings.Cut(string(rest[:n-len(length)-1]), "=")
		if seen[key] {
			return nil, refuse(name, "has %q twice in its extended header", key)
		}
		if strings.HasPrefix(key, "GNU.sparse.") || key == "size" {
			layout[key] = strings.TrimSuffix(value, "\n")
		}
		seen[key] = true
		records = records[n:]
	}
	return layout, nil
}

// checkEnd wants the two empty blocks that end an archive, and nothing but
// zeros behind them. archive/tar also takes an end of the file for one.
func (s *source) checkEnd(members int) error {
	if len(s.meta) != 2*block {
		return fmt.Errorf("the archive %w: got %d bytes of end marker behind %d members, want %d", ErrShort, len(s.meta),
			members, 2*block)
	}
	s.next = 1 << 62 // remember no more
	buf := make([]byte, 256<<10)
	for {
		n, err := s.r.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return fmt.Errorf("got data behind the end of the archive, want none")
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	_, err := io.Copy(io.Discard, s.raw) // the rest of a digest
	return err
}
