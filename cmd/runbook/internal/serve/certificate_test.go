package serve

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// issue writes a certificate of the loopback address, and its key.
func issue(t testing.TB, name, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	put(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	put(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
}

func withCertificate(t testing.TB) Options {
	dir := t.TempDir()
	o := Options{Cert: dir + "/cert.pem", Key: dir + "/key.pem"}
	issue(t, "first", o.Cert, o.Key)
	return o
}

func trusting() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

func beginTLS(t testing.TB, addr string) reader {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	raw.(*net.TCPConn).SetReadBuffer(64 << 10)
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	t.Cleanup(func() { raw.Close() })
	io.WriteString(c, "GET /free/linux-64/large-1-0.conda HTTP/1.1\r\nHost: x\r\n\r\n")
	a, err := http.ReadResponse(bufio.NewReaderSize(c, 4<<10), nil)
	if err != nil || a.StatusCode != 200 {
		t.Fatal(a, err)
	}
	return reader{c, a.Body}
}

// A certificate is shown that was put in the place of another; one that cannot be used is not, and that is said.
func TestCertificate(t *testing.T) {
	var ahead atomic.Int64
	o := withCertificate(t)
	o.Dir, o.Now = channel(t), func() time.Time { return time.Now().Add(time.Duration(ahead.Add(int64(time.Minute)))) }
	s := start(t, o, 0)
	shown := func() string {
		t.Helper()
		c, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if have := shown(); have != "first" {
		t.Errorf("got %q", have)
	}
	issue(t, "second", o.Cert, o.Key)
	if have := shown(); have != "second" {
		t.Errorf("got %q, want the new one", have)
	}
	put(t, o.Key, "no key")
	if have := shown(); have != "second" || !strings.Contains(s.told.String(), "what it was before stays in force") {
		t.Errorf("got %q, told %q", have, s.told)
	}
	issue(t, "third", o.Cert, o.Key)
	if have := shown(); have != "third" {
		t.Errorf("got %q after it was mended", have)
	}
	if have := ask(t, trusting(), "GET", s.url+"/free/linux-64/b-1-0.conda"); have.body != "package b" {
		t.Errorf("got %+v", have)
	}
	if _, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if have := raw(t, s.addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); have.code != 400 {
		t.Errorf("got %d without TLS", have.code)
	}
	if _, err := New(Options{Dir: o.Dir, Cert: o.Key, Key: o.Cert}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v of files that are swapped", err)
	}
}
