package fetch_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"runbook/runtime/fetch/fetchtest"
	"runbook/runtime/host"
)

// Who a server is does not change, so nobody asks twice.
func TestCertificates(t *testing.T) {
	t.Parallel()
	other := fetchtest.NewTLS(t, nil, fetchtest.Good)
	for c, problem := range map[fetchtest.Certificate]string{
		fetchtest.Good: "", fetchtest.Expired: "expired", fetchtest.WrongHost: "IP SANs", fetchtest.SelfSigned: "unknown authority",
	} {
		s := fetchtest.NewTLS(t, nil, c)
		s.Set("f", []byte("ok"))
		for name, client := range map[string]struct {
			from *fetchtest.Server
			ca   string
		}{"trusted": {s, ""}, "by the request": {fetchtest.New(t, nil), s.CA}, "both": {other, "# a comment\n" + other.CA + "\n" + s.CA}} {
			_, body, err := read(t, calm(t, client.from), host.Request{URL: s.URL + "/f", CA: client.ca})
			if problem == "" && (err != nil || body != "ok") || problem != "" && (err == nil || !strings.Contains(err.Error(), problem)) {
				t.Errorf("%v %s: got %q, %v", c, name, body, err)
			}
		}
		if _, _, err := read(t, calm(t, other), host.Request{URL: s.URL + "/f", CA: other.CA}); err == nil {
			t.Errorf("%v: trusted by a client that does not know its authority", c)
		}
		if n := len(s.Requests()); problem != "" && n > 0 {
			t.Errorf("%v: got %d requests", c, n)
		}
	}
}

func TestRefusedRoutes(t *testing.T) {
	t.Parallel()
	s := fetchtest.NewTLS(t, nil, fetchtest.Good)
	c := calm(t, s)
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte(canary)}))
	damaged := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(canary)}))
	for name, test := range map[string]struct {
		r    host.Request
		want string
	}{
		"no PEM":         {host.Request{CA: canary}, "no PEM text"},
		"a file's name":  {host.Request{CA: "/etc/pki/ca.pem"}, "no PEM text"},
		"cut":            {host.Request{CA: s.CA[:len(s.CA)/2]}, "no PEM text"},
		"second cut":     {host.Request{CA: s.CA + s.CA[:len(s.CA)/2]}, "no PEM text"},
		"a key":          {host.Request{CA: s.CA + key}, "something else than certificates"},
		"damaged":        {host.Request{CA: damaged}, "damaged certificate"},
		"bad proxy":      {host.Request{Proxy: "http://u:" + canary + "@[::1"}, "malformed URL"},
		"no scheme":      {host.Request{Proxy: "u:" + canary + "@h:1"}, "the proxy"},
		"another scheme": {host.Request{Proxy: "ftp://u:" + canary + "@h:1"}, "begins with"},
		"no host":        {host.Request{Proxy: "http://u:" + canary + "@/"}, "names no host"},
	} {
		test.r.URL = s.URL + "/f"
		if _, _, err := read(t, c, test.r); err == nil || !strings.Contains(err.Error(), test.want) && !strings.Contains(err.Error(), "proxy") || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	c.Transport = roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("asked") })
	if _, _, err := read(t, c, host.Request{URL: s.URL, CA: s.CA}); err == nil || !strings.Contains(err.Error(), "takes neither") {
		t.Errorf("another transport: got %v", err)
	}
	if n := len(s.Requests()); n > 0 {
		t.Errorf("got %d requests", n)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestProxy(t *testing.T) {
	t.Parallel()
	for _, target := range []*fetchtest.Server{fetchtest.New(t, nil), fetchtest.NewTLS(t, nil, fetchtest.Good)} {
		target.Set("f", []byte("ok"))
		target.Guard(canary)
		proxy := fetchtest.New(t, nil)
		c := calm(t, target)
		r := host.Request{URL: target.URL + "/f", Proxy: strings.Replace(proxy.URL, "://", "://user:"+canary+"@", 1)}
		if _, body, err := read(t, c, r); err != nil || body != "ok" {
			t.Errorf("got %q, %v", body, err)
		}
		if asked := proxy.Requests(); len(asked) != 1 || !asked[0].Carries(canary) {
			t.Errorf("the proxy got %+v", asked)
		}
		if asked := target.Requests(); len(asked) != 1 || asked[0].Leaked {
			t.Errorf("the server got %+v", asked)
		}
	}
}

// A proxy that fails is told from a server that does, and never with its password.
func TestBadProxy(t *testing.T) {
	t.Parallel()
	plain, secured := fetchtest.New(t, nil), fetchtest.NewTLS(t, nil, fetchtest.Good)
	for _, target := range []*fetchtest.Server{plain, secured} {
		target.Set("f", []byte("ok"))
	}
	together([]badProxy{
		{fetchtest.Status(403), "status 403", "the proxy says no: got status 403 Forbidden", 1},
		{fetchtest.Status(407), "status 407", "the proxy says no: got status 407", 1},
		{fetchtest.Status(502), "status 502", "Bad Gateway", 5},
		{fetchtest.Page(), "status 200", "tls", 1},
		{fetchtest.Silent(), "got no answer for", "got no answer for", 5},
		{fetchtest.NoHTTP(), "malformed", "malformed", 5},
	}, func(b badProxy) {
		proxy := fetchtest.New(t, nil)
		proxy.Fault("*", b.Behaviour, fetchtest.Forever)
		b.check(t, proxy, plain, b.plain)
		proxy.Forget()
		b.check(t, proxy, secured, b.secured)
		if n := len(proxy.Requests()); n != b.requests {
			t.Errorf("%s: got %d requests, want %d", b.Name, n, b.requests)
		}
	})
	by := strings.Replace(fetchtest.Refused(t), "://", "://user:"+canary+"@", 1)
	if _, _, err := read(t, calm(t, plain), host.Request{URL: plain.URL + "/f", Proxy: by}); err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), canary) {
		t.Errorf("refused: got %v", err)
	}
}

// A badProxy and what a caller is told of it: for http, where it may be the
// status of an answer, and for https, after so many requests.
type badProxy struct {
	fetchtest.Behaviour
	plain, secured string
	requests       int
}

func (b badProxy) check(t *testing.T, proxy, target *fetchtest.Server, want string) {
	by := strings.Replace(proxy.URL, "://", "://user:"+canary+"@", 1)
	c := calm(t, target)
	if b.Name == fetchtest.Silent().Name {
		c.Stall = fetchtest.Stall
	}
	resp, _, err := read(t, c, host.Request{URL: target.URL + "/f", Proxy: by})
	if err == nil {
		err = fmt.Errorf("status %d", resp.Status)
	}
	if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) {
		t.Errorf("%s, %s: got %v, want %s", b.Name, target.URL, err, want)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	c := calm(t, fetchtest.New(t, nil))
	if _, _, err := read(t, c, host.Request{URL: fetchtest.Refused(t)}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("refused: got %v", err)
	}
	var dns *net.DNSError
	if _, _, err := read(t, c, host.Request{URL: "http://unknown.example/"}); !errors.As(err, &dns) || !dns.IsNotFound {
		t.Errorf("unknown name: got %v", err)
	}
}

// HTTP/2 is spoken where it is offered, with a request's own CA too, and a
// connection that goes away takes nobody along.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	data := noise(200 << 10)
	for _, b := range []fetchtest.Behaviour{fetchtest.GoAway(), fetchtest.ClosedOnReuse(), fetchtest.Reset()} {
		s := fetchtest.NewTLS(t, nil, fetchtest.Good)
		s.Set("f", data)
		s.Fault("f", b, 20)
		c := calm(t, fetchtest.New(t, nil))
		ctx, cancel := context.WithTimeout(t.Context(), inTime)
		defer cancel()
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				for ctx.Err() == nil { // what a body breaks off is the caller's to ask for again
					resp, body, err := read(t, c, host.Request{URL: s.URL + "/f", CA: s.CA})
					if err == nil && resp.Status == 200 && body == string(data) {
						return
					}
				}
				t.Errorf("%s: not in time", b.Name)
			})
		}
		wg.Wait()
		if !slices.ContainsFunc(s.Requests(), func(r fetchtest.Request) bool { return r.Proto == "HTTP/2.0" }) {
			t.Errorf("%s: no HTTP/2", b.Name)
		}
	}
}
