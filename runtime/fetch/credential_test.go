package fetch

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"runbook/runtime/host"
)

// No kind of failure tells a credential, wherever in the URL it is.
func TestErrorsTellNoCredential(t *testing.T) {
	broken := serve(t, nil)
	broken.Close()
	gone := strings.TrimPrefix(broken.URL, "http://")
	for _, shape := range []string{
		"http://u:s3cr3t@HOST/", "http://s3cr3t@HOST/", "http://HOST/t/s3cr3t/x", "http://HOST/x?k=s3cr3t", "http://HOST/a/t/s3cr3t?k=s3cr3t",
	} {
		for _, at := range []string{gone, "[::1", "a b", "h:port", "h:99999", "%zz", "\x7f", ""} {
			raw := strings.Replace(shape, "HOST", at, 1)
			for _, u := range []string{raw, strings.Replace(raw, "http", "ftp", 1), strings.Replace(raw, "http://", "", 1)} {
				c, _ := quick()
				_, err := c.Get(context.Background(), host.Request{URL: u})
				if err == nil || strings.Contains(err.Error(), "s3cr3t") {
					t.Errorf("%s: got %v", u, err)
				}
			}
		}
	}
}

func TestErrorsTellNoProxyPassword(t *testing.T) {
	c, waits := quick()
	tr := newTransport()
	tr.Proxy = proxyFrom(func(*http.Request) (*url.URL, error) { return nil, errors.New("invalid proxy address s3cr3t") })
	c.Transport = tr
	if _, err := c.Get(context.Background(), host.Request{URL: "http://example.invalid/"}); err == nil || len(*waits) > 0 || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("got %v", err)
	}
}
