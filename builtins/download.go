package builtins

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path"
	"regexp"
	"strings"

	"runbook/runtime"
	"runbook/runtime/fetch"
	"runbook/runtime/host"
)

var downloadBuiltin = &runtime.Builtin{
	Name: "download",
	Args: append([]runtime.Arg{
		param("url", "string", "", "http, https or file URL, or the absolute name of a file; it may hold secrets"),
		param("dest", "path", "", "the file itself; its directory must exist"),
		param("sha256", "string", `""`, "what it must hash to, in hex; a line of sha256sum will do"),
		param("md5", "string", `""`, "the same for media that come with nothing better; a line of md5sum will do"),
		param("mode", "int", "0o644", "permission bits"),
	}, ownerParams()...),
	Summary: "fetch a file",
	Detail: []string{
		"It is done if dest has the digest. Without a digest it is done if dest is there; if url names a file, dest must have its size and its time or bytes.",
		"The download gathers in .NAME.part beside dest, is resumed after an interruption where the server can, verified as a whole, and gets its name last.",
		"A web page is refused unless dest is called .html: a portal or a login page answers so.",
		"A dry run connects to nothing. Where it then needs the content, it stops or assumes.",
	},
	Example: `download("file:///etc/hostname", "/srv/hostname")`,
	New:     newDownload,
}

// downloadOp is a file that another place has, too.
type downloadOp struct {
	url         string // with placeholders of secrets
	shown       string // as it may be shown
	file        string // if url is a file
	dest        string
	sha256, md5 string
	meta        host.Meta

	// Of the last Check.
	dir     string       // of dest, without links
	write   bool         // the content differs
	owner   host.Owner   // that of meta, or of what is there
	content host.Content // of file
}

func newDownload(c *runtime.Call) (runtime.Op, string, error) {
	op := &downloadOp{meta: host.Meta{Mode: 0o644}}
	var dest runtime.Path
	err := c.Unpack("url", &op.url, "dest", &dest, "sha256", &op.sha256, "md5", &op.md5, "mode", &op.meta.Mode, "owner", &op.meta.User, "group", &op.meta.Group)
	if err != nil {
		return nil, "", err
	}
	op.dest, op.meta.Owner = string(dest), op.meta.Or(c.Owner())
	op.shown = host.RedactURL(secretInURL.ReplaceAllString(op.url, "<secret:$1>"))
	lower := strings.ToLower(op.url)
	switch {
	case strings.HasPrefix(lower, "http://"), strings.HasPrefix(lower, "https://"):
	case strings.HasPrefix(op.url, "/"):
		op.file, op.shown = path.Clean(op.url), op.url
	case strings.HasPrefix(lower, "file:///"):
		if op.file, err = url.PathUnescape(op.url[len("file://"):]); err != nil {
			return nil, "", errors.New("argument \"url\": malformed file URL")
		}
		op.file = path.Clean(op.file)
	default:
		return nil, "", runtime.Hint(fmt.Errorf("argument \"url\": got %s, want http://, https:// or file:///", op.shown), "the absolute name of a file will do, too")
	}
	if op.sha256, err = digestArg("sha256", op.sha256, sha256.Size); err != nil {
		return nil, "", err
	}
	op.md5, err = digestArg("md5", op.md5, md5.Size)
	return op, op.shown, err
}

// secretInURL finds placeholders. Their "#" would look like a fragment.
var secretInURL = regexp.MustCompile(`<secret:([A-Za-z0-9_]+)#[0-9a-f]+(?::json)?>`)

// digestArg takes the hex digest out of "HEX" or "HEX  file", as md5sum prints it.
func digestArg(name, s string, size int) (string, error) {
	f := strings.Fields(s)
	if len(f) == 0 {
		return "", nil
	}
	if b, err := hex.DecodeString(f[0]); err != nil || len(b) != size {
		return "", fmt.Errorf("argument %q: got %q, want %d hex digits", name, f[0], 2*size)
	}
	return strings.ToLower(f[0]), nil
}

func (op *downloadOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	return legacy(ctx, h, op)
}

func (op *downloadOp) check0(ctx context.Context, h host.Reader) (_ []host.Change, err error) {
	if op.meta.Owner, err = resolveOwner(ctx, h, op.meta.Owner); err != nil {
		return nil, err
	}
	m, there, err := look(ctx, h, op.dest)
	switch {
	case err != nil:
		return nil, err
	case there && m.Mode.IsDir():
		return nil, runtime.Hint(fmt.Errorf("%s is a directory, want the name of the file", op.dest), `name the file itself: "`+path.Join(op.dest, path.Base(op.shown))+`"`)
	}
	if err := needPlace(h, op.dest, m, there); err != nil {
		return nil, err
	}
	op.owner = op.meta.Or(m.Owner)
	if op.dir, _, err = follow(h, path.Dir(op.dest)); err != nil && !errors.Is(err, host.ErrUnknown) {
		return nil, err
	}
	same := false
	if err = nil; there {
		same, err = op.same(ctx, h, m)
	}
	if err != nil || same {
		op.write = false
		return metaChanges(m, op.meta), err
	}
	return op.differs(ctx, h, m, there)
}

// same reports whether dest, of which m is known, is what is wanted.
func (op *downloadOp) same(ctx context.Context, h host.Reader, m host.Meta) (bool, error) {
	for _, d := range op.digests() {
		have, err := digestOf(ctx, h, op.dest, d.hash)
		if errors.Is(err, host.ErrUnknown) {
			runtime.Assume(ctx, op.dest+" is not the wanted file")
			return false, nil
		}
		if err != nil || have != d.want {
			return false, err
		}
	}
	if op.file == "" || op.sha256+op.md5 != "" {
		return true, nil
	}
	src, err := op.source(h)
	switch {
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, op.dest+" is not the wanted file")
		return false, nil
	case err != nil:
		return false, err
	case src.Size == m.Size && !src.ModTime.IsZero() && src.ModTime.Equal(m.ModTime):
		return true, nil
	}
	return sameContent(ctx, h, op.file, op.dest, src.Size, m.Size)
}

// source describes the file that url names.
func (op *downloadOp) source(h host.Reader) (host.Meta, error) {
	_, m, err := follow(h, op.file)
	switch {
	case gone(err):
		return m, runtime.Hint(fmt.Errorf("%s is not there", op.file), "see where the media are mounted")
	case err == nil && !m.Mode.IsRegular():
		return m, fmt.Errorf("%s is %s, want a file", op.file, kindOf(m.Mode))
	}
	return m, err
}

// differs tells of the content that must be fetched.
func (op *downloadOp) differs(ctx context.Context, h host.Reader, m host.Meta, there bool) ([]host.Change, error) {
	op.write = true
	if op.file != "" {
		src, err := op.source(h)
		if errors.Is(err, host.ErrUnknown) {
			runtime.Assume(ctx, op.file+" is there")
		} else if err != nil {
			return nil, err
		}
		op.meta.Size, op.meta.ModTime = src.Size, src.ModTime
		if op.content, err = contentOf(h, op.file); err != nil {
			return nil, err
		}
	}
	fetched := want("content", "", op.shown)
	if !there {
		return append([]host.Change{fetched}, newMeta(op.meta)...), nil
	}
	fetched.From = "another file"
	return append([]host.Change{fetched}, metaChanges(m, op.meta)...), nil
}

func (op *downloadOp) apply0(ctx context.Context, h host.Host, _ []host.Change) error {
	switch {
	case !op.write:
		return h.SetMeta(op.dest, op.meta)
	case op.file != "":
		return h.WriteFile(op.dest, op.verified(), op.meta)
	}
	name := path.Base(op.dest)
	entry := host.Entry{Name: name, Meta: op.meta, Sum: op.sha256, Content: host.Unknown(op.dest)}
	entry.Owner, entry.Size = op.owner, -1
	return h.WriteTree(ctx, op.dir, host.Manifest{entry}.All(), func(ctx context.Context, root *host.Root) error {
		return advise(op.fetch(ctx, h, root, name))
	})
}

// fetch is the only code here that a dry run does not run.
func (op *downloadOp) fetch(ctx context.Context, h host.Reader, root *host.Root, name string) error {
	progress := func(done, total int64) {
		if total < 0 {
			runtime.Progress(ctx, fmt.Sprintf("%d MB", done>>20))
			return
		}
		runtime.Progress(ctx, fmt.Sprintf("%d of %d MB", done>>20, total>>20))
	}
	want := fetch.Want{SHA256: op.sha256, MD5: op.md5, Mode: op.meta.Mode}
	done, err := fetch.Download(ctx, h.Get, op.url, root, name, want, progress)
	if err != nil {
		return err
	}
	runtime.Observe(ctx, "bytes", done.Size)
	runtime.Observe(ctx, "sha256", done.SHA256)
	if done.Resumed > 0 {
		runtime.Observe(ctx, "resumed", done.Resumed)
	}
	return giveTo(ctx, h, root, name, op.owner)
}

// advise says what may cure a download.
func advise(err error) error {
	var status fetch.StatusError
	var broken *net.OpError
	switch {
	case errors.Is(err, fetch.ErrPage):
		return runtime.Hint(err, "open the URL in a browser on this network; a dest that ends in .html takes a page")
	case errors.Is(err, fetch.ErrDigest):
		return runtime.Hint(err, "compare the digest with what the publisher says; the file may have been replaced by a newer one")
	case errors.As(err, &broken), errors.Is(err, io.EOF):
		return runtime.Hint(err, "see whether the server is up and this machine reaches it; then run again")
	case !errors.As(err, &status):
		return err
	case status == 401 || status == 403 || status == 407:
		return runtime.Hint(err, "see whether the server or the proxy wants a user name or a token")
	case status == 404 || status == 410:
		return runtime.Hint(err, "see whether the URL is right")
	}
	return err
}
