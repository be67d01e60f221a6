package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/compress"
	"runbook/builtins/internal/shards"
	"runbook/runtime/host"
)

const (
	// bytes of a compressed index, which is kept in memory; conda-forge's largest has a fifth of that
	maxPacked  = 256 << 20
	maxUnsized = 128 << 20 // of one whose length nobody tells
	maxShards  = 64 << 20  // of an index of shards, or of a shard
	tryIndex   = 4         // times, where an answer breaks off
)

// index asks for the forms that a server may have, the smallest first.
func (s *web) index(ctx context.Context, subdir, have string) (*index, error) {
	for _, name := range []string{indexFile + ".zst", indexFile, shardsFile} {
		x, err := s.form(ctx, subdir, name, have)
		if !errors.Is(err, fs.ErrNotExist) {
			return x, err
		}
	}
	return nil, fs.ErrNotExist
}

// form asks for one form. A tag is its name, ETag and Last-Modified, separated by spaces; no ETag holds any
// (RFC 9110, 8.8.3).
func (s *web) form(ctx context.Context, subdir, name, have string) (*index, error) {
	req := host.Request{URL: s.at + "/" + subdir + "/" + name}
	if form, rest, ok := strings.Cut(have, " "); ok && form == name {
		req.ETag, req.Since, _ = strings.Cut(rest, " ")
	}
	resp, data, err := s.whole(ctx, req)
	if err != nil {
		return nil, err
	}
	if resp.Status == 304 {
		return &index{tag: have, same: true}, nil
	}
	x := &index{}
	if resp.ETag != "" || resp.Modified != "" {
		x.tag = name + " " + strings.ReplaceAll(resp.ETag, " ", "") + " " + resp.Modified
	}
	if name == shardsFile {
		return x, x.join(ctx, data, s.shard(subdir))
	}
	x.hold(data, name)
	return x, nil
}

// whole returns an answer with its body, which is nil for 304. It asks again where the body breaks off.
func (s *web) whole(ctx context.Context, req host.Request) (resp *host.Response, data []byte, err error) {
	for try := 1; ; try++ {
		if resp, err = s.get(ctx, req); err != nil {
			return nil, nil, err
		}
		if err = status(resp); err != nil {
			return nil, nil, err
		}
		if resp.Status == 304 && req.ETag+req.Since != "" {
			return resp, nil, resp.Body.Close()
		}
		if isPage(resp.Type) || resp.Status != 200 {
			resp.Body.Close()
			if resp.Status != 200 {
				return nil, nil, fmt.Errorf("the server says %d to a first request", resp.Status)
			}
			return nil, nil, errPage
		}
		if data, err = body(resp); err == nil || errors.Is(err, errTooLong) || try == tryIndex || ctx.Err() != nil {
			return resp, data, err
		}
		req.Fresh = true
	}
}

// hold keeps a text in memory; it has come compressed, or was made so.
func (x *index) hold(data []byte, name string) {
	x.open = func() (io.ReadCloser, error) { return unpacked(io.NopCloser(bytes.NewReader(data)), name) }
}

func pack(w io.Writer, r io.Reader) error {
	z, err := compress.NewZstd(w)
	if err != nil {
		return err
	}
	_, err = io.Copy(z, r)
	return errors.Join(err, z.Close())
}

// join makes the text of an index of its shards (CEP 16). get fetches one, base being where the
// index says that they are.
func (x *index) join(ctx context.Context, text []byte,
	get func(ctx context.Context, base, file string) ([]byte, error)) error {
	list, err := shards.Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", shardsFile, err)
	}
	var b bytes.Buffer
	z, err := compress.NewZstd(&b)
	if err != nil {
		return err
	}
	err = list.WriteJSON(z, func(one shards.Shard) ([]byte, error) { return get(ctx, list.ShardsBaseURL, one.File()) })
	if err := errors.Join(err, z.Close()); err != nil {
		return err
	}
	x.hold(b.Bytes(), indexFile)
	return nil
}

// shard returns the way to get one of a subdir.
func (s *web) shard(subdir string) func(ctx context.Context, base, file string) ([]byte, error) {
	return func(ctx context.Context, base, file string) ([]byte, error) {
		at, err := s.locate(subdir, base, file)
		if err != nil {
			return nil, err
		}
		_, data, err := s.whole(ctx, host.Request{URL: at})
		if errors.Is(err, fs.ErrNotExist) {
			return nil, noShard(file)
		}
		return data, err
	}
}

func noShard(file string) error {
	return advice.New("the channel is being changed, or is incomplete: run again later",
		"a shard that the index lists is missing: %s", file)
}
