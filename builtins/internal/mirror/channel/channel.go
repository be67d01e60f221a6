// Package channel reads conda channels: a directory or a server, its indexes in whatever form they are there, and its
// files.
//
// Two things to know. An index is never held as a value: its text can be opened any number of times, from a file or
// from a compressed copy in memory. And credentials go to the channel's own server only, wherever an index says that
// files are.
//
// Package mirror calls it with a host to read through; it calls packages compress and shards for forms of indexes.
package channel

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
	// Subdirs returns the subdirs that the channel may have; wanted, if any, are those that are asked for. They are
	// guessed if the channel does not say which it has.
	Subdirs(ctx context.Context, wanted []string) (names []string, guessed bool, err error)
	// Index finds a subdir's index. have is the tag that it had when it was last read: if it still has that, its text is
	// not fetched. The error wraps fs.ErrNotExist if there is none.
	Index(ctx context.Context, subdir, have string) (*Index, error)
	// Locate returns where a file of a subdir is. base is base_url in the index (CEP 15).
	Locate(subdir, base, file string) (string, error)
	// Look finds out whether a located file is there, as far as that costs nothing; size is -1 if unknown.
	Look(at string) (size int64, err error)
	// Fetch opens a located file from byte off on. fresh goes past caches.
	Fetch(ctx context.Context, at string, off int64, etag string, fresh bool) (*Opened, error)
}

// An index is a subdir's as a source has it.
type Index struct {
	File string                        // that holds it, of a directory
	Tag  string                        // changes when the text does; "" if nothing tells
	Same bool                          // the tag is the one that the caller had
	Open func() (io.ReadCloser, error) // the text, plain; any number of times
}

// An opened file gives bytes from off on.
type Opened struct {
	io.ReadCloser
	Off  int64
	ETag string // of the version that the bytes are of, if it is a strong one
}

// A channel is a source with its name.
type Channel struct {
	source
	Shown string          // for people: without credentials
	Local bool            // it is a directory
	Has   map[string]bool // subdirs, once the caller has asked for them
}

// The files of an index, and the subdir that every channel has.
const (
	IndexFile  = "repodata.json"
	ShardsFile = "repodata_shards.msgpack.zst"
	DataFile   = "channeldata.json" // names the subdirs
	maxIndex   = 2 << 30            // bytes; conda-forge's largest has a quarter of a gigabyte
)

// Open returns the channel at an absolute path or a file://, http:// or https:// URL.
func Open(location string, r host.Reader, a Access) (*Channel, error) {
	w := web{r: r, access: a, at: strings.TrimRight(location, "/")}
	if path.IsAbs(location) {
		return &Channel{source: files{r, path.Clean(location), w}, Local: true}, nil
	}
	scheme, rest, _ := strings.Cut(location, "://")
	server, _, _ := strings.Cut(rest, "/")
	switch {
	case scheme == "file" && (server == "" || server == "localhost") && strings.HasPrefix(rest, server+"/"):
		p, err := url.PathUnescape(strings.TrimPrefix(rest, server))
		return &Channel{source: files{r, path.Clean(p), w}, Local: true}, err
	case scheme == "file":
		return nil, advice.New("write file:///media/pkgs/free, with three slashes",
			"got a file:// URL with a host, want one of this machine")
	case (scheme == "http" || scheme == "https") && server != "":
		w.server = scheme + "://" + server
		return &Channel{source: &w}, nil
	}
	return nil, advice.New("write /media/pkgs/free, file:///media/pkgs/free or https://HOST/pkgs/free",
		"got neither an absolute path nor a file://, http:// or https:// URL")
}

// Directory returns where a local channel is, "" of a server's.
func (c *Channel) Directory() string {
	if f, ok := c.source.(files); ok {
		return f.dir
	}
	return ""
}

// Version asks a server which version of a located file it has, by its ETag.
func (c *Channel) Version(ctx context.Context, at string) (string, error) {
	if w, ok := c.source.(*web); ok {
		return w.etagOf(ctx, at)
	}
	return "", nil
}

// ReadLimited reads at most n bytes of r and closes it; more is an error that wraps errTooLong.
func ReadLimited(r io.ReadCloser, n int64) ([]byte, error) {
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, n+1))
	if int64(len(data)) > n {
		err = errors.Join(err, fmt.Errorf("%w %d bytes", errTooLong, n))
	}
	return data, err
}

var errTooLong = errors.New("got more than")
