package fetch

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"runbook/runtime/host"
)

func TestRange(t *testing.T) {
	const whole, tag = "0123456789", `"v1"`
	for _, test := range []struct {
		name, etag string
		status     int
		headers    string
		body       string
		offset     int64
		want       string
		requests   int
	}{
		{"rest", tag, 206, "Content-Range: bytes 4-9/10|ETag: " + tag, "456789", 4, "456789", 1},
		{"rest without tag", tag, 206, "Content-Range: bytes 4-9/10", "456789", 4, "456789", 1},
		{"range ignored", tag, 200, "", whole, 0, whole, 1},
		{"changed", tag, 200, `ETag: "v2"`, whole, 0, whole, 1},
		{"starts too early", tag, 206, "Content-Range: bytes 3-9/10", "3456789", 0, whole, 2},
		{"starts too late", tag, 206, "Content-Range: bytes 5-9/10", "56789", 0, whole, 2},
		{"ends too early", tag, 206, "Content-Range: bytes 4-8/10", "45678", 0, whole, 2},
		{"length differs", tag, 206, "Content-Range: bytes 4-9/10|Content-Length: 5", "45678", 0, whole, 2},
		{"total unknown", tag, 206, "Content-Range: bytes 4-9/*", "456789", 0, whole, 2},
		{"no range", tag, 206, "", "456789", 0, whole, 2},
		{"several ranges", tag, 206, "Content-Type: multipart/byteranges; boundary=x", "--x--", 0, whole, 2},
		{"other version", tag, 206, `Content-Range: bytes 4-9/10|ETag: "v2"`, "456789", 0, whole, 2},
		{"nothing more", tag, 416, "Content-Range: bytes */4", "a page about it", 4, "", 1},
		{"shorter now", tag, 416, "Content-Range: bytes */2", "", 0, whole, 2},
		{"weak tag", `W/"v1"`, 206, "", "", 0, whole, 1},
		{"no tag", "", 206, "", "", 0, whole, 1},
	} {
		requests := 0
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			requests++
			if r.Header.Get("Range") == "" {
				io.WriteString(w, whole)
				return
			}
			if r.Header.Get("Range") != "bytes=4-" || r.Header.Get("If-Range") != tag {
				t.Errorf("%s: asked with %v", test.name, r.Header)
			}
			for h := range strings.SplitSeq(test.headers, "|") {
				k, v, _ := strings.Cut(h, ": ")
				w.Header().Set(k, v)
			}
			w.WriteHeader(test.status)
			io.WriteString(w, test.body)
		})
		c, _ := quick()
		resp, body, err := get(c, host.Request{URL: s.URL, Offset: 4, ETag: test.etag})
		if err != nil || resp.Offset != test.offset || body != test.want || requests != test.requests {
			t.Errorf("%s: got %+v, %q, %v after %d requests", test.name, resp, body, err, requests)
		}
	}
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(206) })
	c, _ := quick()
	if _, _, err := get(c, host.Request{URL: s.URL}); err == nil || !strings.Contains(err.Error(), "got a part") {
		t.Errorf("a part unasked: %v", err)
	}
}

func TestConditionalAndHead(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Content-Type", "Text/HTML; charset=utf-8")
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(304)
			return
		}
		w.Header().Set("Content-Length", "5")
		if r.Method != "HEAD" {
			io.WriteString(w, "hello")
		}
	})
	c, _ := quick()
	if resp, _, err := get(c, host.Request{URL: s.URL, ETag: `"v1"`}); err != nil || resp.Status != 304 {
		t.Errorf("unchanged: got %+v, %v", resp, err)
	}
	resp, body, err := get(c, host.Request{URL: s.URL, Head: true})
	if err != nil || resp.Size != 5 || body != "" || resp.Type != "text/html" || resp.ETag != `"v1"` {
		t.Errorf("head: got %+v, %q, %v", resp, body, err)
	}
}
