package mirror

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"runbook/runtime/host"
)

// known are the subdirs to ask a server for that has no channeldata.json: conda's own list
// (conda.base.constants.KNOWN_SUBDIRS) and what the vendor once had.
var knownSubdirs = []string{
	"emscripten-wasm32", "freebsd-64", "linux-32", "linux-64", "linux-aarch64", "linux-armv6l", "linux-armv7l", "linux-ppc64", "linux-ppc64le",
	"linux-riscv32", "linux-riscv64", "linux-s390x", noarch, "osx-32", "osx-64", "osx-arm64", "wasi-wasm32", "win-32", "win-64", "win-arm64", "zos-z",
}

// web is a channel on a server. Its URL is only ever put together as text, because
// a secret in it is a placeholder, which must stay as it is.
type web struct {
	r      host.Reader
	asking *sync.Mutex // held while r is asked
	at     string      // the channel, without a final slash
	server string      // what at begins with: scheme, credentials, host and port
}

func (s *web) get(ctx context.Context, r host.Request) (*host.Response, error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	return s.r.Get(ctx, r)
}

// Subdirs returns those of channeldata.json, or else all that are known.
func (s *web) Subdirs(ctx context.Context) ([]string, error) {
	text, err := s.text(ctx, s.at+"/channeldata.json")
	if errors.Is(err, fs.ErrNotExist) {
		return knownSubdirs, nil
	}
	if err != nil {
		return nil, err
	}
	var data struct{ Subdirs []string }
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		return nil, fmt.Errorf("channeldata.json: %w", err)
	}
	return slices.DeleteFunc(data.Subdirs, func(n string) bool { return !isSubdir(n) }), nil
}

// Index is Source's.
func (s *web) Index(ctx context.Context, subdir string) (string, error) {
	return s.text(ctx, s.at+"/"+subdir+"/"+indexFile)
}

func (s *web) text(ctx context.Context, at string) (string, error) {
	resp, err := s.get(ctx, host.Request{URL: at})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if err := status(resp); err != nil {
		return "", err
	}
	var b strings.Builder
	if resp.Size > 0 && resp.Size <= maxIndex {
		b.Grow(int(resp.Size))
	}
	text, err := readAll(&b, resp.Body)
	if err == nil && resp.Size >= 0 && int64(len(text)) != resp.Size {
		err = fmt.Errorf("got %d bytes, want %d: %w", len(text), resp.Size, io.ErrUnexpectedEOF)
	}
	return text, err
}

func status(resp *host.Response) error {
	switch resp.Status {
	case 200, 206:
		return nil
	case 404, 410:
		return fmt.Errorf("the server says %d: %w", resp.Status, fs.ErrNotExist)
	case 401, 403, 407:
		return advise("see whether the token, or the account, may read this channel", "the server says %d", resp.Status)
	}
	return fmt.Errorf("the server says %d", resp.Status)
}

// Package is Source's. Nothing is asked of the server before somebody reads, except a size
// that the index does not tell.
func (s *web) Package(ctx context.Context, subdir, base, file string, want int64) (host.Content, int64, error) {
	at, err := s.locate(subdir, base, file)
	if err != nil {
		return host.Content{}, -1, err
	}
	// Whoever reads the content may do so long after ctx; what is wanted of it stays.
	ctx = context.WithoutCancel(ctx)
	c := host.Content{Open: func() (host.File, error) { return &webFile{ctx: ctx, from: s, url: at}, nil }}
	if want >= 0 {
		return c, want, nil
	}
	resp, err := s.head(ctx, at)
	return c, resp.Size, err
}

func (s *web) head(ctx context.Context, at string) (host.Response, error) {
	resp, err := s.get(ctx, host.Request{URL: at, Head: true})
	if err != nil {
		return host.Response{Size: -1}, err
	}
	return *resp, cmp.Or(status(resp), resp.Body.Close())
}

// locate resolves base as CEP 15 says, against the index's own URL. Another server would get requests,
// and credentials, that nobody meant for it.
func (s *web) locate(subdir, base, file string) (string, error) {
	dir := s.at + "/" + subdir
	switch scheme, rest, absolute := strings.Cut(base, "://"); {
	case base == "":
	case absolute:
		server, _, _ := strings.Cut(rest, "/")
		if scheme+"://"+server != s.server {
			return "", advise("name that channel in channels instead", "base_url: got another server, %q", server)
		}
		dir = base
	case strings.HasPrefix(base, "/"):
		dir = s.server + path.Clean(base)
	default:
		dir = s.server + path.Join("/", strings.TrimPrefix(dir, s.server), base)
	}
	return strings.TrimSuffix(dir, "/") + "/" + file, nil
}

// A webFile asks for what it reads at the first Read.
type webFile struct {
	ctx  context.Context
	from *web
	url  string
	off  int64
	body io.ReadCloser
}

// Seek works before the first Read, from the start.
func (f *webFile) Seek(off int64, whence int) (int64, error) {
	if f.body != nil || whence != io.SeekStart || off < 0 {
		return 0, errors.ErrUnsupported
	}
	f.off = off
	return off, nil
}

// Read is io.Reader's.
func (f *webFile) Read(p []byte) (int, error) {
	if f.body == nil {
		if err := f.open(); err != nil {
			return 0, err
		}
	}
	return f.body.Read(p)
}

// open asks for the rest of a file only if the server still has the same one, which
// costs a request; a server that sends the whole has the start thrown away.
func (f *webFile) open() error {
	r := host.Request{URL: f.url, Offset: f.off}
	if f.off > 0 {
		resp, err := f.from.head(f.ctx, f.url)
		if err != nil {
			return err
		}
		r.ETag = resp.ETag
	}
	resp, err := f.from.get(f.ctx, r)
	if err != nil {
		return err
	}
	f.body = resp.Body
	if err := status(resp); err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, resp.Body, f.off-resp.Offset)
	return err
}

// Close is io.Closer's.
func (f *webFile) Close() error {
	if f.body == nil {
		return nil
	}
	return f.body.Close()
}
