package compress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/dsnet/compress/bzip2"
)

const (
	// blockText is how much run-length coded text a block of level 9 holds. The
	// library ends a block at the same place.
	blockText = 900_000
	// maxWorkers bounds the memory on large machines: a block at work needs some
	// 20 MiB, of which most is the sorting of its text.
	maxWorkers = 8

	bzip2Header = "BZh9"
	bzip2Footer = 0x177245385090 // 48 bits, in front of the CRC of the whole stream
	footerBits  = 48 + 32
)

// NewBzip2 returns a writer of one bzip2 stream with the largest blocks, as
// conda's own index files have them: readers as old as Python 2.7 stop behind the
// first stream. Blocks are compressed by as many goroutines as there are
// processors, 8 at most. The bytes depend only on the data, not on the pieces in
// which it is written or on the machine. Close ends the stream and leaves w open.
//
// Only calls of Write and Close use w, and no goroutine outlives its block, so a
// writer that is never closed costs nothing.
func NewBzip2(w io.Writer) (io.WriteCloser, error) {
	z := &bzip2Writer{w: w, workers: min(runtime.GOMAXPROCS(0), maxWorkers)}
	z.out.addBits([]byte(bzip2Header), 8*len(bzip2Header))
	return z, nil
}

// A bzip2Writer cuts its data into blocks, lets the library make a stream of each,
// and joins the blocks of these streams into one stream.
type bzip2Writer struct {
	w       io.Writer
	workers int
	block   *block   // is being filled
	pending []*block // are being compressed, in order
	idle    []*block
	out     bitString
	crc     uint32 // of the blocks in out
	closed  bool
	err     error
}

// Write takes all of p unless an error occurred.
func (z *bzip2Writer) Write(p []byte) (n int, err error) {
	if z.closed && z.err == nil {
		z.err = errors.New("bzip2: got a write behind the end")
	}
	for z.err == nil && n < len(p) {
		if z.block == nil {
			z.block = z.fresh()
		}
		if n += z.block.fill(p[n:]); n < len(p) {
			z.dispatch()
		}
	}
	return n, z.err
}

// Close ends the stream. A second call returns the same error.
func (z *bzip2Writer) Close() error {
	if z.closed {
		return z.err
	}
	z.closed = true
	if z.block != nil && z.err == nil {
		z.dispatch()
	}
	for len(z.pending) > 0 && z.err == nil {
		z.join()
	}
	if z.err == nil {
		z.out.addUint(bzip2Footer, 48)
		z.out.addUint(uint64(z.crc), 32)
		_, z.err = z.w.Write(z.out.text)
	}
	z.block, z.pending, z.idle = nil, nil, nil
	return z.err
}

func (z *bzip2Writer) fresh() *block {
	if n := len(z.idle); n > 0 {
		b := z.idle[n-1]
		z.idle = z.idle[:n-1]
		return b
	}
	return &block{text: make([]byte, 0, blockText)}
}

// dispatch starts the compression of the full block.
func (z *bzip2Writer) dispatch() {
	if len(z.pending) == z.workers {
		z.join()
	}
	b := z.block
	z.block, b.done = nil, make(chan struct{})
	z.pending = append(z.pending, b)
	go b.compress()
}

// join waits for the oldest block and writes it.
func (z *bzip2Writer) join() {
	b := z.pending[0]
	z.pending = append(z.pending[:0], z.pending[1:]...)
	<-b.done
	n, crc, err := b.body()
	if z.err = err; err != nil {
		return
	}
	z.crc = (z.crc<<1 | z.crc>>31) ^ crc
	z.out.addBits(b.packed.Bytes()[len(bzip2Header):], n)
	_, z.err = z.w.Write(z.out.whole())
	z.out.drop()
	b.text, b.run = b.text[:0], 0
	z.idle = append(z.idle, b)
}

// A block is the text of one bzip2 block. It is held run-length coded, so that
// megabytes of one byte need little memory.
type block struct {
	text []byte // behind four equal bytes stands how many more follow
	last byte   // that was filled in
	run  int    // how often in a row, 255 at most

	lib    *bzip2.Writer
	packed bytes.Buffer // a stream of this block
	err    error
	done   chan struct{} // closed when packed or err is set
}

// fill takes as much of p as the block holds and returns how much that is. Run
// lengths follow the rules of the C library.
func (b *block) fill(p []byte) int {
	for i, c := range p {
		if c != b.last {
			b.run = 0
		}
		room := cap(b.text) - len(b.text)
		switch b.run++; {
		case b.run > 4 && b.run < 256:
			b.text[len(b.text)-1]++
		case room == 0 || b.run == 4 && room == 1:
			return i
		case b.run == 4:
			b.text = append(b.text, c, 0)
		case b.run == 256:
			b.run = 1
			fallthrough
		default:
			b.text = append(b.text, c)
		}
		b.last = c
	}
	return len(p)
}

// compress sets packed.
func (b *block) compress() {
	defer close(b.done)
	b.packed.Reset()
	if b.lib == nil {
		b.lib, b.err = bzip2.NewWriter(&b.packed, &bzip2.WriterConfig{Level: bzip2.BestCompression})
	} else {
		b.err = b.lib.Reset(&b.packed)
	}
	if b.err == nil {
		b.err = errors.Join(b.expand(b.lib), b.lib.Close())
	}
}

// expand writes the text without its run-length code.
func (b *block) expand(w io.Writer) error {
	const piece = 64 << 10
	out := make([]byte, 0, piece+255)
	last, run := byte(0), 0
	for _, c := range b.text {
		switch {
		case run == 4:
			run = 0
			for range c {
				out = append(out, last)
			}
		case c != last:
			last, run = c, 1
			out = append(out, c)
		default:
			run++
			out = append(out, c)
		}
		if len(out) >= piece {
			if _, err := w.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	_, err := w.Write(out)
	return err
}

// body returns the length in bits of the block in packed, which begins behind the
// header, and the CRC of the block. A stream ends with a magic number, a CRC, which
// here is that of its only block, and up to seven unused bits.
func (b *block) body() (n int, crc uint32, err error) {
	if b.err != nil {
		return 0, 0, fmt.Errorf("bzip2: %w", b.err)
	}
	s := b.packed.Bytes()
	for pad := range 8 {
		n = 8*(len(s)-len(bzip2Header)) - pad - footerBits
		if n <= footerBits {
			break
		}
		end := 8*len(bzip2Header) + n
		if crc = uint32(bitsAt(s, end+48, 32)); bitsAt(s, end, 48) == bzip2Footer && crc == uint32(bitsAt(s, 80, 32)) {
			return n, crc, nil
		}
	}
	return 0, 0, fmt.Errorf("bzip2: got a stream of %d bytes that is no single block", len(s))
}
