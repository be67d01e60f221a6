package fetchtest

import (
	"bytes"
	"fmt"
	"strings"
)

// Short lacks the last byte of what its length promises.
func Short() Behaviour {
	return Behaviour{"short by one", func(x *exchange) {
		if rest := x.begin(0); len(rest) > 0 {
			x.send(rest[:len(rest)-1])
		}
		x.abort()
	}}
}

// Long has one byte too many, and a length that says so.
func Long() Behaviour {
	return Behaviour{"long by one", func(x *exchange) { x.w.Write(append(bytes.Clone(x.begin(1)), 'x')) }}
}

// Endless never stops to send, in chunks.
func Endless() Behaviour {
	return Behaviour{"endless", func(x *exchange) {
		x.send(x.unsized(true))
		for b := make([]byte, 64<<10); x.send(b); {
		}
	}}
}

// Reset breaks the connection half way.
func Reset() Behaviour {
	return Behaviour{"reset", func(x *exchange) {
		rest := x.begin(0)
		x.send(rest[:len(rest)/2])
		x.reset()
	}}
}

// Cut sends half the file without a length and ends the connection, which looks
// like all is well.
func Cut() Behaviour {
	return Behaviour{"cut without a length", func(x *exchange) {
		rest := x.unsized(false)
		x.send(rest[:len(rest)/2])
		if x.r.ProtoMajor > 1 {
			x.abort()
		}
	}}
}

// ChunkCut ends the connection in the middle of chunks.
func ChunkCut() Behaviour {
	return Behaviour{"cut within chunks", func(x *exchange) {
		rest := x.unsized(true)
		x.send(rest[:len(rest)/2])
		x.abort()
	}}
}

// BadChunk sends a chunk whose size is not a number.
func BadChunk() Behaviour {
	return wire("bad chunk size", func(data string) string {
		return "Transfer-Encoding: chunked\r\n\r\n3\r\n" + data[:min(3, len(data))] + "\r\nzz\r\n" + data
	})
}

// wire answers 200 with the rest of a message made of the file.
func wire(name string, message func(data string) string) Behaviour {
	return Behaviour{name, func(x *exchange) {
		data, tag := x.data()
		x.raw("HTTP/1.1 200 OK\r\nETag: "+tag+"\r\n", message(string(data)))
	}}
}

// TwoLengths sends two different Content-Length headers.
func TwoLengths() Behaviour {
	return wire("two lengths", func(data string) string {
		return fmt.Sprintf("Content-Length: %d\r\nContent-Length: %d\r\n\r\n%s", len(data), len(data)/2, data)
	})
}

// NegativeLength says that the file has -1 bytes.
func NegativeLength() Behaviour {
	return wire("negative length", func(data string) string { return "Content-Length: -1\r\n\r\n" + data })
}

// HugeLength says that the file has 2^64 bytes.
func HugeLength() Behaviour {
	return wire("huge length", func(data string) string { return "Content-Length: 18446744073709551616\r\n\r\n" + data })
}

// LongHeader has a header line of 1 MB.
func LongHeader() Behaviour {
	return wire("long header", func(data string) string {
		return fmt.Sprintf("X: %s\r\nContent-Length: %d\r\n\r\n%s", strings.Repeat("x", 1<<20), len(data), data)
	})
}

// ManyHeaders has 10,000 of them.
func ManyHeaders() Behaviour {
	return wire("many headers", func(data string) string {
		var b strings.Builder
		for i := range 10_000 {
			fmt.Fprintf(&b, "X-%d: some value or other\r\n", i)
		}
		return b.String() + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(data), data)
	})
}

// NULHeader has a NUL in a header.
func NULHeader() Behaviour {
	return wire("NUL in a header", func(data string) string {
		return fmt.Sprintf("X: a\x00b\r\nContent-Length: %d\r\n\r\n%s", len(data), data)
	})
}

// NoHTTP speaks another protocol.
func NoHTTP() Behaviour {
	return Behaviour{"no HTTP", func(x *exchange) { x.raw("220 ftp ready\r\n") }}
}
