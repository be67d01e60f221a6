package fetch

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"runbook/runtime/host/tree"
)

// A part is a file that is not whole yet, .NAME.part. Beside it, .NAME.part.etag
// says how much of it is surely on disk and what it is a part of: its lines are
// the ETag, a number of bytes and the redacted URL.
type part struct {
	root  *os.Root
	tree  *tree.Writer
	whole string // the name of the whole file
	name  string
	url   string // redacted
	f     *os.File
	size  int64 // bytes in f and in the sums
	saved int64 // of them, on disk for sure
	etag  string
	sha   hash.Hash
	md    hash.Hash // nil if it is not wanted
}

// checkpoint is how many bytes may be lost to a power cut.
const checkpoint = 64 << 20

func newPart(root *os.Root, name, url string, md5sum bool) (*part, error) {
	w, err := tree.New(root, tree.Options{UID: -1, GID: -1, Partial: partName})
	if err != nil {
		return nil, err
	}
	p := &part{root: root, tree: w, whole: name, name: partName(name), url: url, sha: sha256.New()}
	if md5sum {
		p.md = md5.New()
	}
	return p, nil
}

func partName(name string) string { return path.Join(path.Dir(name), "."+path.Base(name)+".part") }

// resume takes over what an earlier run left, as far as that can be relied on.
func (p *part) resume(ctx context.Context) error {
	etag, size := p.noted()
	f, err := openRegular(p.root, p.name, os.O_RDWR)
	if err != nil || size == 0 {
		if err == nil {
			f.Close()
		}
		return p.drop()
	}
	p.f = f
	if err := p.takeOver(ctx, etag, size); err != nil && ctx.Err() == nil {
		return p.drop()
	}
	return ctx.Err()
}

// noted reads what is known of the part.
func (p *part) noted() (etag string, size int64) {
	f, err := openRegular(p.root, p.name+".etag", os.O_RDONLY)
	if err != nil {
		return "", 0
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(io.LimitReader(f, 16<<10)); s.Scan(); {
		lines = append(lines, s.Text())
	}
	if len(lines) != 3 || lines[2] != p.url || !strong(lines[0]) {
		return "", 0
	}
	if size, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return "", 0
	}
	return lines[0], size
}

// openRegular opens a regular file with one name; it refuses a link, a device or a
// file that is replaced meanwhile: name lies where others may write.
func openRegular(root *os.Root, name string, flag int) (*os.File, error) {
	want, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if st, ok := want.Sys().(*syscall.Stat_t); !want.Mode().IsRegular() || !ok || st.Nlink != 1 {
		return nil, fmt.Errorf("%s: is no plain file", name)
	}
	f, err := root.OpenFile(name, flag, 0)
	if err != nil {
		return nil, err
	}
	if have, err := f.Stat(); err != nil || !os.SameFile(want, have) {
		f.Close()
		return nil, fmt.Errorf("%s: was replaced", name)
	}
	return f, nil
}

// takeOver keeps the first size bytes of the file and sums them up.
func (p *part) takeOver(ctx context.Context, etag string, size int64) error {
	if fi, err := p.f.Stat(); err != nil || fi.Size() < size {
		return errors.Join(err, errCut)
	}
	if err := p.f.Truncate(size); err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for p.size < size {
		n, err := p.f.Read(buf)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		p.sum(buf[:n])
	}
	p.etag, p.saved = etag, size
	return nil
}

func (p *part) sum(b []byte) {
	p.sha.Write(b)
	if p.md != nil {
		p.md.Write(b)
	}
	p.size += int64(len(b))
}

// Write adds b and, now and then, makes sure that what there is stays.
func (p *part) Write(b []byte) (int, error) {
	n, err := p.f.Write(b)
	p.sum(b[:n])
	if err == nil && p.size-p.saved >= checkpoint {
		err = p.save()
	}
	return n, err
}

// save syncs the part and writes down its size. A part that cannot be resumed is
// not worth that.
func (p *part) save() error {
	if p.f == nil || !strong(p.etag) || p.size == p.saved {
		return nil
	}
	if err := p.f.Sync(); err != nil {
		return err
	}
	note := p.name + ".etag"
	p.root.Remove(note)
	f, err := p.root.OpenFile(note, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s\n%d\n%s\n", p.etag, p.size, p.url)
	p.saved = p.size
	return errors.Join(err, f.Close())
}

// restart empties the part, which is from now on one of the version etag.
func (p *part) restart(etag string) error {
	if err := p.drop(); err != nil {
		return err
	}
	p.etag = etag
	if strings.ContainsAny(etag, "\r\n") {
		p.etag = ""
	}
	var err error
	p.f, err = p.tree.Create(p.whole)
	return err
}

// drop removes the part and its note.
func (p *part) drop() error {
	p.close()
	p.f, p.size, p.saved, p.etag = nil, 0, 0, ""
	p.sha.Reset()
	if p.md != nil {
		p.md.Reset()
	}
	for _, name := range []string{p.name + ".etag", p.name} {
		if err := p.root.RemoveAll(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// publish gives the part its mode and, once it is on disk, its name.
func (p *part) publish(mode fs.FileMode) error {
	err := p.tree.Finish(p.f, p.tree.Attr(mode), p.f.Sync())
	p.f = nil
	if err != nil {
		return err
	}
	if err := p.tree.Rename(p.whole); err != nil {
		return err
	}
	p.root.Remove(p.name + ".etag") // a note without a part means nothing
	return p.tree.SyncDir(path.Dir(p.whole))
}

// close keeps what there is of the part.
func (p *part) close() error {
	if p.f == nil {
		return nil
	}
	err := p.f.Close()
	p.f = nil
	return err
}

func digest(h hash.Hash) string {
	if h == nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}
