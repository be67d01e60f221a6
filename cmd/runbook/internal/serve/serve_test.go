package serve

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A texts is what a server wrote, which goes on writing.
type texts struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *texts) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *texts) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// A running server, with what it said.
type running struct {
	*Server
	url, addr string
	log, told *texts
	end       func() int64 // which says how many requests it cut
}

// start serves o until the test ends.
func start(t testing.TB, o Options, grace time.Duration) *running {
	t.Helper()
	r := &running{log: &texts{}, told: &texts{}}
	o.AccessLog, o.Complain = r.log, func(err error) { r.told.Write([]byte(err.Error() + "\n")) }
	var err error
	if r.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var cut int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		if cut, err = r.Serve(ctx, l.(*net.TCPListener), grace); err != nil {
			t.Error(err)
		}
	}()
	r.addr, r.url = l.Addr().String(), "http://"+l.Addr().String()
	if o.Cert != "" {
		r.url = "https://" + r.addr
	}
	r.end = func() int64 { cancel(); <-done; return cut }
	t.Cleanup(func() { r.end(); r.Close() })
	return r
}

// tree makes files by their names, old enough to have tags.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		put(t, filepath.Join(dir, name), text)
	}
	return dir
}

func put(t testing.TB, name, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name+".new", []byte(text), 0o644)
	}
	if err == nil {
		err = os.Rename(name+".new", name) // as a publish does
	}
	if err != nil {
		t.Fatal(err)
	}
}

// later is a clock by which every file has settled.
func later() time.Time { return time.Now().Add(time.Minute) }

// channel is a small mirror: one account without noarch, one with.
func channel(t testing.TB) string {
	return tree(t, map[string]string{
		"free/linux-64/repodata.json":         `{"packages":{}}`,
		"free/linux-64/repodata.json.bz2":     "BZh",
		"free/linux-64/repodata.json.zst":     "zst",
		"free/linux-64/a-1!2+x-0.tar.bz2":     "package a",
		"free/linux-64/b-1-0.conda":           "package b",
		"free/linux-64/.c-1-0.conda.part":     "half of c",
		"free/linux-64/shards/00.msgpack.zst": "shard",
		"free/.runbook-mirror/linux-64.state": "nobody's business",
		"main/noarch/repodata.json":           `{}`,
		"main/win-64/repodata.json":           `{}`,
		"plan.txt":                            "not in an account",
	})
}

// A got is what a client got.
type got struct {
	code   int
	header http.Header
	body   string
}

func ask(t testing.TB, client *http.Client, method, url string, header ...string) got {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got{a.StatusCode, a.Header, string(body)}
}

// What is asked for, and what a client gets.
func TestServe(t *testing.T) {
	dir, extras := channel(t), tree(t, map[string]string{"Miniconda.sh": "#!/bin/sh", ".netrc": "password"})
	outside := tree(t, map[string]string{"secret": "outside"})
	for name, to := range map[string]string{"free/linux-64/out-1-0.conda": outside + "/secret", "free/up": "../..", "free/linux-64/in-1-0.conda": "b-1-0.conda", "abs": dir + "/main"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, Options{Dir: dir, Extras: extras, Now: later}, 0)
	browse(t, s.url+"/free/")
	for _, c := range []struct {
		ask  string // [METHOD] PATH
		code int
		has  string // in body
		kind string
	}{
		{"/free/linux-64/repodata.json", 200, `{"packages":{}}`, "application/json"},
		{"/free/linux-64/repodata.json.bz2", 200, "BZh", "application/x-bzip2"},
		{"/free/linux-64/repodata.json.zst", 200, "zst", "application/zstd"},
		{"/free/linux-64/b-1-0.conda", 200, "package b", "application/octet-stream"},
		{"/free/linux-64/a-1!2+x-0.tar.bz2", 200, "package a", "application/x-bzip2"},
		{"/free/linux-64/a-1%212%2Bx-0.tar.bz2", 200, "package a", ""},
		{"/free/linux-64/shards/00.msgpack.zst", 200, "shard", "application/zstd"},
		{"//free//linux-64/b-1-0.conda", 200, "package b", ""},
		{"/t/whatever/free/linux-64/b-1-0.conda", 200, "package b", ""},
		{"/t//free/linux-64/b-1-0.conda", 200, "package b", ""},
		{"/free/linux-64/in-1-0.conda", 200, "package b", ""},
		{"HEAD /free/linux-64/b-1-0.conda", 200, "", ""},
		{"/static/extras/Miniconda.sh", 200, "#!/bin/sh", "application/octet-stream"},
		{"/static/extras/", 200, `"./Miniconda.sh"`, "text/html; charset=utf-8"},
		{"/static/extras/.netrc", 404, "not found", ""},
		{"/static/extras/../../free/linux-64/b-1-0.conda", 404, "", ""},
		{"/static/other", 404, "", ""},

		// noarch is never missing, where there is an account
		{"/free/noarch/repodata.json", 200, `"packages":{}`, "application/json"},
		{"/main/noarch/repodata.json", 200, `{}`, ""},
		{"/free/noarch/repodata.json.zst", 404, "", ""},
		{"/free/noarch/x-1-0.conda", 404, "", ""},
		{"/none/noarch/repodata.json", 404, "", ""},
		{"/free/win-64/repodata.json", 404, "", ""},
		{"/free/linux-64/current_repodata.json", 404, "", ""},

		{"/free/linux-64/.c-1-0.conda.part", 404, "", ""},
		{"/free/.runbook-mirror/linux-64.state", 404, "", ""},
		{"/free/linux-64/out-1-0.conda", 404, "", ""},
		{"/free/up/plan.txt", 404, "", ""},
		{"/free/../main/noarch/repodata.json", 404, "", ""},
		{"/free/%2e%2e/%2e%2e/etc/passwd", 404, "", ""},
		{"/free/linux-64/b-1-0.conda%00", 404, "", ""},
		{`/free/linux-64/..%5c..%5cx`, 404, "", ""},
		{"/free/linux-64/b-1-0.conda/", 404, "", ""},
		{"/free/linux-64/b-1-0.conda/x", 404, "", ""},
		{"/plan.txt", 404, "", ""},
		{"/abs/noarch/repodata.json", 404, "", ""},
		{"/" + strings.Repeat("a", 300), 404, "", ""},

		{"/", 200, `<a href="./free/">free</a>`, "text/html; charset=utf-8"},
		{"/free", 200, `<a href="./free/linux-64/"`, ""},
		{"/free/", 200, `<a href="./../free/linux-64/"`, ""},
		{"/free/linux-64/", 200, `<a href="./a-1%212&#43;x-0.tar.bz2"`, ""},
		{"/healthz", 200, "ok\n", ""},
		{"/metrics", 200, `runbook_serve_requests_total{code="404"}`, "text/plain; version=0.0.4; charset=utf-8"},
		{"POST /free/linux-64/repodata.json", 405, "", ""},
		{"DELETE /free/linux-64/b-1-0.conda", 405, "", ""},
		{"OPTIONS /", 405, "", ""},
	} {
		method, path, ok := strings.Cut(c.ask, " ")
		if !ok {
			method, path = "GET", c.ask
		}
		have := raw(t, s.addr, method+" "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if have.code != c.code || !strings.Contains(have.body, c.has) || c.kind != "" && have.header.Get("Content-Type") != c.kind {
			t.Errorf("%s: got %d %v %q, want %d %s %q", c.ask, have.code, have.header, have.body, c.code, c.kind, c.has)
		}
		if strings.Contains(have.body, "outside") || strings.Contains(have.body, "business") || strings.Contains(have.body, ".part") {
			t.Errorf("%s: got %q", c.ask, have.body)
		}
		if have.header.Get("X-Content-Type-Options") != "nosniff" || have.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: browsers are told nothing: %v", c.ask, have.header)
		}
		if c.code == 405 && have.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: got %v", c.ask, have.header)
		}
	}
}

// raw sends what it is given, and reads the answer.
func raw(t testing.TB, addr, text string) (have got) {
	t.Helper()
	for _, c := range rawAll(t, addr, text) {
		return c
	}
	t.Fatalf("no answer to %q", text)
	return have
}

// Part of a file, and a file that the client has: by its tag or by its time.
func TestConditions(t *testing.T) {
	dir := channel(t)
	s := start(t, Options{Dir: dir, Now: later}, 0)
	url := s.url + "/free/linux-64/b-1-0.conda"
	first := ask(t, http.DefaultClient, "GET", url)
	tag, modified := first.header.Get("ETag"), first.header.Get("Last-Modified")
	if !strings.HasPrefix(tag, `"`) || modified == "" || first.header.Get("Cache-Control") != "public, max-age=0, must-revalidate" { // nobody has verified it
		t.Fatalf("got %v", first.header)
	}
	for name, c := range map[string]struct {
		header []string
		code   int
		body   string
	}{
		"part":           {[]string{"Range", "bytes=0-6"}, 206, "package"},
		"end":            {[]string{"Range", "bytes=-1"}, 206, "b"},
		"beyond":         {[]string{"Range", "bytes=100-"}, 416, ""},
		"nonsense":       {[]string{"Range", "bytes=9-1"}, 416, ""},
		"have it":        {[]string{"If-None-Match", tag}, 304, ""},
		"have another":   {[]string{"If-None-Match", `"x"`}, 200, "package b"},
		"have it, time":  {[]string{"If-Modified-Since", modified}, 304, ""},
		"rest":           {[]string{"Range", "bytes=8-", "If-Range", tag}, 206, "b"},
		"rest of other":  {[]string{"Range", "bytes=8-", "If-Range", `"x"`}, 200, "package b"},
		"only that":      {[]string{"If-Match", `"x"`}, 412, ""},
		"index by range": {[]string{"Range", "bytes=0-0,2-2"}, 206, "package/"},
	} {
		have := ask(t, http.DefaultClient, "GET", url, c.header...)
		if have.code != c.code || c.code < 300 && len(c.header) > 0 && name != "index by range" && have.body != c.body {
			t.Errorf("%s: got %d %q, want %d %q", name, have.code, have.body, c.code, c.body)
		}
	}
	put(t, dir+"/free/linux-64/b-1-0.conda", "package B")
	again := ask(t, http.DefaultClient, "GET", url, "If-None-Match", tag)
	if again.code != 200 || again.body != "package B" || again.header.Get("ETag") == tag {
		t.Errorf("got %d %q %v of what was replaced", again.code, again.body, again.header)
	}
	index := ask(t, http.DefaultClient, "GET", s.url+"/free/linux-64/repodata.json")
	if index.header.Get("Cache-Control") != "public, max-age=0, must-revalidate" {
		t.Errorf("got %v of an index", index.header)
	}
}

// A file that changed a moment ago may change again without showing it: then nothing may be kept by its tag or time.
func TestUnsettled(t *testing.T) {
	s := start(t, Options{Dir: channel(t)}, 0)
	have := ask(t, http.DefaultClient, "GET", s.url+"/free/linux-64/b-1-0.conda")
	if have.header.Get("ETag") != "" || have.header.Get("Last-Modified") != "" {
		t.Errorf("got %v", have.header)
	}
}

// What cannot be served is said at once.
func TestNoMirror(t *testing.T) {
	dir := channel(t)
	for of, want := range map[string]string{
		t.TempDir():                  "is no mirror",
		dir + "/free":                "is one account",
		dir + "/main":                "is one account",
		dir + "/none":                "no such file or directory",
		dir + "/plan.txt":            "not a directory",
		dir + "/free/linux-64":       "is no mirror",
		dir + "/free/linux-64/../..": "",
	} {
		s, err := New(Options{Dir: of})
		if err == nil {
			s.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", of, err, want)
		}
	}
}

// Requests have bodies that nobody reads: they cost nothing, and the connection ends.
func TestBodies(t *testing.T) {
	s := start(t, Options{Dir: channel(t), Now: later}, 0)
	began := time.Now()
	all := rawAll(t, s.addr, "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nGET /free HTTP/1.1\r\nHost: x\r\n\r\n")
	if len(all) != 1 || all[0].code != 200 || time.Since(began) > 5*time.Second {
		t.Errorf("got %v after %v", all, time.Since(began))
	}
}
