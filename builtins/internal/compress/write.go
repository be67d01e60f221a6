package compress

import (
	"io"

	"github.com/dsnet/compress/bzip2"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// NewGzip returns a writer of gzip without time, name or system: equal input
// gives equal bytes. Close ends the stream and leaves w open.
func NewGzip(w io.Writer) (io.WriteCloser, error) {
	return gzip.NewWriterLevel(w, gzip.DefaultCompression)
}

// NewBzip2 returns a writer of bzip2 with the largest blocks, as conda's own
// index files have them. Close ends the stream and leaves w open.
func NewBzip2(w io.Writer) (io.WriteCloser, error) {
	return bzip2.NewWriter(w, &bzip2.WriterConfig{Level: bzip2.BestCompression})
}

// NewZstd returns a writer of one zstd frame with a checksum.
// Close ends the frame and leaves w open.
func NewZstd(w io.Writer) (io.WriteCloser, error) {
	return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderCRC(true))
}
