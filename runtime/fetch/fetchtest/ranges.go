package fetchtest

import (
	"fmt"
	"net/http"
)

// PartUnasked answers with half a file, status 206, whatever was asked for.
func PartUnasked() Behaviour {
	return Behaviour{"part unasked", func(x *exchange) {
		data, tag := x.data()
		x.w.Header().Set("ETag", tag)
		x.w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(data)/2-1, len(data)))
		x.w.WriteHeader(http.StatusPartialContent)
		x.w.Write(data[:len(data)/2])
	}}
}

// WholeAsRest sends the whole file when asked for a rest.
func WholeAsRest() Behaviour {
	return Behaviour{"range ignored", func(x *exchange) {
		x.r.Header.Del("Range")
		x.well()
	}}
}

// PlainRest sends a rest with status 200, as if it were the whole.
func PlainRest() Behaviour {
	return rest("rest as 200", func(x *exchange, data []byte, offset int) {
		x.w.Write(data[offset:])
	})
}

// RestOffByOne begins one byte early, and says so.
func RestOffByOne() Behaviour {
	return rest("range off by one", func(x *exchange, data []byte, offset int) {
		x.partial(data[offset-1:], offset-1, len(data))
	})
}

// RestMislabelled begins one byte early, and does not say so.
func RestMislabelled() Behaviour {
	return rest("range mislabelled", func(x *exchange, data []byte, offset int) {
		x.partial(data[offset-1:len(data)-1], offset, len(data))
	})
}

// RestOfAnother says that the whole has another size.
func RestOfAnother() Behaviour {
	return rest("range of another total", func(x *exchange, data []byte, offset int) {
		x.partial(append(data[offset:len(data):len(data)], 'x'), offset, len(data)+1)
	})
}

// Multipart wraps a rest in multipart/byteranges.
func Multipart() Behaviour {
	return rest("multipart range", func(x *exchange, data []byte, offset int) {
		x.w.Header().Set("Content-Type", "multipart/byteranges; boundary=b")
		x.w.WriteHeader(http.StatusPartialContent)
		fmt.Fprintf(x.w, "--b\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%s\r\n--b--\r\n", offset, len(data)-1, len(data),
			data[offset:])
	})
}

// NoRest answers 416 when asked for a rest.
func NoRest() Behaviour {
	return rest("range refused", func(x *exchange, data []byte, _ int) {
		x.w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", len(data)))
		x.w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	})
}

// rest misbehaves when a rest is asked for of the version that there is.
func rest(name string, do func(x *exchange, data []byte, offset int)) Behaviour {
	return Behaviour{name, func(x *exchange) {
		data, tag := x.data()
		offset := x.offset(tag, len(data))
		if offset == 0 {
			x.well()
			return
		}
		x.w.Header().Set("ETag", tag)
		do(x, data, offset)
	}}
}

func (x *exchange) partial(b []byte, from, total int) {
	h := x.w.Header()
	h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+len(b)-1, total))
	h.Set("Content-Length", fmt.Sprint(len(b)))
	x.w.WriteHeader(http.StatusPartialContent)
	x.w.Write(b)
}

// OldVersion breaks off half way through another version of the file that has
// the same tag, "same"; another one, "new"; or, "weak", a weak one. Whoever
// resumes it with what the server has otherwise gets a mixture.
func OldVersion(tag string) Behaviour {
	return Behaviour{"old version, " + tag + " tag", func(x *exchange) {
		data, have := x.data()
		switch tag {
		case "new":
			have = `"another"`
		case "weak":
			have = "W/" + have
		}
		x.w.Header().Set("ETag", have)
		x.w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		x.send(spoilt(data)[:len(data)/2])
		x.abort()
	}}
}
