package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"runbook/runtime/host"
)

// A member is an entry of the archive after stripping.
type member struct {
	host.Entry
	link string // name of the file that it is a hard link to
	off  int64  // where its data begins in the decompressed archive

	sparse bool // the data there lacks the file's holes
}

// What is compressed to less than leastBytes for a member, and has more than a few,
// is nothing but names: it costs the machine far more than whoever made it.
const (
	fewMembers = 100_000
	leastBytes = 16
)

// walk calls f with every member that is left after stripping, in order, and
// returns how many the archive has. What f leaves of the data is passed over.
// It returns only at the end of the archive or at the first thing it refuses.
func walk(ctx context.Context, src *source, strip int, f func(member, io.Reader) error) (members int, err error) {
	tr := tar.NewReader(src)
	var total int64
	for {
		if err := ctx.Err(); err != nil {
			return members, context.Cause(ctx)
		}
		hdr, err := tr.Next()
		if err == io.EOF {
			return members, src.checkEnd(members)
		}
		if err != nil {
			return members, fmt.Errorf("header behind %d members: %w", members, describe(err))
		}
		data, err := src.checkHeaders(hdr)
		if err != nil {
			return members, err
		}
		members++
		if size := dataSize(hdr); members > MaxMembers || size > MaxSize-total {
			return members, refuse(hdr.Name, "is too much: got %d members, the last of %d bytes", members, size)
		}
		if members > fewMembers && int64(members) > src.size/leastBytes {
			return members, fmt.Errorf("got more than %d members in an archive of %d bytes, want at least %d for each",
				members-1, src.size, leastBytes)
		}
		total += dataSize(hdr)
		m, err := convert(hdr, strip)
		if err != nil {
			return members, err
		}
		m.off, m.sparse = src.pos, data.sparse
		src.expect(data.bytes)
		if m.Name == "" {
			continue
		}
		if err := f(m, tr); err != nil {
			return members, err
		}
	}
}

// describe words the library's errors as what they mean here.
func describe(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the archive ends early: %w", err)
	case errors.Is(err, tar.ErrHeader):
		return errors.New("is none of tar")
	}
	return err
}

// dataSize is how many bytes a member has. Unless it is sparse, they follow the header.
func dataSize(hdr *tar.Header) int64 {
	if hdr.Typeflag == tar.TypeReg || hdr.Typeflag == tar.TypeGNUSparse {
		return hdr.Size
	}
	return 0
}

// convert checks a header and makes it an entry. Its name is "" if stripping
// leaves nothing of it; what is stripped is held to the same rules.
func convert(hdr *tar.Header, strip int) (m member, err error) {
	parts, err := clean(hdr.Name)
	if err != nil {
		return m, err
	}
	m.Name = stripped(parts, strip)
	perm := fs.FileMode(hdr.Mode) & 0o755
	switch hdr.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		if len(parts) == 0 || strings.HasSuffix(hdr.Name, "/") {
			return m, refuse(hdr.Name, "is a file with the name of a directory")
		}
		if !host.KeepsTime(hdr.ModTime) {
			return m, refuse(hdr.Name, "has the time %s, want one from 1902 to 2261, which file systems keep",
				hdr.ModTime.UTC().Format(time.DateTime))
		}
		m.Meta = host.Meta{Mode: perm, Size: hdr.Size, ModTime: hdr.ModTime}
	case tar.TypeDir:
		m.Meta = host.Meta{Mode: fs.ModeDir | perm}
	case tar.TypeSymlink, tar.TypeLink:
		err = convertLink(&m, hdr, parts, strip)
	default:
		err = refuse(hdr.Name, "has type %q, want a file, a directory or a link", hdr.Typeflag)
	}
	return m, err
}

func convertLink(m *member, hdr *tar.Header, parts []string, strip int) error {
	if hdr.Size != 0 {
		return refuse(hdr.Name, "is a link that carries %d bytes of data", hdr.Size)
	}
	if len(parts) == 0 || strings.HasSuffix(hdr.Name, "/") {
		return refuse(hdr.Name, "is a link with the name of a directory")
	}
	if m.Name == "" {
		return nil
	}
	if hdr.Typeflag == tar.TypeSymlink {
		m.Meta, m.Target = host.Meta{Mode: fs.ModeSymlink | 0o777, Size: int64(len(hdr.Linkname))}, hdr.Linkname
		return checkTarget(m.Name, hdr.Linkname)
	}
	to, err := clean(hdr.Linkname)
	if err != nil {
		return refuse(hdr.Name, "is a hard link: %w", err)
	}
	if m.link = stripped(to, strip); m.link == "" {
		return refuse(hdr.Name, "is a hard link to %q, of which stripping leaves nothing", hdr.Linkname)
	}
	return nil
}
