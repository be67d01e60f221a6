package mirror

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"

	"runbook/runtime/host"
)

// A disk is the account's tree as it is, and what is known of it.
type disk struct {
	r     host.Reader
	dir   string
	state state
}

func newDisk(r host.Reader, dir string) *disk {
	text, err := host.ReadFile(r, path.Join(dir, stateFile))
	if err != nil {
		text = nil // then everything is hashed, which is never wrong
	}
	return &disk{r, dir, parseState(string(text))}
}

// lstat describes a file of the tree; ok is false if there is none.
func (d *disk) lstat(name string) (m host.Meta, ok bool, err error) {
	m, err = d.r.Lstat(path.Join(d.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	return m, err == nil, err
}

// holds reports whether an item's file is there, and whether it is the right one. What had to be
// hashed for that is remembered.
func (d *disk) holds(ctx context.Context, it *item) (there, right bool, err error) {
	m, ok, err := d.lstat(it.name)
	switch {
	case !ok || err != nil:
		return false, false, err
	case m.Mode.IsDir():
		return true, false, fmt.Errorf("%s: is a directory", path.Join(d.dir, it.name))
	case !m.Mode.IsRegular() || it.size >= 0 && m.Size != it.size:
		return true, false, nil
	}
	want, have := it.sum(), d.state.files[it.name]
	if have.size == m.Size && have.mtime == m.ModTime.UnixNano() && (want == have.sum || want == "" || kind(want) == kind(have.sum)) {
		return true, want == have.sum || want == "", nil
	}
	if want == "" {
		if want, err = it.sourceSum(ctx); err != nil {
			return true, false, err
		}
	}
	c, err := d.r.Content(path.Join(d.dir, it.name))
	if err != nil {
		return true, false, err
	}
	sum, err := sumOf(ctx, c, kind(want))
	if err == nil && sum == want {
		d.state.files[it.name] = verified{m.Size, m.ModTime.UnixNano(), sum}
	}
	return true, sum == want, err
}

// sum returns what the record says of the bytes, the best that it has, "" for nothing.
func (it *item) sum() string {
	switch {
	case it.sha256 != "":
		return "sha256:" + it.sha256
	case it.md5 != "":
		return "md5:" + it.md5
	}
	return ""
}

// kind returns the algorithm of a sum; a record without any gets SHA-256.
func kind(sum string) string {
	if len(sum) > 4 && sum[:4] == "md5:" {
		return "md5"
	}
	return "sha256"
}

func newHash(kind string) hash.Hash {
	if kind == "md5" {
		return md5.New()
	}
	return sha256.New()
}

// sourceSum hashes the file of a record that has no digest, where it comes from.
func (it *item) sourceSum(ctx context.Context) (string, error) {
	if err := it.open(ctx); err != nil {
		return "", err
	}
	return sumOf(ctx, it.content, "sha256")
}

// open asks the source for the item, without reading it.
func (it *item) open(ctx context.Context) error {
	c, size, err := it.from.from.Package(ctx, path.Dir(it.name), it.from.index.BaseURL(), it.file, it.size)
	it.content = c
	switch {
	case err != nil:
	case it.size < 0:
		it.size = size
	case size >= 0 && size != it.size:
		it.failed = fmt.Errorf("got %d bytes in %s, want %d", size, it.from.from.shown, it.size)
	}
	return err
}

// sumOf hashes a content.
func sumOf(ctx context.Context, c host.Content, kind string) (string, error) {
	f, err := c.Reader()
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := newHash(kind)
	if err := transfer(ctx, h, f); err != nil {
		return "", err
	}
	return kind + ":" + hex.EncodeToString(h.Sum(nil)), nil
}

const block = 256 << 10 // bytes read at once

// transfer copies all of r until ctx ends.
func transfer(ctx context.Context, w io.Writer, r io.Reader) error {
	for buf := make([]byte, block); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// equal reports whether a file of the tree holds data, whose sum is known to be sum.
func (d *disk) equal(name, sum string, data []byte) (bool, error) {
	m, ok, err := d.lstat(name)
	if err != nil || !ok || !m.Mode.IsRegular() || m.Size != int64(len(data)) {
		return false, err
	}
	if d.knows(name, sum, m) {
		return true, nil
	}
	have, err := host.ReadFile(d.r, path.Join(d.dir, name))
	if err != nil || !bytes.Equal(have, data) {
		return false, err
	}
	d.state.files[name] = verified{m.Size, m.ModTime.UnixNano(), sum}
	return true, nil
}

// knows reports whether the state has this very file with this sum.
func (d *disk) knows(name, sum string, m host.Meta) bool {
	return m.Mode.IsRegular() && d.state.files[name] == verified{m.Size, m.ModTime.UnixNano(), sum}
}
