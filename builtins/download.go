package builtins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"path"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/fetch"
	"runbook/runtime/host"
)

var downloadBuiltin = &runtime.Builtin{
	Name: "download",
	Args: append([]runtime.Arg{
		param("url", "string", "", "http, https or file URL, or the absolute name of a file; it may hold secrets"),
		param("dest", "path", "", "the file itself; its directory must exist"),
		sha256Param,
		md5Param,
		param("mode", "int", "0o644", "permission bits"),
	}, ownerParams()...),
	Secrets: []string{"url"},
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

// downloadOp is a copy of a file from elsewhere.
type downloadOp struct {
	url     string // with placeholders
	shown   string // the URL, redacted
	file    string // the file that url names, or ""
	dest    string
	digests digests
	mode    fs.FileMode
	owner   ownership
}

// address is where a file comes from.
type address string

var _ starlark.Unpacker = (*address)(nil)

// Unpack implements starlark.Unpacker.
func (a *address) Unpack(v starlark.Value) error {
	text, err := runtime.Text(v)
	if err != nil {
		return err
	}
	*a = address(text)
	for _, scheme := range []string{"/", "http://", "https://", "file:///"} {
		if strings.HasPrefix(strings.ToLower(text), scheme) {
			return nil
		}
	}
	return runtime.Hint(fmt.Errorf("got %s, want http://, https:// or file:///", host.RedactURL(runtime.Readable(text))),
		"the absolute name of a file will do, too")
}

func newDownload(c *runtime.Call) (runtime.Op, string, error) {
	op := downloadOp{mode: 0o644, owner: ownership{user: c.User()}}
	var dest runtime.Path
	var sha256, md5 string
	err := c.Unpack("url", (*address)(&op.url), "dest", &dest, "sha256", &sha256, "md5", &md5, "mode", &op.mode,
		"owner", runtime.Account(&op.owner.User), "group", runtime.Account(&op.owner.Group))
	if err != nil {
		return nil, "", err
	}
	op.dest = string(dest)
	op.shown = host.RedactURL(runtime.Readable(op.url))
	switch lower := strings.ToLower(op.url); {
	case strings.HasPrefix(op.url, "/"):
		op.file, op.shown = path.Clean(op.url), op.url
	case strings.HasPrefix(lower, "file:///"):
		if op.file, err = url.PathUnescape(op.url[len("file://"):]); err != nil {
			return nil, "", errors.New("argument \"url\": malformed file URL")
		}
		op.file = path.Clean(op.file)
	}
	named, _, _ := strings.Cut(op.url, "?")
	op.digests, err = parseDigests(sha256, md5, named, op.dest)
	return op, op.shown, errors.Join(checkSecretPaths("url", op.url), err)
}

func (op downloadOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	owner, err := op.owner.resolve(ctx, h)
	if err != nil {
		return nil, err
	}
	m, there, err := look(ctx, h, op.dest)
	switch {
	case err != nil:
		return nil, err
	case there && m.Mode.IsDir():
		name := path.Join(op.dest, path.Base(op.shown))
		return nil, runtime.Hint(fmt.Errorf("%s is a directory, want the name of the file", op.dest),
			`name the file itself: "`+name+`"`)
	}
	if err := needPlace(h, op.dest, m, there); err != nil {
		return nil, err
	}
	dir, _, err := follow(h, path.Dir(op.dest))
	if err != nil && !errors.Is(err, host.ErrUnknown) {
		return nil, err
	}
	meta := host.Meta{Mode: op.mode, Owner: owner}
	if there {
		done, err := op.done(ctx, h, m)
		if err != nil || done {
			return runtime.Actions(setMeta(op.dest, meta), metaChanges(m, meta)...), err
		}
	}
	changes := append([]host.Change{change("content", "", op.shown)}, newMeta(meta)...)
	if there {
		changes = append([]host.Change{change("content", "another file", op.shown)}, metaChanges(m, meta)...)
	}
	if op.file != "" {
		copyFile, err := op.copyFile(ctx, h, meta)
		return runtime.Actions(copyFile, changes...), err
	}
	meta.Owner = owner.Or(m.Owner)
	return runtime.Actions(op.fetch(dir, meta), changes...), nil
}

// done reports whether dest, described by m, holds what it must.
func (op downloadOp) done(ctx context.Context, h host.Reader, m host.Meta) (bool, error) {
	for _, d := range op.digests.wanted() {
		have, err := digestOf(ctx, h, op.dest, d.hash)
		if errors.Is(err, host.ErrUnknown) {
			runtime.Assume(ctx, op.dest+" is not the wanted file")
			return false, nil
		}
		if err != nil || have != d.want {
			return false, err
		}
	}
	if op.file == "" || op.digests.given() {
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
	return sameContent(ctx, h, source{path: op.file}, op.dest, src.Size, m.Size)
}

// source returns what Lstat says of the file that url names.
func (op downloadOp) source(h host.Reader) (host.Meta, error) {
	_, m, err := follow(h, op.file)
	switch {
	case isMissing(err):
		return m, runtime.Hint(fmt.Errorf("%s is not there", op.file), "see where the media are mounted")
	case err == nil && !m.Mode.IsRegular():
		return m, fmt.Errorf("%s is %s, want a file", op.file, kindOf(m.Mode))
	}
	return m, err
}

// copyFile returns the deed that copies the file that url names.
func (op downloadOp) copyFile(ctx context.Context, h host.Reader, meta host.Meta) (runtime.Deed, error) {
	src, err := op.source(h)
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, op.file+" is there")
	} else if err != nil {
		return nil, err
	}
	meta.Size = src.Size
	if host.KeepsTime(src.ModTime) {
		meta.ModTime = src.ModTime
	}
	content, err := contentOf(h, source{path: op.file})
	return reading(writeFile(op.dest, op.digests.verified(content), meta), op.digests.read(op.file)), err
}

// fetch returns the deed that fetches url into dir, the directory that dest lies in
// once links are followed.
func (op downloadOp) fetch(dir string, meta host.Meta) runtime.Deed {
	name := path.Base(op.dest)
	entry := host.Entry{Name: name, Meta: meta, Sum: op.digests.sha256, Content: host.Unknown(op.dest)}
	entry.Size = -1
	return func(ctx context.Context, h host.Host) error {
		return h.WriteTree(ctx, dir, host.Manifest{entry}.All(), func(ctx context.Context, root *host.Root) error {
			return advise(op.fill(ctx, h, root, name, meta))
		})
	}
}

// fill fetches url into the file called name. It is the only code here that a dry run
// does not run.
func (op downloadOp) fill(ctx context.Context, h host.Reader, root *host.Root, name string, meta host.Meta) error {
	var p pace
	progress := func(n, total int64) { runtime.Progress(ctx, p.text(n, total, time.Now())) }
	want := fetch.Want{SHA256: op.digests.sha256, MD5: op.digests.md5, Mode: meta.Mode}
	file, err := fetch.Download(ctx, h.Get, op.url, root, name, want, progress)
	if err != nil {
		return err
	}
	runtime.Observe(ctx, "bytes", file.Size)
	runtime.Observe(ctx, "sha256", file.SHA256)
	if file.Resumed > 0 {
		runtime.Observe(ctx, "resumed", file.Resumed)
	}
	return giveTo(ctx, h, root, name, meta.Owner)
}

// advise adds a hint to the error of a download.
func advise(err error) error {
	var status fetch.StatusError
	var broken *net.OpError
	switch {
	case errors.Is(err, fetch.ErrPage):
		return runtime.Hint(err, "open the URL in a browser on this network; a dest that ends in .html takes a page")
	case errors.Is(err, fetch.ErrDigest):
		return runtime.Hint(err,
			"compare the digest with what the publisher says; the file may have been replaced by a newer one")
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
