package channel

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"runbook/builtins/internal/advice"
	"runbook/builtins/internal/compress"
	"runbook/builtins/internal/conda"
	"runbook/builtins/internal/shards"
	"runbook/runtime/host"
)

// Access is how servers are asked.
type Access struct {
	Bearer string // token for the channels' own servers; a placeholder of a secret, usually
	CA     string // PEM certificates of authorities to trust besides the system's
	Proxy  string // URL; what the environment says if empty
	// BaseURLs are the servers, "https://HOST", that a base_url in an index may lead to besides its own. They get no
	// credentials.
	BaseURLs []string
}

// knownSubdirs are those to ask a server for that has no channeldata.json: conda's own list
// (conda.base.constants.KNOWN_SUBDIRS) and what the vendor once had.
var knownSubdirs = []string{
	"emscripten-wasm32", "freebsd-64", "linux-32", "linux-64", "linux-aarch64", "linux-armv6l", "linux-armv7l", "linux-ppc64", "linux-ppc64le",
	"linux-riscv32", "linux-riscv64", "linux-s390x", conda.Noarch, "osx-32", "osx-64", "osx-arm64", "wasi-wasm32", "win-32", "win-64", "win-arm64", "zos-z",
}

// web is a channel on a server. Its URL is only ever put together as text, because
// a secret in it is a placeholder, which must stay as it is.
type web struct {
	r      host.Reader
	access Access
	at     string // the channel, without a final slash
	server string // what at begins with: scheme, credentials, host and port
}

// get asks for a URL, with credentials only where it begins with the channel's own server.
func (s *web) get(ctx context.Context, req host.Request) (*host.Response, error) {
	req.CA, req.Proxy = s.access.CA, s.access.Proxy
	if s.own(req.URL) && !strings.Contains(s.server, "@") {
		req.Bearer = s.access.Bearer
	}
	return s.r.Get(ctx, req)
}

func (s *web) own(at string) bool { return s.server != "" && strings.HasPrefix(at, s.server+"/") }

// Subdirs returns those that are wanted: which of them are there is found when they are asked for. If all are wanted it
// returns those of channeldata.json, or else guesses all that are known.
func (s *web) Subdirs(ctx context.Context, wanted []string) (names []string, guessed bool, err error) {
	if len(wanted) > 0 {
		return append([]string{conda.Noarch}, wanted...), false, nil
	}
	names, err = s.data(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return knownSubdirs, true, nil
	}
	if err != nil && !errors.Is(err, errPage) {
		err = fmt.Errorf("%s: %w", DataFile, err)
	}
	return names, false, err
}

// data asks for channeldata.json.
func (s *web) data(ctx context.Context) ([]string, error) {
	const most = 64 << 20 // conda-forge's has a tenth of that
	resp, err := s.get(ctx, host.Request{URL: s.at + "/" + DataFile})
	if err == nil {
		err = status(resp)
	}
	if err != nil {
		return nil, err
	}
	if isPage(resp.Type) {
		resp.Body.Close()
		return nil, errPage
	}
	text, err := ReadLimited(resp.Body, most)
	if err != nil {
		return nil, err
	}
	return ParseData(text)
}

// ParseData returns the subdirs that a channeldata.json names.
func ParseData(text []byte) ([]string, error) {
	var data struct{ Subdirs []string }
	err := json.Unmarshal(text, &data)
	return slices.DeleteFunc(data.Subdirs, func(n string) bool { return !conda.IsSubdir(n) }), err
}

// status makes an error of an answer that holds no file, and closes its body.
func status(resp *host.Response) error {
	switch resp.Status {
	case 200, 206, 304:
		return nil
	}
	resp.Body.Close()
	err := fmt.Errorf("the server says %d", resp.Status)
	switch resp.Status {
	case 404, 410:
		return fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	case 401, 403, 407:
		return advice.New("see whether the token, or the account, may read this channel", "%w", err)
	case 429, 503:
		return advice.New("the server is busy or limits what it gives: run again later, or with fewer connections",
			"%w", err)
	}
	return err
}

// Look asks nothing: a size that the index lacks is found when the file comes.
func (s *web) Look(string) (int64, error) { return -1, nil }

// Locate resolves base as CEP 15 says, against the index's own URL. Another server gets requests only if the caller
// has listed it, and never credentials.
func (s *web) Locate(subdir, base, file string) (string, error) {
	dir := s.at + "/" + subdir
	switch _, _, absolute := strings.Cut(base, "://"); {
	case base == "":
	case absolute && OriginOf(base) == OriginOf(s.at):
		_, rest, _ := strings.Cut(base, "://")
		_, rest, _ = strings.Cut(rest, "/")
		dir = s.server + path.Clean("/"+rest)
	case absolute && s.lists(base):
		dir = base
	case absolute:
		return "", advice.New(fmt.Sprintf("if its files may come from there, add base_urls=[%q]", OriginOf(base)),
			"base_url: got another server, %q", OriginOf(base))
	case strings.HasPrefix(base, "//") || strings.ContainsAny(base, "?#\\"):
		return "", fmt.Errorf("base_url: got %q, want a path or a URL without a query", base)
	case strings.HasPrefix(base, "/"):
		dir = s.server + path.Clean(base)
	default:
		dir = s.server + path.Join("/", strings.TrimPrefix(dir, s.server), base)
	}
	return strings.TrimSuffix(dir, "/") + "/" + file, nil
}

// lists reports whether the caller allows files of the server of an absolute URL.
func (s *web) lists(base string) bool {
	o := OriginOf(base)
	return o != "" && !strings.ContainsAny(base, "?#\\@") &&
		slices.ContainsFunc(s.access.BaseURLs, func(u string) bool { return OriginOf(u) == o })
}

// OriginOf returns scheme, host and port of an http or https URL in lower case, without credentials; "" of
// anything else.
func OriginOf(at string) string {
	scheme, rest, ok := strings.Cut(at, "://")
	if scheme = strings.ToLower(scheme); !ok || scheme != "http" && scheme != "https" {
		return ""
	}
	server, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + strings.ToLower(server[strings.LastIndexByte(server, '@')+1:])
}

// Fetch asks for the rest of a file if etag, a strong one, names what the caller has of it. A server that
// sends the whole instead gives off 0.
func (s *web) Fetch(ctx context.Context, at string, off int64, etag string, fresh bool) (*Opened, error) {
	req := host.Request{URL: at, Fresh: fresh}
	if off > 0 && strings.HasPrefix(etag, `"`) { // without an offset the tag would ask for news only
		req.Offset, req.ETag = off, etag
	}
	resp, err := s.get(ctx, req)
	if err == nil {
		err = status(resp)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case isPage(resp.Type):
		resp.Body.Close()
		return nil, errPage
	case resp.Status == 304:
		resp.Body.Close()
		return nil, errors.New("the server says 304 although nothing was there to compare")
	}
	return &Opened{resp.Body, resp.Offset, resp.ETag}, nil
}

var errPage = advice.New(
	"a proxy, a portal or a login page may have answered: see what the address shows in a browser",
	"got a web page, want a file of the channel")

// isPage reports whether a media type is that of a web page: a portal or a proxy has answered.
func isPage(media string) bool { return media == "text/html" || media == "application/xhtml+xml" }

// etagOf asks which version of a file the server has.
func (s *web) etagOf(ctx context.Context, at string) (string, error) {
	resp, err := s.get(ctx, host.Request{URL: at, Head: true})
	if err != nil {
		return "", err
	}
	return resp.ETag, resp.Body.Close()
}

// body reads all of an answer whose length is known to be right. A plain text is compressed on its way, for it is
// kept in memory.
func body(resp *host.Response) ([]byte, error) {
	defer resp.Body.Close()
	all := &sizedReader{r: resp.Body}
	r := bufio.NewReader(all)
	head, _ := r.Peek(8)
	most, pour := int64(maxPacked), func(w io.Writer, r io.Reader) error { _, err := io.Copy(w, r); return err }
	if compress.Detect(head) == compress.Plain {
		most, pour = maxIndex, pack
	}
	if resp.Size > most {
		return nil, fmt.Errorf("%w %d bytes", errTooLong, most)
	}
	var b bytes.Buffer
	switch {
	case most == maxIndex:
	case resp.Size >= 0:
		b.Grow(int(resp.Size) + bytes.MinRead)
	default:
		most = maxUnsized
	}
	err := pour(&b, io.LimitReader(r, most+1))
	switch {
	case all.n > most:
		return nil, fmt.Errorf("%w %d bytes", errTooLong, most)
	case err == nil && resp.Size >= 0 && all.n != resp.Size:
		err = fmt.Errorf("got %d bytes, want %d: %w", all.n, resp.Size, io.ErrUnexpectedEOF)
	}
	return b.Bytes(), err
}

// A sizedReader counts what is read.
type sizedReader struct {
	r io.Reader
	n int64
}

// Read is io.Reader's.
func (s *sizedReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	return n, err
}

const (
	// bytes of a compressed index, which is kept in memory; conda-forge's largest has a fifth of that
	maxPacked  = 256 << 20
	maxUnsized = 128 << 20 // of one whose length nobody tells
	maxShards  = 64 << 20  // of an index of shards, or of a shard
	tryIndex   = 4         // times, where an answer breaks off
)

// Index asks for the forms that a server may have, the smallest first.
func (s *web) Index(ctx context.Context, subdir, have string) (*Index, error) {
	for _, name := range []string{IndexFile + ".zst", IndexFile, ShardsFile} {
		x, err := s.form(ctx, subdir, name, have)
		if !errors.Is(err, fs.ErrNotExist) {
			return x, err
		}
	}
	return nil, fs.ErrNotExist
}

// form asks for one form. A tag is its name, ETag and Last-Modified, separated by spaces; no ETag holds any
// (RFC 9110, 8.8.3).
func (s *web) form(ctx context.Context, subdir, name, have string) (*Index, error) {
	req := host.Request{URL: s.at + "/" + subdir + "/" + name}
	if form, rest, ok := strings.Cut(have, " "); ok && form == name {
		req.ETag, req.Since, _ = strings.Cut(rest, " ")
	}
	resp, data, err := s.whole(ctx, req)
	if err != nil {
		return nil, err
	}
	if resp.Status == 304 {
		return &Index{Tag: have, Same: true}, nil
	}
	x := &Index{}
	if resp.ETag != "" || resp.Modified != "" {
		x.Tag = name + " " + strings.ReplaceAll(resp.ETag, " ", "") + " " + resp.Modified
	}
	if name == ShardsFile {
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
func (x *Index) hold(data []byte, name string) {
	x.Open = func() (io.ReadCloser, error) { return Unpacked(io.NopCloser(bytes.NewReader(data)), name) }
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
func (x *Index) join(ctx context.Context, text []byte,
	get func(ctx context.Context, base, file string) ([]byte, error)) error {
	list, err := shards.Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", ShardsFile, err)
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
	x.hold(b.Bytes(), IndexFile)
	return nil
}

// shard returns the way to get one of a subdir.
func (s *web) shard(subdir string) func(ctx context.Context, base, file string) ([]byte, error) {
	return func(ctx context.Context, base, file string) ([]byte, error) {
		at, err := s.Locate(subdir, base, file)
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
