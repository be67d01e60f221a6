package serve

import (
	"bufio"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rawAll sends what it is given on a connection of its own, and reads all answers until the server ends it.
func rawAll(t testing.TB, addr, text string) (all []got) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, text) // of which it may refuse the rest
	c.(*net.TCPConn).CloseWrite()
	method, _, _ := strings.Cut(text, " ")
	for r := bufio.NewReader(c); ; {
		a, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Fatalf("the server neither answers nor ends the connection: %q", text)
			}
			return all
		}
		body, _ := io.ReadAll(a.Body)
		all = append(all, got{a.StatusCode, a.Header, string(body)})
	}
}

// harmful are pieces of which requests are made that mean no good.
var harmful = []string{"/", "//", ".", "..", "...", "%2e", "%2E%2e", "%2f", "%5c", "\\", "%00", "\x00", "%", "%zz", "%ff", "\xff", "é", "~", "*", "?", "#", ";", "@", ":", " ",
	"free", "linux-64", "repodata.json", "b-1-0.conda", "t", "t/", "/-/", "-", "?q=", "&q=", "&from=", "?from=-1", "free/-/b/1", "-/style.css", "-/page.js", "<script>", "%3Cscript%3E", "a b", "+", "up", "out-1-0.conda", ".runbook-mirror", "linux-64.state", "static/extras/", "etc/passwd", "http://x", "\r", "\t",
	"b-1-0.conda/", "a-1!2+x-0.tar.bz2", "noarch", "metrics", "healthz", "secret", "loop", "pipe", "-1", "0", "9", "99999999999999999999", "bytes=", ",", "-", "W/", "\"", "sha256-", "Basic ", "Bearer ", "OmE=",
	strings.Repeat("a", 300), strings.Repeat("/a", 400), strings.Repeat("../", 40)}

// request makes one of pieces that choose says.
func request(choose func(int) int) string {
	some := func(most int) (text string) {
		for range choose(most) {
			text += harmful[choose(len(harmful))]
		}
		return text
	}
	method := []string{"GET", "GET", "GET", "HEAD", "POST", "get", "CONNECT", "", "OPTIONS", "TRACE", "PRI"}[choose(11)]
	target := []string{"/", "", "http://h/", "/free/linux-64/", "/free/", "/t/", "/static/extras/", "*", "/free/-/", "/free/?q="}[choose(10)] + some(6)
	version := []string{"HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", "", "X"}[choose(8)]
	text := method + " " + target + " " + version + "\r\nHost: x\r\nConnection: close\r\n"
	for range choose(4) {
		name := []string{"Range", "If-Range", "If-None-Match", "If-Match", "If-Modified-Since", "Authorization", "Content-Length", "Transfer-Encoding", "Host", "Expect", "Upgrade", "X-" + some(2), "Accept-Encoding", "Referer"}[choose(14)]
		text += name + ": " + some(4) + "\r\n"
	}
	return text + "\r\n" + some(2)
}

// besieged is a server of a mirror with what a careless person might leave in it, beside what nobody may see.
func besieged(t testing.TB) (*running, func(t testing.TB, text string)) {
	dir := channel(t)
	outside := tree(t, map[string]string{"secret": "OUTSIDE"})
	put(t, dir+"/free/.runbook-mirror/linux-64.state", "OUTSIDE")
	put(t, filepath.Dir(dir)+"/secret", "OUTSIDE")
	for name, to := range map[string]string{"free/linux-64/out-1-0.conda": outside + "/secret", "free/up": "../..", "up": "..", "loop": "loop", "free/secret": "../../secret"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	pipe(t, dir+"/free/pipe")
	extras := tree(t, map[string]string{"repodata.json": "an installer"})
	if err := os.Symlink(outside+"/secret", extras+"/secret"); err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{Dir: dir, Extras: extras, Now: later}, 0)
	return s, func(t testing.TB, text string) {
		t.Helper()
		for _, a := range rawAll(t, s.addr, text) {
			if strings.Contains(a.body, "OUTSIDE") {
				t.Errorf("%q: got a file from outside", text)
			}
			if a.code >= 500 && a.code != 501 && a.code != 505 { // which net/http says of what it does not know
				t.Errorf("%q: got %d", text, a.code)
			}
		}
		if told := s.told.String(); strings.Contains(told, "panic") {
			t.Fatalf("%q: %s", text, told)
		}
	}
}

// Malformed requests: no panic, no file from outside, and no answer that blames the server.
func TestMalformed(t *testing.T) {
	_, check := besieged(t)
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	r := rand.New(rand.NewPCG(10, 2026))
	for range n {
		check(t, request(r.IntN))
	}
}

// FuzzRequest has requests made of bytes: each chooses a piece.
func FuzzRequest(f *testing.F) {
	_, check := besieged(f)
	f.Add([]byte{0, 0, 3, 4, 2, 0})
	f.Add([]byte{0, 3, 5, 30, 31, 32, 0, 2, 0, 3, 50, 51})
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		check(t, string(text)) // as it is
		check(t, request(func(most int) (n int) {
			if len(text) > 0 {
				n, text = int(text[0])%most, text[1:]
			}
			return n
		}))
	})
}
