package serve

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// What the lane answers is what net/http would have written: a field that the lane leaves to it makes the difference.
func TestLane(t *testing.T) {
	dir, _, data := large(t, 3*small)
	put(t, dir+"/free/linux-64/empty-1-0.conda", "")
	put(t, dir+"/free/linux-64/most-1-0.conda", string(data[:small]))
	s := start(t, Options{Dir: dir, Now: later}, 0)
	tag := ask(t, http.DefaultClient, "GET", s.url+"/free/linux-64/b-1-0.conda").header.Get("ETag")
	for _, fields := range []string{"", "Range: bytes=2-4", "Range: bytes=-1", "Range: bytes=1000000-", "Range: bytes=x", "If-None-Match: " + tag, "If-Match: \"x\"", "Accept: text/html",
		"Connection: keep-alive", "if-none-match: W/\"x\", *"} {
		for _, target := range []string{"b-1-0.conda", "large-1-0.conda", "most-1-0.conda", "empty-1-0.conda", "none-1-0.conda", "a-1!2+x-0.tar.bz2", "a-1%212%2Bx-0.tar.bz2", "repodata.json",
			"../noarch/repodata.json", "../../noarch/repodata.json", "%2e%2e/x.json", "b-1-0.conda?x=y.json", "shards/00.msgpack.zst", "%00.json"} {
			for _, method := range []string{"GET", "HEAD"} {
				head := method + " /free/linux-64/" + target + " HTTP/1.1\r\nHost: x\r\n"
				if fields != "" {
					head += fields + "\r\n"
				}
				if (&plain{header: http.Header{}}).read([]byte(head+"\r\n")) == 0 {
					t.Fatalf("%q is not for the lane", head)
				}
				have, want := rawAll(t, s.addr, head+"\r\n"), rawAll(t, s.addr, head+"TE: trailers\r\n\r\n")
				if len(have) != 1 || len(want) != 1 {
					t.Fatalf("%q: got %d answers, net/http %d", head, len(have), len(want))
				}
				if h, w := told(t, have[0]), told(t, want[0]); h != w {
					t.Errorf("%q: got\n%s, net/http writes\n%s", head, h, w)
				}
			}
		}
	}
}

// told is an answer without its time.
func told(t *testing.T, a got) string {
	if a.header.Get("Date") == "" {
		t.Errorf("no date: %v", a.header)
	}
	a.header.Del("Date")
	var text bytes.Buffer
	a.header.Write(&text)
	return http.StatusText(a.code) + "\n" + text.String() + a.body
}

// What is not plain, in any way, goes over to net/http, also after requests that were answered; nothing of it is lost.
func TestLaneLeft(t *testing.T) {
	s := start(t, Options{Dir: channel(t), Now: later}, 0)
	const plain = "GET /free/linux-64/b-1-0.conda HTTP/1.1\r\nHost: x\r\n\r\n"
	for next, codes := range map[string][]int{
		plain: {200, 200},
		"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + plain:                                                       {200, 200, 200},
		"GET /free/linux-64/b-1-0.conda HTTP/1.1\r\n\r\n":                                                        {200, 400}, // no host
		strings.Replace(plain, "Host: x", "Host: x\r\nHost: y", 1):                                               {200, 400},
		strings.Replace(plain, "Host: x", "Host: x y", 1):                                                        {200, 400},
		strings.Replace(plain, "Host: x", "Host: x\r\nA b: c", 1):                                                {200, 400},
		strings.Replace(plain, "Host: x", "Host: x\r\nA: \x01", 1):                                               {200, 400},
		strings.Replace(plain, "1.1", "1.0", 1):                                                                  {200, 200},
		strings.Replace(plain, "GET", "POST", 1):                                                                 {200, 405},
		strings.Replace(plain, "Host: x", "Host: x\r\nConnection: close", 1) + plain:                             {200, 200},
		strings.Replace(plain, "Host: x", "Host: x\r\nContent-Length: 3", 1) + "abc":                             {200, 200},
		strings.Replace(plain, "Host: x", "Host: x\r\nTransfer-Encoding: chunked", 1) + "0\r\n\r\n":              {200, 200},
		strings.Replace(plain, "Host: x", "Host: x\r\nX: "+strings.Repeat("x", 8000), 1):                         {200, 200},
		strings.Replace(plain, "Host: x", "Host: x\r\nRange: bytes=0-0,2-2", 1):                                  {200, 206},
		strings.Replace(plain, "Host: x", "Host: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked", 1) + "x": {200, 200},
	} {
		var have []int
		for _, a := range rawAll(t, s.addr, plain+next) {
			have = append(have, a.code)
		}
		if len(have) != len(codes) {
			t.Errorf("%.200q: got %v, want %v", next, have, codes)
			continue
		}
		for i := range codes {
			if have[i] != codes[i] {
				t.Errorf("%.200q: got %v, want %v", next, have, codes)
			}
		}
	}
}

// The kernel's walk below a directory, and the one that package os does where the kernel has none, come to the same end.
func TestOpenFile(t *testing.T) {
	dir := channel(t)
	outside := tree(t, map[string]string{"secret": "outside"})
	for name, to := range map[string]string{"free/out": outside + "/secret", "free/up": "../..", "free/in": "linux-64/b-1-0.conda", "free/loop": "loop", "free/self": "../free/linux-64", "free/fd": "/proc/self/cwd",
		"free/state": ".runbook-mirror/linux-64.state", "free/states": ".runbook-mirror"} {
		if err := os.Symlink(to, dir+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	pipe(t, dir+"/free/pipe")
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	top, err := root.Open(".")
	if err != nil {
		t.Fatal(err)
	}
	defer top.Close()
	for name, want := range map[string]string{
		"free/linux-64/b-1-0.conda": "package b", "free/in": "package b", "free/self/b-1-0.conda": "package b", "free/self/../linux-64/b-1-0.conda": "package b",
		"free/state": "", "free/states": "", "free/states/linux-64.state": "", "free/out": "", "free/up": "", "free/up/x": "", "free/loop": "", "free/fd": "", "free/pipe": "", "free/none": "", "free/in/x": "", "../x": "", "/etc/passwd": "",
	} {
		have, haveErr := openFile(root, top, name)
		fd, walkErr := walk(root, name)
		if walkErr == nil && leadsToHidden(top, fd) {
			syscall.Close(fd)
			walkErr = fs.ErrNotExist
		}
		other := &file{fd: fd}
		if (haveErr == nil) != (want != "") || (walkErr == nil) != (want != "") {
			t.Errorf("%q: got %v and %v, want %q", name, haveErr, walkErr, want)
		}
		for _, err := range []error{haveErr, walkErr} {
			if err != nil && !isAbsent(err) && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%q: %v is not taken for absence", name, err)
			}
		}
		for f, err := range map[*file]error{have: haveErr, other: walkErr} {
			if err != nil {
				continue
			}
			if text, err := io.ReadAll(f); err != nil || string(text) != want {
				t.Errorf("%q: got %q %v, want %q", name, text, err, want)
			}
			f.Close()
		}
	}
}
