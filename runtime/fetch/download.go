package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"runbook/runtime/host"
)

// Want is what a finished file must be. Zero fields are not checked.
type Want struct {
	SHA256, MD5 string      // hex
	Size        int64       // bytes
	Mode        fs.FileMode // permission bits of the finished file; 0644 if zero
}

// Done is what a download made.
type Done struct {
	Size    int64
	SHA256  string // hex
	ETag    string
	Resumed int64 // bytes that an earlier run had left
}

var (
	// ErrPage is a web page where a file was wanted.
	ErrPage = errors.New("got an HTML page, want a file: a proxy, a portal or a login page may have answered")
	// ErrDigest is a whole file with a digest that is not the wanted one.
	ErrDigest = errors.New("wrong digest")
)

// A StatusError is an answer that holds no file.
type StatusError int

func (e StatusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("got status %d %s", int(e), http.StatusText(int(e))))
}

// Download makes the file name below dst, whose directory must be there, hold
// what url holds. It asks by get, usually the Get of a host, and gathers in
// .NAME.part; only a file that is whole and has the size and digests of want is
// renamed to name, after it is on disk. An interrupted download is resumed if
// the server names its versions by strong ETags; one that then has a wrong
// digest is begun anew once, past caches, and so is what a server sent as a rest
// that cannot be one. progress, if not nil, gets bytes (total is -1 if
// unknown) a few times a second.
//
// Errors do not repeat url. They wrap ErrPage, ErrDigest or a StatusError
// where that is what is wrong.
func Download(ctx context.Context, get func(context.Context, host.Request) (*host.Response, error), url string,
	dst *os.Root, name string, want Want, progress func(done, total int64)) (Done, error) {
	if progress == nil {
		progress = func(_, _ int64) {}
	}
	p, err := newPart(dst, name, host.RedactURL(url), want.MD5 != "")
	if err != nil {
		return Done{}, err
	}
	defer p.tree.Close()
	defer p.close()
	if err := p.resume(ctx); err != nil {
		return Done{}, err
	}
	d := &download{get: get, url: url, page: isPage(name), want: want, progress: progress, part: p, resumed: p.size}
	err = d.gather(ctx)
	if errors.Is(err, ErrDigest) && d.spliced {
		d.fresh = true
		err = d.gather(ctx)
	}
	if err != nil {
		return Done{}, err
	}
	if err := p.publish(cmp.Or(want.Mode, 0o644)); err != nil {
		return Done{}, err
	}
	return Done{Size: p.size, SHA256: digest(p.sha), ETag: p.etag, Resumed: d.resumed}, nil
}

func isPage(name string) bool {
	return slices.Contains([]string{".html", ".htm", ".xhtml"}, strings.ToLower(path.Ext(name)))
}

type download struct {
	get      func(context.Context, host.Request) (*host.Response, error)
	url      string
	page     bool // a web page is what is wanted
	want     Want
	progress func(done, total int64)
	part     *part
	resumed  int64 // bytes in the part that an earlier run had left
	spliced  bool  // what the part holds came in more than one answer
	fresh    bool  // no cache is to answer
	whole    bool  // the server has ignored that a rest was wanted of the version it has
}

var (
	errCut  = errors.New("cut short")
	errSize = errors.New("got a file")
)

// gather asks until the part is whole and verified. A body that breaks off is
// asked for again, five times unless each brings the file well forward.
func (d *download) gather(ctx context.Context) error {
	const tries, forward = 5, 1 << 20
	most := d.part.size
	for try := 1; ; try++ {
		err := d.ask(ctx)
		if err == nil {
			return d.verify()
		}
		if saveErr := d.part.save(); saveErr != nil {
			return errors.Join(err, saveErr)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, errCut):
			return err
		case d.part.size >= most+forward:
			most, try = d.part.size, 0
		case try == tries:
			return err
		}
		if err := Wait(ctx, 200*time.Millisecond, 10*time.Second, try); err != nil {
			return err
		}
	}
}

// ask makes one request and adds its body to the part.
func (d *download) ask(ctx context.Context) error {
	offset := d.part.size
	if d.whole || !strong(d.part.etag) {
		offset = 0
	}
	tag := etagFor(offset, d.part.etag)
	resp, err := d.get(ctx, host.Request{URL: d.url, Offset: offset, ETag: tag, Fresh: d.fresh})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := d.accept(resp); err != nil {
		if offset > 0 && errors.Is(err, errSize) { // a server that cannot count: begin anew
			return errors.Join(fmt.Errorf("%w: %w", errCut, err), d.part.drop())
		}
		return err
	}
	if resp.Offset == 0 || resp.Offset != d.part.size {
		d.resumed, d.whole = 0, d.whole || offset > 0 && resp.ETag == tag
		if err := d.part.restart(resp.ETag); err != nil {
			return err
		}
	}
	d.spliced = resp.Offset > 0
	return d.copy(resp)
}

func etagFor(offset int64, etag string) string {
	if offset == 0 {
		return "" // an ETag without an Offset would ask whether it is still the same
	}
	return etag
}

// accept refuses answers that hold something else than the wanted file.
func (d *download) accept(resp *host.Response) error {
	switch {
	case resp.Status != http.StatusOK && resp.Status != http.StatusPartialContent:
		return StatusError(resp.Status)
	case !d.page && (resp.Type == "text/html" || resp.Type == "application/xhtml+xml"):
		return ErrPage
	case resp.Offset != 0 && resp.Offset != d.part.size:
		return fmt.Errorf("got bytes from %d on, want them from %d", resp.Offset, d.part.size)
	case d.want.Size > 0 && resp.Size >= 0 && resp.Size != d.want.Size:
		return fmt.Errorf("%w of %d bytes, want %d", errSize, resp.Size, d.want.Size)
	}
	return nil
}

// copy adds the body to the part, never more than there should be.
func (d *download) copy(resp *host.Response) error {
	total := resp.Size
	if total < 0 && d.want.Size > 0 {
		total = d.want.Size
	}
	buf, told := make([]byte, 128<<10), time.Time{}
	for {
		n, err := resp.Body.Read(buf)
		if total >= 0 && d.part.size+int64(n) > total {
			return errors.Join(fmt.Errorf("got more than %d bytes", total), d.part.restart(""))
		}
		if _, err := d.part.Write(buf[:n]); err != nil {
			return err
		}
		if time.Since(told) > 200*time.Millisecond || err != nil {
			told = time.Now()
			d.progress(d.part.size, total)
		}
		switch {
		case err == io.EOF && total >= 0 && d.part.size < total:
			return fmt.Errorf("%w: got %d of %d bytes", errCut, d.part.size, total)
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("%w after %d bytes: %w", errCut, d.part.size, err)
		}
	}
}

// verify compares the part with what is wanted. One that is wrong is dropped:
// resuming it would be wrong for ever.
func (d *download) verify() error {
	for _, c := range []struct{ kind, have, want string }{
		{"sha256", digest(d.part.sha), d.want.SHA256},
		{"md5", digest(d.part.md), d.want.MD5},
	} {
		if c.want != "" && !strings.EqualFold(c.have, c.want) {
			err := fmt.Errorf("%w: got %s %s, want %s", ErrDigest, c.kind, c.have, c.want)
			return errors.Join(err, d.part.drop())
		}
	}
	return nil
}
