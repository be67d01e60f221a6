package archive

import (
	"errors"
	"io"

	"runbook/runtime/host"
)

// lazy is the content of a member, read from the archive when somebody does.
// What lies before it in a compressed archive is decompressed each time.
func (l *Listing) lazy(off, size int64, plain bool) host.Content {
	c := l.content
	return host.Content{Open: func() (host.File, error) {
		return &section{content: c, off: off, size: size, plain: plain}, nil
	}}
}

// A section is a range of an archive that is read as a file.
type section struct {
	content   host.Content
	off, size int64
	plain     bool

	pos int64   // of the next Read
	src *source // nil until something is read
	at  int64   // where src stands, counted as pos is
}

func (s *section) Read(p []byte) (int, error) {
	if s.pos >= s.size {
		return 0, io.EOF
	}
	if err := s.arrive(); err != nil {
		return 0, err
	}
	n, err := s.src.r.Read(p[:min(int64(len(p)), s.size-s.pos)])
	s.pos += int64(n)
	s.at = s.pos
	if err == io.EOF && s.pos < s.size {
		err = io.ErrUnexpectedEOF
	} else if err == io.EOF {
		err = nil
	}
	return n, err
}

// arrive brings src to pos.
func (s *section) arrive() (err error) {
	if s.src != nil && s.at == s.pos {
		return nil
	}
	if s.src == nil || !s.plain && s.pos < s.at {
		if err := s.Close(); err != nil {
			return err
		}
		if s.src, err = open(s.content, nil); err != nil {
			return err
		}
		if s.src.plain != s.plain {
			return errChanged
		}
		s.at = -s.off
	}
	if s.plain {
		_, err = s.src.seek.Seek(s.off+s.pos, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, s.src.r, s.pos-s.at)
	}
	s.at = s.pos
	return err
}

// Seek only notes where to read next.
func (s *section) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += s.pos
	case io.SeekEnd:
		off += s.size
	}
	if off < 0 {
		return 0, errors.New("got a position before the beginning")
	}
	s.pos = off
	return off, nil
}

func (s *section) Close() error {
	if s.src == nil {
		return nil
	}
	src := s.src
	s.src = nil
	return src.Close()
}
