package fetchtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"runbook/runtime/fetch"
)

// Stall is how long the client of a test waits for an answer or a byte. Where the
// machine is slow and no server should be, give its client a longer one.
const Stall = 500 * time.Millisecond

// Client returns one that trusts s, reaches nothing but the loopback, knows no
// proxy of the environment and has little patience: it tries five times,
// milliseconds apart. Names that end in ".test" lead to the loopback, all others
// but localhost are unknown.
func (s *Server) Client(t testing.TB) *fetch.Client {
	t.Helper()
	c := fetch.New()
	c.Pause, c.MaxPause, c.MaxWait, c.Stall = time.Millisecond, 5*time.Millisecond, 50*time.Millisecond, Stall
	tr, ok := c.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("got a %T, want an *http.Transport", c.Transport)
	}
	beyond := tr.DialContext
	tr.Proxy = nil
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		addr, err := loopback(addr)
		if err != nil {
			return nil, err
		}
		return beyond(ctx, network, addr)
	}
	if s.CA != "" {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(s.CA))
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	t.Cleanup(tr.CloseIdleConnections)
	return c
}

// Refused returns a URL at which nobody listens, nor will until the test ends.
func Refused(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	bound, ok := at.(*syscall.SockaddrInet4)
	if !ok {
		t.Fatalf("got address %v, %v", at, err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", bound.Port)
}

func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	addr, err := loopback(addr)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// loopback returns where addr really is. An address beyond is passed on, and so
// left to the dialer, only if it is one that must be refused anyway.
func loopback(addr string) (string, error) {
	name, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if ip, err := netip.ParseAddr(name); err == nil && (ip.IsLoopback() || ip.IsLinkLocalUnicast()) {
		return addr, nil
	}
	if name != "localhost" && !strings.HasSuffix(name, ".test") {
		return "", &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}}
	}
	return net.JoinHostPort("127.0.0.1", port), nil
}
