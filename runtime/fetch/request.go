package fetch

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"runbook/runtime/host"
)

// A request is a host.Request that may be sent.
type request struct {
	host.Request
	url  *url.URL          // without a user
	auth string            // the Authorization header for url's origin
	by   http.RoundTripper // sends it
}

func (c *Client) newRequest(r host.Request) (*request, error) {
	u, err := parse(r.URL)
	if err != nil {
		return nil, err
	}
	q := &request{Request: r, url: u}
	if q.auth, err = authorization(u.User, r.Bearer); err != nil {
		return nil, err
	}
	u.User = nil
	q.by, err = c.transport(route{r.CA, r.Proxy})
	return q, err
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

func authorization(user *url.Userinfo, bearer string) (string, error) {
	switch {
	case user != nil && bearer != "":
		return "", refusal("got a user in the URL and a bearer token, want one of them")
	case user != nil:
		password, _ := user.Password()
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)), nil
	case strings.ContainsFunc(bearer, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", refusal("got a bearer token with spaces, line ends or the like in it")
	case bearer != "":
		return "Bearer " + bearer, nil
	}
	return "", nil
}

// send makes one request of u, with credentials only if it is the origin that
// they are for.
func (c *Client) send(ctx context.Context, u *url.URL, auth string, q *request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req := (&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: header(q.Request)}).WithContext(ctx)
	if q.Head {
		req.Method = http.MethodHead
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	silence := time.AfterFunc(c.Stall, func() { cancel(fmt.Errorf("got no answer for %v", c.Stall)) })
	resp, err := q.by.RoundTrip(req)
	silence.Stop()
	if err != nil {
		err = cmp.Or(context.Cause(ctx), err)
		cancel(nil)
		return nil, quiet{err}
	}
	resp.Body = newBody(ctx, cancel, resp.Body, c.Stall)
	return resp, nil
}

// header is what r says to any server. What a server has sent and could not be
// sent back is left out.
func header(r host.Request) http.Header {
	h := http.Header{}
	h.Set("User-Agent", "runbook")
	h.Set("Accept-Encoding", "identity") // bytes as the server keeps them
	if r.Fresh {
		h.Set("Cache-Control", "no-cache")
		h.Set("Pragma", "no-cache")
	}
	if r.Offset > 0 {
		if strong(r.ETag) {
			h.Set("Range", fmt.Sprintf("bytes=%d-", r.Offset))
			h.Set("If-Range", r.ETag)
		}
		return h
	}
	if r.ETag != "" && sendable(r.ETag) {
		h.Set("If-None-Match", r.ETag)
	}
	if r.Since != "" && sendable(r.Since) {
		h.Set("If-Modified-Since", r.Since)
	}
	return h
}

// strong reports whether equal tags mean equal bytes (RFC 9110, 8.8.1).
func strong(etag string) bool {
	return len(etag) >= 2 && strings.HasPrefix(etag, `"`) && strings.HasSuffix(etag, `"`) && sendable(etag)
}

func sendable(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
}
