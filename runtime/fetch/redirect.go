package fetch

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"runbook/runtime/host"
)

const maxHops = 5

// follow makes a request and goes where its answers point. Credentials leave
// with the first hop to another origin and do not come back; there is no Referer.
func (c *Client) follow(ctx context.Context, q *request) (*http.Response, error) {
	u, auth := q.url, q.auth
	for hops := 0; ; hops++ {
		resp, err := c.send(ctx, u, auth, q)
		if err != nil && hops > 0 {
			return nil, fmt.Errorf("redirected to %s: %w", host.RedactURL(u.String()), err)
		}
		if err != nil || !redirects(resp) {
			return resp, err
		}
		discard(resp)
		if hops == maxHops {
			return nil, refusal(fmt.Sprintf("got more than %d redirects", maxHops))
		}
		if u, err = hop(u, resp.Header.Get("Location")); err != nil {
			return nil, err
		}
		if !sameOrigin(q.url, u) {
			auth = ""
		}
		ctx = context.WithValue(ctx, redirectedKey{}, true)
	}
}

// redirectedKey marks requests that a server, not the caller, has aimed.
type redirectedKey struct{}

// redirects reports whether resp points elsewhere; without a Location it is an
// answer like others.
func redirects(resp *http.Response) bool {
	switch resp.StatusCode {
	case 301, 302, 303, 307, 308:
		return resp.Header.Get("Location") != ""
	}
	return false
}

// hop resolves a Location. Credentials in it are dropped: they are the caller's
// to give.
func hop(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	if err != nil {
		return nil, refusal("redirected to a malformed URL")
	}
	to.User = nil
	where := host.RedactURL(to.String())
	switch _, err := parse(to.String()); {
	case err != nil:
		return nil, refusal(fmt.Sprintf("redirected to %s: %v", where, err))
	case from.Scheme == "https" && to.Scheme == "http":
		return nil, refusal(fmt.Sprintf("redirected from https to %s", where))
	}
	if ip, err := netip.ParseAddr(to.Hostname()); err == nil && offLimits(ip) {
		return nil, refusal(fmt.Sprintf("redirected to %s, an address of the machine's own surroundings", where))
	}
	return to, nil
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// checkDial refuses, before it connects, a redirect whose name resolves to an
// address that is off limits. It is a net.Dialer's ControlContext.
func checkDial(ctx context.Context, _, address string, _ syscall.RawConn) error {
	if ctx.Value(redirectedKey{}) == nil {
		return nil
	}
	h, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip, err := netip.ParseAddr(h); err == nil && offLimits(ip) {
		return refusal("a redirect leads to " + h + ", an address of the machine's own surroundings")
	}
	return nil
}

// offLimits reports whether ip is link-local, where clouds keep the credentials
// of a machine, or one of the few other addresses that they use for it.
func offLimits(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	switch ip.String() {
	case "fd00:ec2::254", "100.100.100.200", "0.0.0.0", "::":
		return true
	}
	return ip.IsLinkLocalUnicast()
}
