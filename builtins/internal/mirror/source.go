package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"strings"
	"sync"

	"runbook/runtime/host"
)

// A Source is a channel to mirror from. It is asked by one goroutine.
type Source interface {
	// Subdirs returns the subdirs that the channel may have.
	Subdirs(ctx context.Context) ([]string, error)
	// Index returns the text of a subdir's repodata.json. The error wraps
	// fs.ErrNotExist if there is none.
	Index(ctx context.Context, subdir string) (string, error)
	// Package returns what a file of a subdir holds and its size in bytes; size is
	// asked for only if want, what the index says, is -1. base is base_url in the index
	// (CEP 15). The error wraps fs.ErrNotExist if the file is known to be missing.
	Package(ctx context.Context, subdir, base, file string, want int64) (c host.Content, size int64, err error)
}

// A channel is a source with the name it is shown by.
type channel struct {
	Source
	shown   string
	subdirs map[string]bool
}

const (
	indexFile = "repodata.json"
	maxIndex  = 2 << 30 // bytes; conda-forge's largest has a quarter of a gigabyte
)

// sources opens the configured channels.
func (m *Mirror) sources(r host.Reader, asking *sync.Mutex) ([]*channel, error) {
	var list []*channel
	for _, c := range m.Config.Channels {
		shown := c
		if m.Redact != nil && strings.Contains(c, "://") {
			shown = m.Redact(c)
		}
		s, err := newSource(c, r, asking)
		if err != nil {
			return nil, fmt.Errorf("channel %s: %w", shown, err)
		}
		list = append(list, &channel{Source: s, shown: shown})
	}
	return list, nil
}

func newSource(location string, r host.Reader, asking *sync.Mutex) (Source, error) {
	if path.IsAbs(location) {
		return files{r, path.Clean(location)}, nil
	}
	scheme, rest, _ := strings.Cut(location, "://")
	server, _, _ := strings.Cut(rest, "/")
	switch {
	case scheme == "file" && (server == "" || server == "localhost") && strings.HasPrefix(rest, server+"/"):
		p, err := url.PathUnescape(strings.TrimPrefix(rest, server))
		return files{r, path.Clean(p)}, err
	case (scheme == "http" || scheme == "https") && server != "":
		return &web{r: r, asking: asking, at: strings.TrimRight(location, "/"), server: scheme + "://" + server}, nil
	}
	return nil, advise("write /media/pkgs/free, file:///media/pkgs/free or https://HOST/pkgs/free", "got neither an absolute path nor a file://, http:// or https:// URL")
}

// files is a channel in a directory. Packages lie beside their index, whatever base_url says.
type files struct {
	r   host.Reader
	dir string
}

// Subdirs returns the directories that hold an index.
func (s files) Subdirs(context.Context) ([]string, error) {
	names, err := s.r.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var subdirs []string
	for _, n := range names {
		if !isSubdir(n) {
			continue
		}
		switch _, err := s.r.Lstat(path.Join(s.dir, n, indexFile)); {
		case err == nil:
			subdirs = append(subdirs, n)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return subdirs, nil
}

// Index is Source's.
func (s files) Index(_ context.Context, subdir string) (string, error) {
	c, err := s.r.Content(path.Join(s.dir, subdir, indexFile))
	if err != nil {
		return "", err
	}
	return readText(c)
}

// readText returns what c holds as a string, without a second copy.
func readText(c host.Content) (string, error) {
	f, err := c.Reader()
	if err != nil {
		return "", err
	}
	defer f.Close()
	var b strings.Builder
	if size, err := f.Seek(0, io.SeekEnd); err == nil && size <= maxIndex {
		b.Grow(int(size))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	return readAll(&b, f)
}

func readAll(b *strings.Builder, r io.Reader) (string, error) {
	n, err := io.Copy(b, io.LimitReader(r, maxIndex+1))
	if n > maxIndex {
		err = fmt.Errorf("got more than %d bytes", int64(maxIndex))
	}
	return b.String(), err
}

// Package is Source's.
func (s files) Package(_ context.Context, subdir, _, file string, _ int64) (host.Content, int64, error) {
	name := path.Join(s.dir, subdir, file)
	c, err := s.r.Content(name)
	if err != nil {
		return c, -1, err
	}
	m, err := s.r.Lstat(name)
	if err != nil || m.Mode.IsRegular() {
		return c, m.Size, err
	}
	f, err := c.Reader() // a link
	if err != nil {
		return c, -1, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	return c, size, err
}
