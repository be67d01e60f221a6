package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"
	"time"

	"runbook/builtins/internal/compress"
	"runbook/builtins/internal/conda"
	"runbook/runtime/host"
)

// files is a channel in a directory, which is never written to. Packages lie beside their index, whatever base_url
// says, unless that leads to a server that the caller has listed.
type files struct {
	r   host.Reader
	dir string
	web web // asks those servers
}

// forms of an index in a directory, in the order in which they are looked for.
var localForms = []string{IndexFile, IndexFile + ".zst", IndexFile + ".bz2", ShardsFile}

func (s files) Subdirs(context.Context, []string) ([]string, bool, error) {
	names, err := s.r.ReadDir(s.dir)
	if err != nil {
		return nil, false, err
	}
	var subdirs []string
	for _, n := range names {
		if !conda.IsSubdir(n) {
			continue
		}
		switch _, _, err := s.form(n); {
		case err == nil:
			subdirs = append(subdirs, n)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, false, err
		}
	}
	return subdirs, false, nil
}

// form returns the first form that a subdir has.
func (s files) form(subdir string) (string, host.Seen, error) {
	all := s.r.LstatAll(path.Join(s.dir, subdir), localForms)
	for i, m := range all {
		if m.Err == nil || !errors.Is(m.Err, fs.ErrNotExist) && !errors.Is(m.Err, syscall.ENOTDIR) {
			return localForms[i], m, m.Err
		}
	}
	return "", host.Seen{}, fs.ErrNotExist
}

func (s files) Index(ctx context.Context, subdir, have string) (*Index, error) {
	name, m, err := s.form(subdir)
	if err != nil {
		return nil, err
	}
	x := &Index{File: path.Join(s.dir, subdir, name), Tag: localTag(name, m)}
	if x.Same = x.Tag != "" && x.Tag == have; x.Same {
		return x, nil
	}
	if name == ShardsFile {
		return x, s.shards(ctx, subdir, x)
	}
	c, err := s.r.Content(path.Join(s.dir, subdir, name))
	x.Open = func() (io.ReadCloser, error) {
		f, err := c.Reader()
		if err != nil {
			return nil, err
		}
		return Unpacked(f, name)
	}
	return x, err
}

// localTag tells versions of a file apart. One that was changed just now may be changed again without
// its time telling.
func localTag(name string, m host.Seen) string {
	age := time.Since(m.ModTime)
	if !m.Mode.IsRegular() || m.Ino == 0 || age >= 0 && age < 2*time.Second {
		return ""
	}
	return fmt.Sprintf("%s %d %d %d", name, m.Size, m.ModTime.UnixNano(), m.Ino)
}

// Unpacked decompresses what f holds, whatever its name says, and closes f with it.
func Unpacked(f io.ReadCloser, name string) (io.ReadCloser, error) {
	c, err := compress.NewReader(f, name)
	if err != nil {
		f.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{c, closers{c, f}}, nil
}

// closers are closed in order.
type closers []io.Closer

// Close is io.Closer's.
func (all closers) Close() (err error) {
	for _, c := range all {
		err = errors.Join(err, c.Close())
	}
	return err
}

// shards makes an index of a channel that has only those.
func (s files) shards(ctx context.Context, subdir string, x *Index) error {
	read := func(name string, most int64) ([]byte, error) {
		c, err := s.r.Content(path.Join(s.dir, subdir, name))
		if err != nil {
			return nil, err
		}
		f, err := c.Reader()
		if err != nil {
			return nil, err
		}
		return ReadLimited(f, most)
	}
	text, err := read(ShardsFile, maxShards)
	if err != nil {
		return err
	}
	return x.join(ctx, text, func(_ context.Context, base, file string) ([]byte, error) {
		if strings.Contains(base, "://") {
			base = "shards"
		}
		data, err := read(path.Join("/", base, file), maxShards)
		if errors.Is(err, fs.ErrNotExist) { // which would mean that there is no index
			return nil, noShard(file)
		}
		return data, err
	})
}

func (s files) Locate(subdir, base, file string) (string, error) {
	if strings.Contains(base, "://") && s.web.lists(base) {
		return strings.TrimSuffix(base, "/") + "/" + file, nil
	}
	return path.Join(s.dir, subdir, file), nil
}

func (s files) Look(at string) (int64, error) {
	if !path.IsAbs(at) {
		return s.web.Look(at)
	}
	m, err := s.r.Lstat(at)
	if err != nil || m.Mode.IsRegular() {
		return m.Size, err
	}
	_, err = s.r.Content(at) // a link
	return -1, err
}

func (s files) Fetch(ctx context.Context, at string, off int64, etag string, fresh bool) (*Opened, error) {
	if !path.IsAbs(at) {
		return s.web.Fetch(ctx, at, off, etag, fresh)
	}
	c, err := s.r.Content(at)
	if err != nil {
		return nil, err
	}
	f, err := c.Reader()
	if err == nil && off > 0 {
		_, err = f.Seek(off, io.SeekStart)
	}
	return &Opened{f, off, ""}, err
}
