package fetch

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A route is the way to a server: whom to trust besides the usual ones, and
// through whom to go. Each has its transport, and so its connections.
type route struct{ ca, proxy string }

// transport returns the one for way, made when it is first asked for.
func (c *Client) transport(way route) (http.RoundTripper, error) {
	if way == (route{}) {
		return c.Transport, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.routes[way]; ok {
		return t, nil
	}
	base, ok := c.Transport.(*http.Transport)
	if !ok {
		return nil, refusal("this client takes neither a CA nor a proxy")
	}
	t := base.Clone()
	if err := way.lay(t); err != nil {
		return nil, err
	}
	if c.routes == nil {
		c.routes = map[route]http.RoundTripper{}
	}
	c.routes[way] = t
	return t, nil
}

func (way route) lay(t *http.Transport) error {
	if way.proxy != "" {
		proxy, err := parseProxy(way.proxy)
		if err != nil {
			return err
		}
		t.Proxy = http.ProxyURL(proxy)
	}
	if way.ca == "" {
		return nil
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{}
	}
	pool, err := trusting(t.TLSClientConfig.RootCAs, way.ca)
	t.TLSClientConfig.RootCAs = pool
	return err
}

// trusting returns a copy of base, or of the system's pool if that is nil, with
// the certificates of a PEM text. One that cannot be read would be missed later,
// and harder to understand.
func trusting(base *x509.CertPool, text string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if base != nil {
		pool = base.Clone()
	} else if system, err := x509.SystemCertPool(); err == nil {
		pool = system
	}
	count := 0
	for rest := []byte(text); ; count++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil && (count == 0 || strings.Contains(string(rest), "-----BEGIN")):
			return nil, refusal("got a CA that is no PEM text of certificates")
		case block == nil:
			return pool, nil
		case block.Type != "CERTIFICATE":
			return nil, refusal("got a CA with something else than certificates in it")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, refusal("got a CA with a damaged certificate in it")
		}
		pool.AddCert(cert)
	}
}

// parseProxy reads a proxy's URL. As with parse, errors say nothing of the text.
func parseProxy(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, refusal("the proxy is a malformed URL")
	case !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme):
		return nil, refusal("want a proxy that begins with http://, https:// or socks5://")
	case u.Hostname() == "":
		return nil, refusal("the proxy's URL names no host")
	}
	return u, nil
}
