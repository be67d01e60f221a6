// Package compress is the only door to compression formats.
//
// Two things to know. A reader is chosen by the first bytes of the data, never by
// a file's name: a mirror's index.json may well arrive compressed. And writers are
// deterministic: equal input gives equal bytes, so files can be compared by digest.
//
// Bzip2 is written with dsnet/compress, which has not changed since 2019. It stays
// because no other writer of the format in Go was found and the format is frozen;
// of its streams only the blocks are used, each is checked to be one whole block
// with the CRC that its stream claims, and tests read the result with bzip2(1).
//
// Package archive reads through it, the mirror engine reads and writes.
package compress

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// A Format names how data is compressed.
type Format string

// The formats. Data in none of the others is Plain.
const (
	Plain Format = "plain"
	Gzip  Format = "gzip"
	Bzip2 Format = "bzip2"
	Zstd  Format = "zstd"
	XZ    Format = "xz"
)

// maxWindow is how many bytes back compressed data may refer, which bounds the
// memory of a reader: what zstd --long and xz -9 need at most.
const maxWindow = 128 << 20

// headLen is how many bytes Detect looks at.
const headLen = 10

// Detect returns the format of data that begins with head. Sources of the magic
// numbers: RFC 1952 2.3.1, RFC 8878 3.1, the xz file format 2.1.1.1, and for bzip2,
// which has no specification, its source code: BZh, a level, and digits of pi or of
// its square root.
func Detect(head []byte) Format {
	starts := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case starts("\x1f\x8b\x08"):
		return Gzip
	case starts("\x28\xb5\x2f\xfd"), len(head) > 3 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18":
		return Zstd // the second is a skippable frame, which pzstd begins with
	case starts("\xfd7zXZ\x00"):
		return XZ
	case len(head) >= headLen && starts("BZh") && head[3] >= '1' && head[3] <= '9' &&
		(string(head[4:10]) == "1AY&SY" || string(head[4:10]) == "\x17\x72\x45\x38\x50\x90"):
		return Bzip2
	}
	return Plain
}

// A Reader gives decompressed data. Its errors begin with the name it was given.
type Reader struct {
	Format Format

	name string
	r    io.Reader
	stop func()
}

// NewReader returns a reader of the decompressed data of r; Plain data is passed
// through. It may read ahead. Concatenated frames are one stream; anything else
// behind the last frame is an error. name is for messages.
func NewReader(r io.Reader, name string) (*Reader, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	head, err := br.Peek(headLen)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := &Reader{Format: Detect(head), name: name, r: br, stop: func() {}}
	if err := c.open(br); err != nil {
		return nil, fmt.Errorf("%s: %w", name, named(err, c.Format))
	}
	return c, nil
}

func (c *Reader) open(br *bufio.Reader) (err error) {
	switch c.Format {
	case Gzip:
		c.r, err = gzip.NewReader(br)
	case Bzip2:
		c.r = bzip2.NewReader(br)
	case XZ:
		if err = checkDict(br); err == nil {
			c.r, err = xz.NewReader(br)
		}
	case Zstd:
		// More goroutines need more time and memory, measured with 270 MB of index.
		var d *zstd.Decoder
		d, err = zstd.NewReader(br, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow),
			zstd.WithDecoderConcurrency(1))
		if err == nil {
			c.r, c.stop = d, d.Close
		}
	}
	return err
}

// Read gives decompressed bytes; data that ends early is io.ErrUnexpectedEOF.
func (c *Reader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", c.name, named(err, c.Format))
	}
	return n, err
}

// Close frees what decompression needs. It does not close the reader below.
func (c *Reader) Close() error { c.stop(); return nil }

// named says which format is damaged, where the library does not.
func named(err error, f Format) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s data ends early: %w", f, io.ErrUnexpectedEOF)
	}
	if f == Plain {
		return err
	}
	return fmt.Errorf("%s: %w", f, err)
}

// checkDict returns an error if the first block of an xz stream wants a dictionary
// larger than maxWindow, because the library would allocate it (xz file format
// 3.1). A header that it cannot read is left to the library to report.
func checkDict(br *bufio.Reader) error {
	const streamHeader = 12
	head, _ := br.Peek(streamHeader + 1)
	if len(head) <= streamHeader || head[streamHeader] == 0 {
		return nil
	}
	size := (int(head[streamHeader]) + 1) * 4
	head, _ = br.Peek(streamHeader + size)
	if len(head) < streamHeader+size {
		return nil
	}
	// The filter's id 0x21 and the length 1 of its properties precede the byte;
	// no sizes that a block can have look like these two.
	block := head[streamHeader+2:]
	i := bytes.Index(block, []byte{0x21, 1})
	if i < 0 || i+2 >= len(block) {
		return nil
	}
	if bits := uint(block[i+2]); bits > 40 || (2|uint64(bits&1))<<(bits/2+11) > maxWindow {
		return fmt.Errorf("got a dictionary of more than %d bytes, want less", maxWindow)
	}
	return nil
}
