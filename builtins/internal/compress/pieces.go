package compress

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Pieces compresses many small texts, each to a zstd frame, and decompresses them,
// without the cost of a writer or a reader for each. One goroutine may use it at a
// time.
type Pieces struct {
	enc   *zstd.Encoder
	dec   *zstd.Decoder
	limit int
}

// NewPieces returns a Pieces that refuses to decompress to more than limit bytes.
func NewPieces(limit int) (*Pieces, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(zstdWindow),
		zstd.WithEncoderCRC(true), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(uint64(limit)), zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecoderConcurrency(1))
	return &Pieces{enc, dec, limit}, err
}

// Pack appends to dst one frame that holds data, its size and a checksum. Equal data
// gives equal bytes.
func (p *Pieces) Pack(dst, data []byte) []byte { return p.enc.EncodeAll(data, dst) }

// Unpack appends to dst the content of packed: one or more zstd frames and nothing
// else.
func (p *Pieces) Unpack(dst, packed []byte) ([]byte, error) {
	if Detect(packed) != Zstd {
		return dst, errors.New("zstd: got data that does not begin like it")
	}
	out, err := p.dec.DecodeAll(packed, dst)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return dst, fmt.Errorf("zstd: got more than %d bytes", p.limit)
	case err != nil:
		return dst, named(err, Zstd)
	}
	return out, nil
}
