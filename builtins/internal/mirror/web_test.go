package mirror

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"runbook/builtins/internal/mirror/channel"
	"runbook/runtime/fetch"
	"runbook/runtime/host"
)

// serve serves /src over HTTP and returns a machine that can ask it.
func (r *rig) serve(wrap func(http.Handler) http.Handler) (string, *host.Local) {
	var h http.Handler = http.FileServer(http.Dir(r.path("/src")))
	if wrap != nil {
		h = wrap(h)
	}
	s := httptest.NewServer(h)
	r.Cleanup(s.Close)
	c := fetch.New()
	c.Pause = time.Millisecond
	l := r.local()
	l.Net = c.Get
	return s.URL, l
}

func TestMirrorFromAServer(t *testing.T) {
	for _, data := range []string{"", `{"channeldata_version":1,"subdirs":["linux-64","noarch"]}`} {
		r := newRig(t)
		r.channel("/src", "linux-64", "a", "b")
		if data != "" {
			r.put("/src/channeldata.json", data)
		}
		url, h := r.serve(nil)
		m := r.mirror(url)
		if n, err := r.run(m, host.NewOverlay(h, host.Owner{})); n == 0 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := r.run(m, h); n == 0 || err != nil || r.complete("linux-64")+r.complete("noarch") != 2 {
			t.Fatal(n, err)
		}
		if entries, _ := os.ReadDir(r.path("/dst/acc")); len(entries) != 4 {
			t.Error("got", entries)
		}
		if n, err := r.run(m, h); n != 0 || err != nil {
			t.Error("second run:", n, err)
		}
	}
}

func TestServersThatFail(t *testing.T) {
	var ranges []string
	gone := func(name string, status int) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, name) {
					w.WriteHeader(status)
					return
				}
				if strings.Contains(r.URL.Path, ".tar.bz2") {
					ranges = append(ranges, r.Header.Get("Range"))
				}
				h.ServeHTTP(w, r)
			})
		}
	}
	for _, c := range []struct {
		name   string
		status int
		want   string
	}{
		{"a-1.0-0.tar.bz2", 404, "1 package could not be mirrored:\nlinux-64/a-1.0-0.tar.bz2: is listed and missing at the source"},
		{"a-1.0-0.tar.bz2", 500, "linux-64/a-1.0-0.tar.bz2: the server says 500"},
		{"a-1.0-0.tar.bz2", 204, "linux-64/a-1.0-0.tar.bz2: the server says 204"},
		{"linux-64/repodata.json", 403, "/linux-64/repodata.json: the server says 403"},
		{"channeldata.json", 500, "the server says 500"},
	} {
		r := newRig(t)
		r.channel("/src", "linux-64", "a", "b")
		url, h := r.serve(gone(c.name, c.status))
		if _, err := r.run(r.mirror(url), h); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %d: got %v", c.name, c.status, err)
		}
		if r.has("/dst/acc/linux-64/repodata.json") != strings.HasPrefix(c.name, "a-") {
			t.Errorf("%s %d: an index was published, or none beside a bad package", c.name, c.status)
		}
	}
	if len(ranges) == 0 {
		t.Error("the other package was not asked for")
	}
}

// Servers of files have strong ETags; with one, the rest of a partial file is asked for.
func TestResumeFromAServer(t *testing.T) {
	var got []string
	r := newRig(t)
	url, h := r.serve(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if strings.HasSuffix(req.URL.Path, ".tar.bz2") {
				w.Header().Set("ETag", `"x"`)
				got = append(got, req.Method+" "+req.Header.Get("Range"))
			}
			h.ServeHTTP(w, req)
		})
	})
	r.channel("/src", "noarch", "a")
	r.put("/dst/acc/noarch/.a-1.0-0.tar.bz2.part", r.get("/src/noarch/a-1.0-0.tar.bz2")[:1000])
	if _, err := r.run(r.mirror(url), h); err != nil || r.complete("noarch") != 1 {
		t.Fatal(err)
	}
	if s := strings.Join(got, ", "); s != "HEAD , GET bytes=1000-" {
		t.Errorf("got %s", s)
	}
}

func TestLocate(t *testing.T) {
	s, err := channel.Open("https://u:p@x.org/t/T/c/", nil, channel.Access{BaseURLs: []string{"https://files.org"}})
	if err != nil {
		t.Fatal(err)
	}
	for base, want := range map[string]string{
		"":                            "https://u:p@x.org/t/T/c/linux-64/f",
		"https://x.org/other/":        "https://u:p@x.org/other/f",
		"https://X.org/c":             "https://u:p@x.org/c/f",
		"/other":                      "https://u:p@x.org/other/f",
		"../../files/linux-64":        "https://u:p@x.org/t/T/files/linux-64/f",
		"../../../../../..":           "https://u:p@x.org/f",
		"https://files.org/c":         "https://files.org/c/f",
		"https://evil.org/c":          "",
		"https://files.org@evil.org/": "",
		"https://u@files.org/":        "",
		"https://files.org:8443/":     "",
		"http://u:p@x.org/c":          "",
		"ftp://u:p@x.org/c":           "",
		"file:///etc":                 "",
		"javascript:alert(1)":         "https://u:p@x.org/t/T/c/linux-64/javascript:alert(1)/f",
		"//evil.org/c":                "",
		"/c?x=":                       "",
		"https://u:p@x.org.evil.org/": "",
	} {
		got, err := s.Locate("linux-64", base, "f")
		if got != want && err == nil || (want == "") != (err != nil) {
			t.Errorf("%s: got %s, %v", base, got, err)
		}
	}
}

// No word of a token reaches an error.
func TestTokensStayHidden(t *testing.T) {
	r := newRig(t)
	m := r.mirror("https://u:sesame@127.0.0.1:1/t/sesame/c?sesame")
	m.Redact = host.RedactURL
	h := r.local()
	h.Net = func(context.Context, host.Request) (*host.Response, error) { return nil, errors.New("refused") }
	if _, err := r.run(m, h); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Error(err)
	}
}
