package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"

	"runbook/builtins/internal/advice"
	"runbook/runtime/host"
)

// A source is a channel to mirror from. Its methods but fetch are for one goroutine.
type source interface {
	// subdirs returns the subdirs that the channel may have; wanted, if any, are those that are asked for.
	subdirs(ctx context.Context, wanted []string) ([]string, error)
	// index finds a subdir's index. have is the tag that it had when it was last read: if it still has that, its text is
	// not fetched. The error wraps fs.ErrNotExist if there is none.
	index(ctx context.Context, subdir, have string) (*index, error)
	// locate returns where a file of a subdir is. base is base_url in the index (CEP 15).
	locate(subdir, base, file string) (string, error)
	// look finds out whether a located file is there, as far as that costs nothing; size is -1 if unknown.
	look(at string) (size int64, err error)
	// fetch opens a located file from byte off on. fresh goes past caches.
	fetch(ctx context.Context, at string, off int64, etag string, fresh bool) (*opened, error)
}

// An index is a subdir's as a source has it.
type index struct {
	tag  string                        // changes when the text does; "" if nothing tells
	same bool                          // the tag is the one that the caller had
	open func() (io.ReadCloser, error) // the text, plain; any number of times
}

// An opened file gives bytes from off on.
type opened struct {
	io.ReadCloser
	off  int64
	etag string // of the version that the bytes are of, if it is a strong one
}

// A channel is a source with the name it is shown by.
type channel struct {
	source
	shown string
	local bool
	has   map[string]bool // subdirs
}

const (
	indexFile  = "repodata.json"
	shardsFile = "repodata_shards.msgpack.zst"
	maxIndex   = 2 << 30 // bytes; conda-forge's largest has a quarter of a gigabyte
)

// channels opens the configured channels.
func (m *Mirror) channels(r host.Reader) ([]*channel, error) {
	var list []*channel
	for _, c := range m.Config.Channels {
		shown := m.show(c)
		s, err := m.open(c, r)
		if err != nil {
			return nil, fmt.Errorf("channel %s: %w", shown, err)
		}
		dir, local := s.(files)
		if local && dir.dir == m.Dir() {
			return nil, fmt.Errorf("channel %s: is the tree that is mirrored to", shown)
		}
		list = append(list, &channel{source: s, shown: shown, local: local})
	}
	return list, nil
}

// show returns a channel's location as people may see it.
func (m *Mirror) show(location string) string {
	if m.Redact != nil && strings.Contains(location, "://") {
		return m.Redact(location)
	}
	return location
}

func (m *Mirror) open(location string, r host.Reader) (source, error) {
	w := web{r: r, access: m.Access, at: strings.TrimRight(location, "/")}
	if path.IsAbs(location) {
		return files{r, path.Clean(location), w}, nil
	}
	scheme, rest, _ := strings.Cut(location, "://")
	server, _, _ := strings.Cut(rest, "/")
	switch {
	case scheme == "file" && (server == "" || server == "localhost") && strings.HasPrefix(rest, server+"/"):
		p, err := url.PathUnescape(strings.TrimPrefix(rest, server))
		return files{r, path.Clean(p), w}, err
	case scheme == "file":
		return nil, advice.New("write file:///media/pkgs/free, with three slashes",
			"got a file:// URL with a host, want one of this machine")
	case (scheme == "http" || scheme == "https") && server != "":
		w.server = scheme + "://" + server
		return &w, nil
	}
	return nil, advice.New("write /media/pkgs/free, file:///media/pkgs/free or https://HOST/pkgs/free",
		"got neither an absolute path nor a file://, http:// or https:// URL")
}

// isSubdir reports whether s may be a subdir's name (CEP 26): noarch, or platform-architecture.
func isSubdir(s string) bool {
	platform, arch, ok := strings.Cut(s, "-")
	bad := func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_') }
	return s == noarch || ok && platform != "" && arch != "" && len(s) < 64 && !strings.ContainsFunc(platform+arch, bad)
}

const noarch = "noarch"

// limited reads at most n bytes of r and closes it; more is an error that wraps errTooLong.
func limited(r io.ReadCloser, n int64) ([]byte, error) {
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, n+1))
	if int64(len(data)) > n {
		err = errors.Join(err, fmt.Errorf("%w %d bytes", errTooLong, n))
	}
	return data, err
}

var errTooLong = errors.New("got more than")
