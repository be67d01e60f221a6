package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"syscall"
)

// Digests computes the SHA-256 of files, each version of a file once. It may be used
// by several goroutines.
type Digests struct {
	mu    sync.Mutex
	known map[Version]string
}

// A Version tells whether a file has changed since. It is zero where nothing tells.
type Version struct {
	dev, ino             uint64
	size, written, moved int64 // moved is the time of any change, of the inode too, which nobody can set
}

// Sum returns the hex SHA-256 of what c holds and the version that has it.
func (d *Digests) Sum(ctx context.Context, c Content) (sum string, v Version, err error) {
	f, err := c.Reader()
	if err != nil {
		return "", v, err
	}
	defer f.Close()
	if v, err = versionOf(f); err != nil {
		return "", v, err
	}
	known := d.recall(v)
	compute := func(f File) (string, error) {
		if known != "" {
			return known, nil
		}
		h := sha256.New()
		_, err := io.CopyBuffer(h, guarded{f, ctx, "", v}, make([]byte, 256<<10))
		return hex.EncodeToString(h.Sum(nil)), err
	}
	if r, ok := f.(digester); ok {
		sum, err = r.digested(compute)
	} else {
		sum, err = compute(f)
	}
	if err != nil {
		return "", v, err
	}
	d.remember(v, sum)
	return sum, v, nil
}

// A digester is a file that keeps digests apart from what else is read of it.
type digester interface {
	digested(compute func(File) (string, error)) (string, error)
}

func (d *Digests) recall(v Version) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known[v]
}

func (d *Digests) remember(v Version, sum string) {
	if v == (Version{}) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = map[Version]string{}
	}
	d.known[v] = sum
}

func versionOf(f File) (v Version, err error) {
	s, ok := f.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return v, nil
	}
	fi, err := s.Stat()
	if err != nil {
		return v, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return v, nil
	}
	return Version{uint64(st.Dev), st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano()}, nil
}

// Guard returns c, what name holds, with an error where it no longer is v: when it is
// opened and, for what was read meanwhile, at its end, before a copy gets its name.
func (v Version) Guard(name string, c Content) Content {
	if v == (Version{}) {
		return c
	}
	return Content{Open: func() (File, error) {
		f, err := c.Reader()
		if err != nil {
			return nil, err
		}
		g := guarded{f, context.Background(), name, v}
		if err := g.check(); err != nil {
			f.Close()
			return nil, err
		}
		return g, nil
	}}
}

// Check returns an error if c, what name holds, no longer is v.
func (v Version) Check(name string, c Content) error {
	f, err := v.Guard(name, c).Reader()
	if err != nil {
		return err
	}
	return f.Close()
}

// guarded is a file that must stay the version that it was.
type guarded struct {
	File
	ctx     context.Context
	name    string
	version Version
}

func (g guarded) check() error {
	switch now, err := versionOf(g.File); {
	case err != nil:
		return err
	case now != g.version:
		return hinted{fmt.Errorf("%s changed after its digest was computed", g.name), "see who writes to it, then run again"}
	}
	return nil
}

func (g guarded) Read(p []byte) (int, error) {
	if g.ctx.Err() != nil {
		return 0, context.Cause(g.ctx)
	}
	n, err := g.File.Read(p)
	if err == io.EOF {
		if cerr := g.check(); cerr != nil {
			return n, cerr
		}
	}
	return n, err
}
