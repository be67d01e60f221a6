// Package fetch is the only door to the network.
//
// [Client.Get] asks for what a URL holds: it follows redirects by its own rules,
// tries again what is worth it and gives up on servers that stall. [Download]
// makes a file of the answer: it resumes, verifies, and renames last.
//
// Two things to know. An answer is not an error, whatever its status; only the lack
// of one is. And nothing that this package says shows a password, a query or a
// /t/TOKEN/ in a URL: see [host.RedactURL].
//
// A Local host has Client.Get as its way to the network; builtins hand the Get
// of their host to Download, so that the door in between sees every request.
package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"runbook/runtime/host"
)

// A Client asks servers. Make one with [New]; its fields may then be changed
// before the first Get. It is safe for concurrent use.
type Client struct {
	// Transport makes the requests. Those with a CA or a Proxy of their own are
	// made by copies of it, so for them it must be an *http.Transport.
	Transport http.RoundTripper
	Tries     int           // how often a request is made before its failure counts
	Pause     time.Duration // about how long to wait after the first failure; doubles with each
	MaxPause  time.Duration // what Pause grows to
	MaxWait   time.Duration // how much of a server's Retry-After is honoured
	// Stall is how long a server may take to connect and answer, and then how long
	// a body may bring nothing. One that brings less than 1 KiB a second over five
	// times as long is given up, too. Nothing limits how long a body takes in all.
	Stall time.Duration
	// Sleep waits between tries; it returns early with ctx's error.
	Sleep func(ctx context.Context, d time.Duration) error

	mu     sync.Mutex
	routes map[route]http.RoundTripper
}

// New returns a Client that connects as the environment's HTTP_PROXY,
// HTTPS_PROXY and NO_PROXY say, with limits for the wide world.
func New() *Client {
	return &Client{
		Transport: newTransport(),
		Tries:     5,
		Pause:     500 * time.Millisecond,
		MaxPause:  30 * time.Second,
		MaxWait:   10 * time.Minute,
		Stall:     time.Minute,
		Sleep:     sleep,
	}
}

// Get asks for what r.URL, http or https, holds. It has the signature of
// host.Reader's Get.
//
// With an Offset, it asks for the rest only if r.ETag is a strong one; the
// answer then has that Offset and status 206, or holds the whole from 0. Without
// an Offset, r.ETag and r.Since make the request conditional: status 304 means
// unchanged, and comes with the caller's own where the server does not repeat them.
//
// No answer, 408, 425, 429 and 5xx are tried again, after what Retry-After says.
// Whatever is answered last is returned with its status. The error wraps ctx's
// error or that of the connection. A body that breaks off does so with an error
// of its Read; another Get with Offset and ETag then brings the rest.
func (c *Client) Get(ctx context.Context, r host.Request) (*host.Response, error) {
	q, err := c.newRequest(r)
	if err != nil {
		return nil, wrap(r, err)
	}
	resp, err := c.insist(ctx, q)
	if err != nil {
		return nil, wrap(r, err)
	}
	out := &host.Response{
		Status:   resp.StatusCode,
		Size:     resp.ContentLength,
		ETag:     resp.Header.Get("ETag"),
		Modified: resp.Header.Get("Last-Modified"),
		Type:     mediaType(resp),
		Body:     resp.Body,
	}
	switch total, ok := contentRange(resp, r); {
	case resp.StatusCode == http.StatusNotModified && r.Offset == 0:
		out.ETag, out.Modified = cmp.Or(out.ETag, r.ETag), cmp.Or(out.Modified, r.Since)
	case ok:
		out.Status, out.Offset, out.Size, out.ETag, out.Body = http.StatusPartialContent, r.Offset, total, r.ETag, resp.Body
	case resp.StatusCode == http.StatusPartialContent && r.Offset == 0:
		resp.Body.Close()
		return nil, wrap(r, errors.New("got a part, want the whole"))
	case resp.StatusCode == http.StatusPartialContent ||
		resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && r.Offset > 0:
		resp.Body.Close() // a server that cannot count: begin anew
		r.Offset, r.ETag, r.Since = 0, "", ""
		return c.Get(ctx, r)
	}
	return out, nil
}

func wrap(r host.Request, err error) error {
	return fmt.Errorf("get %s: %w", host.RedactURL(r.URL), err)
}

// contentRange reports whether resp is the rest that r asked for, and the size
// of the whole. 416 is that if there is no more than what the caller has.
func contentRange(resp *http.Response, r host.Request) (total int64, ok bool) {
	if r.Offset == 0 || !strong(r.ETag) {
		return 0, false
	}
	if tag := resp.Header.Get("ETag"); tag != "" && tag != r.ETag {
		return 0, false
	}
	spec, _ := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes ")
	span, size, _ := strings.Cut(spec, "/")
	total, err := strconv.ParseInt(size, 10, 64)
	switch {
	case err != nil:
		return 0, false
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && span == "*" && total == r.Offset:
		resp.Body.Close()
		resp.Body = http.NoBody
		return total, true
	}
	rest := total - r.Offset
	ok = resp.StatusCode == http.StatusPartialContent && rest > 0 &&
		span == fmt.Sprintf("%d-%d", r.Offset, total-1) &&
		(resp.ContentLength == rest || resp.ContentLength < 0)
	return total, ok
}

func mediaType(resp *http.Response) string {
	t, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}
