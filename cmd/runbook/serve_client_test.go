package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/client"
	"runbook/runtime/host/sample"
)

// serving runs the program as a server until the test ends, and returns where it listens.
func serving(t testing.TB, args ...string) (url string) {
	t.Helper()
	url, _ = serverProcess(t, args...)
	return url
}

func serverProcess(t testing.TB, args ...string) (url string, pid int) {
	t.Helper()
	c := exec.Command(binary(t), append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	out, err := c.StdoutPipe()
	if err == nil {
		c.Stderr = c.Stdout
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), " at "); ok {
			return strings.TrimSuffix(url, "/"), c.Process.Pid
		}
		t.Log(lines.Text())
	}
	t.Fatal("it does not say where it listens")
	return "", 0
}

// certified writes a certificate for the loopback address that a client may trust as an authority, and its key.
func certified(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "here"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"jail"}}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = dir+"/cert.pem", dir+"/key.pem"
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// A real channel of 2016, mirrored and served by the program: a conda client solves, fetches and verifies, in plain, with
// a token in the URL, and through TLS; without a token it gets nothing, and no token is in the log.
func TestServeClient(t *testing.T) {
	sample.Slow(t, "it runs a conda client")
	source, err := filepath.Abs("../../../shared/data/channels/conda-forge-2016")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(source); err != nil {
		t.Skip("NOT TESTED: no conda data in " + source)
	}
	solver := client.NewSolver(t)
	m := publish(t, 0, []string{source}, []string{source})
	dir := filepath.Dir(m.dir)
	state := t.TempDir()
	token, err := exec.Command(binary(t), "serve", "token", "acc", "--tokens", state+"/tokens").Output()
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimSpace(string(token))
	cert, key := certified(t)
	t.Setenv("NODE_EXTRA_CA_CERTS", cert)
	log := state + "/access.log"
	plain := serving(t, dir, "--access-log", log)
	guarded := serving(t, dir, "--access-log", log, "--tokens", state+"/tokens")
	secure := serving(t, dir, "--access-log", log, "--tokens", state+"/tokens", "--cert", cert, "--key", key)
	for name, c := range map[string]struct {
		channel, specs string
		packages       int
	}{
		"plain":            {plain + "/acc", "readline zlib", 3},
		"no solution":      {plain + "/acc", "jupyter_client", 0}, // python is not in it
		"token":            {guarded + "/t/" + secret + "/acc", "readline", 2},
		"no token":         {guarded + "/acc", "readline", 0},
		"TLS and token":    {secure + "/t/" + secret + "/acc", "readline", 2},
		"TLS, wrong token": {secure + "/t/" + secret[1:] + "/acc", "readline", 0},
	} {
		found, err := solver.Solve(client.Query{Channels: []string{c.channel}, Platforms: []string{"linux-64", "noarch"}, Specs: strings.Fields(c.specs)})
		if err != nil {
			t.Fatal(err)
		}
		if len(found.Packages) != c.packages || (found.Error == "") != (c.packages > 0) {
			t.Errorf("%s: got %d packages, want %d: %s", name, len(found.Packages), c.packages, found.Error)
		}
		for _, p := range found.Packages {
			if p.Differs != "" || p.Got == "" {
				t.Errorf("%s: %s is not what its record says: %s", name, p.URL, p.Differs)
			}
		}
	}
	a, err := http.Head(plain + "/acc/linux-64/readline-6.2-0.tar.bz2")
	if err != nil {
		t.Fatal(err)
	}
	record := readIndex(t, source+"/linux-64/repodata.json").Packages["readline-6.2-0.tar.bz2"]
	if tag := a.Header.Get("ETag"); !strings.HasPrefix(tag, `"md5-`) || !strings.Contains(string(record), tag[5:len(tag)-1]) {
		t.Errorf("got the tag %s, want the digest of %s", tag, record)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), secret[1:]) || !strings.Contains(string(text), `"path":"/t/***/acc/linux-64/readline-6.2-0.tar.bz2","status":200`) {
		t.Errorf("the log has a token, or not what was fetched:\n%s", text)
	}
	t.Logf("%d requests", strings.Count(string(text), "\n"))
}
