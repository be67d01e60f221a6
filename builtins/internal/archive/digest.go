package archive

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

// ErrShort is an archive, or a member of one, that is not all there.
var ErrShort = errors.New("ends early")

// ErrDigest is a whole archive that is not the wanted one.
var ErrDigest = errors.New("wrong digest of the archive")

// digests computes what an archive's digests are while it is being unpacked,
// beside that work: md5 takes longer than copying.
type digests struct {
	checks []check
	queue  chan []byte
	free   chan []byte
	end    chan struct{}
	closed bool
}

type check struct {
	name, want string
	hash       hash.Hash
}

func newDigests(o Options) *digests {
	const buffers = 16
	d := &digests{queue: make(chan []byte, buffers), free: make(chan []byte, buffers), end: make(chan struct{})}
	if o.SHA256 != "" {
		d.checks = append(d.checks, check{"sha256", o.SHA256, sha256.New()})
	}
	if o.MD5 != "" {
		d.checks = append(d.checks, check{"md5", o.MD5, md5.New()})
	}
	for range buffers {
		d.free <- nil
	}
	go d.run()
	return d
}

func (d *digests) run() {
	defer close(d.end)
	for b := range d.queue {
		for _, c := range d.checks {
			c.hash.Write(b)
		}
		d.free <- b
	}
}

// Write never fails; it waits while much is queued.
func (d *digests) Write(p []byte) (int, error) {
	d.queue <- append((<-d.free)[:0], p...)
	return len(p), nil
}

// stop ends the work. It may be called again.
func (d *digests) stop() {
	if !d.closed {
		d.closed = true
		close(d.queue)
	}
	<-d.end
}

// verify compares what was written with what was wanted.
func (d *digests) verify() error {
	d.stop()
	for _, c := range d.checks {
		if have := hex.EncodeToString(c.hash.Sum(nil)); !strings.EqualFold(have, c.want) {
			return fmt.Errorf("%w: got %s %s, want %s", ErrDigest, c.name, have, strings.ToLower(c.want))
		}
	}
	return nil
}

var _ io.Writer = (*digests)(nil)
