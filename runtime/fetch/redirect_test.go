package fetch

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"runbook/runtime/host"
)

func TestRedirects(t *testing.T) {
	const forever = 1 << 30
	for _, test := range []struct {
		name, location string
		status, hops   int
		problem        string // "" if the answer must arrive
	}{
		{"301", "/ok", 301, 1, ""}, {"302", "/ok", 302, 1, ""}, {"303", "/ok", 303, 1, ""}, {"307", "/ok", 307, 1, ""}, {"308", "/ok", 308, 1, ""},
		{"relative", "ok", 302, 1, ""},
		{"without scheme", "//HOST/ok", 302, 1, ""},
		{"other name", "http://localhost:PORT/ok", 302, 1, ""},
		{"with credentials", "http://user:s3cr3t@HOST/ok", 302, 1, ""},
		{"five", "/again", 302, 5, ""},
		{"six", "/again", 302, 6, "got more than 5 redirects"},
		{"loop", "/again", 302, forever, "got more than 5 redirects"},
		{"bad IPv6", "http://[::1/t/s3cr3t/", 302, 1, "malformed URL"},
		{"bad escape", "/t/s3cr3t/%zz", 302, 1, "malformed URL"},
		{"other scheme", "file:///etc/passwd", 302, 1, "http:// or https://"},
		{"no host", "http:///ok", 302, 1, "names no host"},
		{"metadata", "http://169.254.169.254/t/s3cr3t/latest", 302, 1, "169.254.169.254/t/<TOKEN>/latest, an address"},
		{"metadata as IPv6", "http://[::ffff:169.254.169.254]/", 302, 1, "an address"},
		{"link-local", "http://[fe80::1%25eth0]/", 302, 1, "an address"},
	} {
		hops := 0
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if hops++; hops > test.hops {
				io.WriteString(w, "ok")
				return
			}
			addr := r.Host
			_, port, _ := strings.Cut(addr, ":")
			w.Header()["Location"] = []string{strings.NewReplacer("HOST", addr, "PORT", port).Replace(test.location)}
			w.WriteHeader(test.status)
		})
		c, waits := quick()
		_, body, err := get(c, host.Request{URL: s.URL + "/start"})
		if test.problem == "" && (err != nil || body != "ok") {
			t.Errorf("%s: got %q, %v", test.name, body, err)
		}
		if test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem) || len(*waits) > 0) {
			t.Errorf("%s: got %v after %d waits, want %q", test.name, err, len(*waits), test.problem)
		}
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: error tells %v", test.name, err)
		}
	}
	for _, header := range []string{"/t/s3cr3t/\x1b[2J", "/t/s3cr3t/\"x\x00"} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", header); w.WriteHeader(302) })
		c, _ := quick()
		if _, _, err := get(c, host.Request{URL: s.URL}); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%q: got %v", header, err)
		}
	}
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(302) })
	c, _ := quick()
	if resp, _, err := get(c, host.Request{URL: s.URL}); err != nil || resp.Status != 302 {
		t.Errorf("no location: got %+v, %v", resp, err)
	}
}

func TestDowngradeIsRefused(t *testing.T) {
	plain := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked without TLS") })
	s := httptest.NewTLSServer(http.RedirectHandler(plain.URL+"/t/s3cr3t/x", 302))
	defer s.Close()
	c, _ := quick()
	c.Transport = s.Client().Transport
	if _, _, err := get(c, host.Request{URL: s.URL}); err == nil || !strings.Contains(err.Error(), "from https to http://") || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("got %v", err)
	}
}

// A name that resolves to a forbidden address is found out when it is dialled.
func TestDialledAddress(t *testing.T) {
	redirected := context.WithValue(context.Background(), redirectedKey{}, true)
	for addr, want := range map[string]bool{
		"169.254.169.254:80": true, "[fe80::1%eth0]:80": true, "[fd00:ec2::254]:80": true, "100.100.100.200:80": true,
		"0.0.0.0:80": true, "[::ffff:169.254.0.1]:80": true, "127.0.0.1:80": false, "10.0.0.1:80": false, "[2001:db8::1]:443": false,
	} {
		if err := checkDial(redirected, "tcp", addr, nil); (err != nil) != want {
			t.Errorf("%s: got %v", addr, err)
		}
		if err := checkDial(context.Background(), "tcp", addr, nil); err != nil {
			t.Errorf("%s, asked for: got %v", addr, err)
		}
	}
	if offLimits(netip.MustParseAddr("192.168.1.1")) {
		t.Error("a private network is where mirrors are")
	}
}

func TestRebinding(t *testing.T) {
	s := serve(t, http.RedirectHandler("http://rebound.invalid/latest", 302).ServeHTTP)
	c, _ := quick()
	tr := newTransport()
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dial(ctx, network, strings.Replace(addr, "rebound.invalid", "169.254.169.254", 1))
	}
	c.Transport = tr
	if _, _, err := get(c, host.Request{URL: s.URL}); err == nil || !strings.Contains(err.Error(), "surroundings") {
		t.Errorf("got %v", err)
	}
}
