package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

// newTransport limits everything but the times that are the Client's. Its buffers
// are for many large files at once, its idle connections for 128 parallel requests.
func newTransport() *http.Transport {
	const parallel = 128
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, ControlContext: checkDial}
	return &http.Transport{
		Proxy:                  proxyFrom(http.ProxyFromEnvironment),
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    20 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		MaxIdleConnsPerHost:    parallel,
		MaxIdleConns:           2 * parallel,
		IdleConnTimeout:        90 * time.Second,
		ReadBufferSize:         64 << 10,
		DisableCompression:     true, // a package is what the server keeps, not what it inflates to
		OnProxyConnectResponse: checkProxy,
		HTTP2: &http.HTTP2Config{
			MaxReadFrameSize:          256 << 10,
			MaxReceiveBufferPerStream: 2 << 20,
			SendPingTimeout:           20 * time.Second, // or a dead connection would be used again and again
			PingTimeout:               20 * time.Second,
		},
	}
}

// proxyFrom asks the environment. The standard error would show the proxy's password.
func proxyFrom(env func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		u, err := env(r)
		if err != nil {
			return nil, refusal("the proxy in the environment is a malformed URL")
		}
		return u, nil
	}
}

// checkProxy makes a refusal of a proxy's no to a connection; what may pass is
// left to the transport, which makes an error of it.
func checkProxy(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode >= 500 || resp.StatusCode < 300 || worthAnotherTry(resp, nil) {
		return nil
	}
	return refusal("the proxy says no: " + StatusError(resp.StatusCode).Error())
}

// untrusted reports whether err is about who the server is.
func untrusted(err error) bool {
	var (
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
		auth   x509.UnknownAuthorityError
		name   x509.HostnameError
		cert   x509.CertificateInvalidError
	)
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &auth) || errors.As(err, &name) || errors.As(err, &cert)
}

// quiet is an error of the connection without what it quotes: that is what a
// server sent, and may be a Location with a token.
type quiet struct{ error }

func (q quiet) Error() string { return quotation.ReplaceAllString(q.error.Error(), "<data>") }
func (q quiet) Unwrap() error { return q.error }

var quotation = regexp.MustCompile(`"(?:[^"\\]|\\.)*"?`)

// A body gives up on a server that stalls or trickles. Only time spent in Read
// counts: a slow consumer is not the server's fault.
type body struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	stall  time.Duration
	timer  *time.Timer
	spent  time.Duration
	got    int
}

const leastRate = 1 << 10 // bytes a second

func newBody(ctx context.Context, cancel context.CancelCauseFunc, rc io.ReadCloser, stall time.Duration) *body {
	timer := time.AfterFunc(stall, func() { cancel(fmt.Errorf("got no data for %v", stall)) })
	timer.Stop()
	return &body{ReadCloser: rc, ctx: ctx, cancel: cancel, stall: stall, timer: timer}
}

func (b *body) Read(p []byte) (int, error) {
	start := time.Now()
	b.timer.Reset(b.stall)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	b.spent, b.got = b.spent+time.Since(start), b.got+n
	if window := 5 * b.stall; b.spent >= window {
		if float64(b.got) < window.Seconds()*leastRate {
			b.cancel(fmt.Errorf("got %d bytes in %v", b.got, window))
		}
		b.spent, b.got = 0, 0
	}
	if cause := context.Cause(b.ctx); cause != nil && err != io.EOF {
		return n, cause
	}
	return n, err
}

// hurry gives what is still to come d to arrive.
func (b *body) hurry(d time.Duration) {
	b.timer.Stop()
	b.stall = min(b.stall, d)
	stop := time.AfterFunc(d, func() { b.cancel(errHurried) })
	context.AfterFunc(b.ctx, func() { stop.Stop() })
}

var errHurried = errors.New("took too long for what nobody needs")

func (b *body) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
