// Package fetch is the only door to the network.
//
// [Client.Get] asks for what a URL holds: it follows redirects by its own rules,
// tries again what is worth it and gives up on servers that stall. [Download]
// makes a file of the answer: it resumes, verifies, and renames last.
//
// Two things to know. An answer is no error, whatever its status; only the lack
// of one is. And nothing that this package says shows a password, a query or a
// /t/TOKEN/ in a URL: see [Redact].
//
// A Local host has Client.Get as its way to the network; builtins hand the Get
// of their host to Download, so that the door in between sees every request.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"runbook/runtime/host"
)

// A Client asks servers. Make one with [New]; its fields may then be changed
// before the first Get. It is safe for concurrent use.
type Client struct {
	Transport http.RoundTripper
	Tries     int           // how often a request is made before its failure counts
	Pause     time.Duration // about how long to wait after the first failure; doubles with each
	MaxPause  time.Duration // what Pause grows to
	MaxWait   time.Duration // how much of a server's Retry-After is honoured
	// Stall is how long a body may bring nothing. One that brings less than
	// 1 KiB a second over five times as long is given up, too.
	Stall time.Duration
	// Sleep waits between tries; it returns early with ctx's error.
	Sleep func(ctx context.Context, d time.Duration) error
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
// an Offset, r.ETag makes the request conditional: status 304 means unchanged.
//
// No answer, 408, 425, 429 and 5xx are tried again, after what Retry-After says.
// Whatever is answered last is returned with its status. The error wraps ctx's
// error or that of the connection.
func (c *Client) Get(ctx context.Context, r host.Request) (*host.Response, error) {
	u, err := parse(r.URL)
	if err != nil {
		return nil, wrap(r, err)
	}
	resp, err := c.insist(ctx, u, r)
	if err != nil {
		return nil, wrap(r, err)
	}
	out := &host.Response{
		Status: resp.StatusCode,
		Size:   resp.ContentLength,
		ETag:   resp.Header.Get("ETag"),
		Type:   mediaType(resp),
		Body:   resp.Body,
	}
	switch total, ok := contentRange(resp, r); {
	case ok:
		out.Status, out.Offset, out.Size, out.ETag, out.Body = http.StatusPartialContent, r.Offset, total, r.ETag, resp.Body
	case resp.StatusCode == http.StatusPartialContent && r.Offset == 0:
		resp.Body.Close()
		return nil, wrap(r, errors.New("got a part, want the whole"))
	case resp.StatusCode == http.StatusPartialContent || resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && r.Offset > 0:
		resp.Body.Close() // a server that cannot count: begin anew
		return c.Get(ctx, host.Request{URL: r.URL, Head: r.Head})
	}
	return out, nil
}

// Once returns a context in which Get makes one try only, for callers that
// look again by themselves.
func Once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

type onceKey struct{}

func wrap(r host.Request, err error) error {
	return fmt.Errorf("get %s: %w", host.RedactURL(r.URL), err)
}

// parse reads a URL. Its errors say nothing of the text, which may hold
// credentials anywhere if it is malformed.
func parse(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, refusal("malformed URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, refusal("want a URL that begins with http:// or https://")
	case u.Hostname() == "":
		return nil, refusal("URL names no host")
	}
	return u, nil
}

// A refusal is an error that another try cannot cure.
type refusal string

func (r refusal) Error() string { return string(r) }

// insist makes the request until it is answered well or the tries are used up.
func (c *Client) insist(ctx context.Context, u *url.URL, r host.Request) (*http.Response, error) {
	tries := c.Tries
	if ctx.Value(onceKey{}) != nil {
		tries = 1
	}
	for try := 1; ; try++ {
		resp, err := c.follow(ctx, u, r)
		if ctx.Err() != nil {
			discard(resp)
			return nil, ctx.Err()
		}
		if try >= tries || !worthAnotherTry(resp, err) {
			return resp, err
		}
		d := max(backoff(c.Pause, c.MaxPause, try), retryAfter(resp, c.MaxWait))
		discard(resp)
		if err := c.Sleep(ctx, d); err != nil {
			return nil, err
		}
	}
}

// send makes one request. Credentials come from the URL that the caller gave,
// and go out only if trusted.
func (c *Client) send(ctx context.Context, u *url.URL, auth *url.Userinfo, r host.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	plain := *u
	plain.User = nil
	req := (&http.Request{Method: http.MethodGet, URL: &plain, Host: u.Host, Header: http.Header{}}).WithContext(ctx)
	if r.Head {
		req.Method = http.MethodHead
	}
	if auth != nil {
		pw, _ := auth.Password()
		req.SetBasicAuth(auth.Username(), pw)
	}
	req.Header.Set("User-Agent", "runbook")
	req.Header.Set("Accept-Encoding", "identity") // bytes as the server keeps them
	switch {
	case r.Offset > 0 && strong(r.ETag):
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", r.Offset))
		req.Header.Set("If-Range", r.ETag)
	case r.Offset == 0 && r.ETag != "":
		req.Header.Set("If-None-Match", r.ETag)
	}
	resp, err := c.Transport.RoundTrip(req)
	if err != nil {
		cancel(nil)
		return nil, quiet{err}
	}
	resp.Body = newBody(ctx, cancel, resp.Body, c.Stall)
	return resp, nil
}

// strong reports whether equal tags mean equal bytes (RFC 9110, 8.8.1).
func strong(etag string) bool { return strings.HasPrefix(etag, `"`) }

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

// worthAnotherTry tells what may pass from what will not.
func worthAnotherTry(resp *http.Response, err error) bool {
	if err != nil {
		var no refusal
		var dns *net.DNSError
		return !errors.As(err, &no) && !untrusted(err) && !(errors.As(err, &dns) && dns.IsNotFound)
	}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported, http.StatusNetworkAuthenticationRequired:
		return false
	}
	return resp.StatusCode >= 500
}

// backoff is how long to wait after the try'th failure: twice as long as before,
// spread over half of that so that many do not come back at once.
func backoff(first, most time.Duration, try int) time.Duration {
	d := first
	for range try - 1 {
		d = min(2*d, most)
	}
	return d/2 + rand.N(d/2+1)
}

// retryAfter is how long the server wants to be left alone (RFC 9110, 10.2.3).
func retryAfter(resp *http.Response, most time.Duration) time.Duration {
	if resp == nil {
		return 0
	}
	v := resp.Header.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil {
		return time.Duration(min(max(s, 0), int(most/time.Second))) * time.Second
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(time.Until(t), 0), most)
}

// discard gives up an answer; a short one is read so that the connection lives on.
func discard(resp *http.Response) {
	if resp != nil {
		io.CopyN(io.Discard, resp.Body, 16<<10)
		resp.Body.Close()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
