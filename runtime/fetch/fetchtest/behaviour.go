package fetchtest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A Behaviour is a way to answer badly.
type Behaviour struct {
	Name string
	do   func(*exchange)
}

// Status answers with a code and a short page about it. 200, 204, 206 and 304 are
// among the bad ones where nobody asked for them.
func Status(code int) Behaviour {
	return Behaviour{fmt.Sprintf("status %d", code), func(x *exchange) {
		h := x.w.Header()
		switch code {
		case http.StatusUnauthorized:
			h.Set("WWW-Authenticate", `Basic realm="http://elsewhere.test/"`)
		case http.StatusProxyAuthRequired:
			h.Set("Proxy-Authenticate", `Basic realm="x"`)
		}
		h.Set("Content-Type", "text/html")
		x.w.WriteHeader(code)
		if code >= 400 {
			fmt.Fprintf(x.w, "<html>%d</html>", code)
		}
	}}
}

// Busy is Status with a Retry-After.
func Busy(code int, after string) Behaviour {
	b := Status(code)
	return Behaviour{fmt.Sprintf("status %d after %q", code, after), func(x *exchange) {
		x.w.Header().Set("Retry-After", after)
		b.do(x)
	}}
}

// StalledStatus is Status with a page that never ends.
func StalledStatus(code int) Behaviour {
	return Behaviour{fmt.Sprintf("stalls within the page of status %d", code), func(x *exchange) {
		x.w.WriteHeader(code)
		x.send([]byte("<html>"))
		x.wait()
	}}
}

// Redirect points to location, which is sent as it is. It keeps its name short:
// location may hold the port of a test.
func Redirect(code int, location string) Behaviour {
	return Behaviour{fmt.Sprintf("redirect %d", code), func(x *exchange) {
		if strings.ContainsAny(location, "\r\n\x00") {
			x.raw(fmt.Sprintf("HTTP/1.1 %d Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", code, location))
			return
		}
		x.w.Header()["Location"] = []string{location}
		x.w.WriteHeader(code)
	}}
}

// After is a server that is slow to begin: it answers rightly after d.
func After(d time.Duration) Behaviour {
	return Behaviour{"after " + d.String(), func(x *exchange) {
		if x.pause(d) {
			x.well()
		}
	}}
}

// Trickle sends one byte every d.
func Trickle(d time.Duration) Behaviour {
	return Behaviour{"a byte every " + d.String(), func(x *exchange) {
		for _, b := range x.begin(0) {
			if !x.send([]byte{b}) || !x.pause(d) {
				return
			}
		}
	}}
}

// StallAt sends so many percent of the file, then nothing.
func StallAt(percent int) Behaviour {
	return Behaviour{fmt.Sprintf("stalls at %d %%", percent), func(x *exchange) {
		rest := x.begin(0)
		x.send(rest[:len(rest)*percent/100])
		x.wait()
	}}
}

// Page is a portal: a web page with status 200, whatever was asked for.
func Page() Behaviour {
	return instead("page", "text/html; charset=utf-8", "<html><title>Log in</title></html>")
}

// Problem is an error as JSON, with status 200.
func Problem() Behaviour {
	return instead("JSON error", "application/json", `{"error": "rate limit exceeded"}`)
}

func instead(name, kind, text string) Behaviour {
	return Behaviour{name, func(x *exchange) {
		x.w.Header().Set("Content-Type", kind)
		x.w.Write([]byte(text))
	}}
}

// Zero is an empty file.
func Zero() Behaviour { return instead("zero bytes", "application/octet-stream", "") }

// Wrong sends as many bytes as there should be, with the right tag; one is wrong.
func Wrong() Behaviour {
	return Behaviour{"wrong bytes", func(x *exchange) { x.w.Write(spoilt(x.begin(0))) }}
}

func spoilt(data []byte) []byte {
	data = bytes.Clone(data)
	if len(data) > 0 {
		data[len(data)/3] ^= 1
	}
	return data
}

// Gzipped compresses what nobody asked to be compressed.
func Gzipped() Behaviour {
	return Behaviour{"gzip", func(x *exchange) {
		data, tag := x.data()
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(data)
		z.Close()
		x.w.Header().Set("ETag", tag)
		x.w.Header().Set("Content-Encoding", "gzip")
		x.w.Write(b.Bytes())
	}}
}

// Silent takes a request and never answers.
func Silent() Behaviour { return Behaviour{"stalls before the header", (*exchange).wait} }

// ClosedOnReuse ends a connection that is used a second time.
func ClosedOnReuse() Behaviour {
	return Behaviour{"closed on reuse", func(x *exchange) {
		if x.reused {
			x.link.conn.Close()
			x.abort()
		}
		x.well()
	}}
}

// GoAway tells the other side in the middle of a body not to use the connection
// again; over HTTP/2 that is a GOAWAY frame.
func GoAway() Behaviour {
	return Behaviour{"go away", func(x *exchange) {
		x.w.Header().Set("Connection", "close")
		rest := x.begin(0)
		if x.send(rest[:len(rest)/2]) && x.pause(5*time.Millisecond) {
			x.w.Write(rest[len(rest)/2:])
		}
	}}
}
