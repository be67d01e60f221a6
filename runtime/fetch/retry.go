package fetch

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// insist makes the request until it is answered well or the tries are used up.
func (c *Client) insist(ctx context.Context, q *request) (*http.Response, error) {
	for try := 1; ; try++ {
		resp, err := c.follow(ctx, q)
		if ctx.Err() != nil {
			discard(resp)
			return nil, ctx.Err()
		}
		if try >= c.Tries || q.Once || !worthAnotherTry(resp, err) {
			return resp, err
		}
		d := max(backoff(c.Pause, c.MaxPause, try), retryAfter(resp, c.MaxWait))
		discard(resp)
		if err := c.Sleep(ctx, d); err != nil {
			return nil, err
		}
	}
}

// worthAnotherTry reports whether a failure may pass.
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

// retryAfter is how long the server wants to be left alone (RFC 9110, 10.2.3),
// and no longer than most.
func retryAfter(resp *http.Response, most time.Duration) time.Duration {
	if resp == nil {
		return 0
	}
	v := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if t, err := http.ParseTime(v); err == nil {
		return min(max(time.Until(t), 0), most)
	}
	switch s, err := strconv.ParseInt(v, 10, 64); {
	case err != nil && !errors.Is(err, strconv.ErrRange), s < 0:
		return 0
	case s > int64(most/time.Second): // which includes what no int64 can hold
		return most
	default:
		return time.Duration(s) * time.Second
	}
}

// discard gives up an answer; a short one is read, if it comes at once, so that
// the connection lives on.
func discard(resp *http.Response) {
	if resp == nil {
		return
	}
	if b, ok := resp.Body.(*body); ok {
		b.hurry(time.Second / 2)
	}
	io.CopyN(io.Discard, resp.Body, 16<<10)
	resp.Body.Close()
}

// Wait waits after the try'th failure of something: about first, twice as long with each, at most most. It
// returns early with ctx's error.
func Wait(ctx context.Context, first, most time.Duration, try int) error {
	return sleep(ctx, backoff(first, most, try))
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
