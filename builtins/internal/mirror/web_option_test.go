package mirror

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"runbook/runtime/fetch"
	"runbook/runtime/fetch/fetchtest"
	"runbook/runtime/host"
)

// A run in which nothing has changed fetches nothing: it asks for each index whether it is still the same. What the
// filters say can change meanwhile, and then counts.
func TestUnchangedOverHTTP(t *testing.T) {
	t.Parallel()
	r := newMemoryRig(t)
	r.channel("/src", "linux-64", "a", "b")
	r.channel("/src", "noarch", "c")
	r.put("/src/channeldata.json", `{"subdirs": ["linux-64", "noarch"]}`)
	r.put("/src/linux-64/repodata.json.zst", zstd(t, r.get("/src/linux-64/repodata.json")))
	s, m, run := r.served(t)
	if n, err := run(); n == 0 || err != nil {
		t.Fatal(err)
	}
	for _, q := range s.Requests() {
		if q.Path == "/linux-64/repodata.json" {
			t.Error("the larger form was asked for, too")
		}
	}
	s.Forget()
	if n, err := run(); n != 0 || err != nil {
		t.Error(n, err)
	}
	var asked []string
	for _, q := range s.Requests() {
		if asked = append(asked, q.Path); strings.Contains(q.Path, "64/repodata") && q.Header.Get("If-None-Match") == "" ||
			strings.Contains(q.Path, "-1.0-0") {
			t.Errorf("asked for %s with %v", q.Path, q.Header)
		}
	}
	if len(asked) > 4 { // channeldata, an index each, and the form that noarch lacks
		t.Errorf("asked for %v", asked)
	}
	m.Config.Blacklist = []string{"a"}
	if n, err := run(); n == 0 || err != nil || r.complete("linux-64") != 1 {
		t.Errorf("with another filter: %d changes, %v", n, err)
	}
	r.channel("/src", "noarch", "c", "d")
	s.Forget()
	if n, err := run(); n == 0 || err != nil || r.complete("noarch") != 2 || s.Count("*-1.0-0.tar.bz2") != 1 {
		t.Errorf("with one package more: %d changes, %v, %d packages fetched", n, err, s.Count("*-1.0-0.tar.bz2"))
	}
}

// Servers without tags are asked by time.
func TestUnchangedByTime(t *testing.T) {
	t.Parallel()
	r := newMemoryRig(t)
	r.channel("/src", "linux-64", "a")
	r.channel("/src", "noarch", "b")
	for _, subdir := range []string{"linux-64", "noarch"} {
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(r.path("/src/"+subdir+"/repodata.json"), old, old); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	var whole []string
	url, l := r.serve(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if q.Header.Get("If-Modified-Since") == "" && strings.Contains(q.URL.Path, "repodata.json") &&
				!strings.HasSuffix(q.URL.Path, ".zst") {
				whole = append(whole, q.URL.Path)
			}
			h.ServeHTTP(w, q)
		})
	})
	m := r.mirror(url)
	m.Connections = 1
	m.Config.Platforms = []string{"linux-64"}
	if n, err := r.run(m, l); n == 0 || err != nil {
		t.Fatal(err)
	}
	whole = nil
	if n, err := r.run(m, l); n != 0 || err != nil || len(whole) > 0 {
		t.Errorf("got %d changes, %v, asked for %v", n, err, whole)
	}
}

// Not more requests than allowed are under way at once.
func TestConnections(t *testing.T) {
	t.Parallel()
	r := newMemoryRig(t)
	r.channel("/src", "linux-64", letters(24)...)
	s, m, run := r.served(t)
	s.Fault("*-1.0-0.tar.bz2", fetchtest.After(30*time.Millisecond), fetchtest.Forever)
	p, err := m.Plan(t.Context(), r.netted(s.Client(t)))
	if err != nil || p.Report.Fetch != 24 {
		t.Fatal(err)
	}
	s.Forget()
	m.Connections = 3
	if n, err := run(); n == 0 || err != nil {
		t.Fatal(err)
	}
	packages := 0
	for _, q := range s.Requests() {
		if strings.HasSuffix(q.Path, ".tar.bz2") {
			packages++
		}
	}
	if packages != 24 || s.Most() > 8 { // indexes are asked for eight at once
		t.Errorf("%d requests for packages, %d at once", packages, s.Most())
	}
}

func (r *rig) netted(c *fetch.Client) *host.Local {
	l := r.local()
	l.Net = c.Get
	return l
}

// An authority that only this channel's servers have is trusted for them, and nobody else is.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	for kind, name := range map[fetchtest.Certificate]string{fetchtest.Good: "good", fetchtest.Expired: "expired",
		fetchtest.WrongHost: "wrong host", fetchtest.SelfSigned: "self-signed"} {
		for _, known := range []bool{true, false} {
			r := newMemoryRig(t)
			r.channel("/src", "linux-64", "a", "b")
			s := fetchtest.NewTLS(t, os.DirFS(r.path("/src")), kind)
			m := r.mirror(s.URL)
			if known {
				m.Access.CA = s.CA
			}
			c := fetch.New()
			c.Pause = time.Millisecond
			_, err := r.run(m, r.netted(c))
			good := known && kind == fetchtest.Good
			if good != (err == nil) || good && r.complete("linux-64") != 2 ||
				!good && (!strings.Contains(err.Error(), "certificate") || r.has("/dst/acc")) {
				t.Errorf("%s, known %v: got %s", name, known, advised(err))
			}
		}
	}
}

// All requests go by the proxy, and its password is nowhere to be seen.
func TestProxy(t *testing.T) {
	t.Parallel()
	r := newMemoryRig(t)
	r.channel("/src", "linux-64", "a", "b")
	s, proxy := fetchtest.New(t, os.DirFS(r.path("/src"))), fetchtest.New(t, nil)
	m := r.mirror(strings.Replace(s.URL, "127.0.0.1", "channel.test", 1)) // a name that only the proxy knows
	m.Redact = host.RedactURL
	m.Access.Proxy = strings.Replace(proxy.URL, "://", "://user:"+canary+"@", 1)
	s.Guard(canary)
	c := fetch.New()
	c.Pause, c.Tries = time.Millisecond, 2
	l := r.netted(c)
	if n, err := r.run(m, l); n == 0 || err != nil || r.complete("linux-64") != 2 {
		t.Fatal(advised(err))
	}
	if len(proxy.Requests()) != len(s.Requests()) || len(s.Leaks()) > 0 || !proxy.Requests()[0].Carries(canary) {
		t.Errorf("%d requests came to the proxy, %d to the server, %v", len(proxy.Requests()), len(s.Requests()), s.Leaks())
	}
	for _, b := range []fetchtest.Behaviour{fetchtest.Status(407), fetchtest.Status(502), fetchtest.NoHTTP(),
		fetchtest.Page()} {
		proxy.Heal()
		proxy.Fault("*", b, fetchtest.Forever)
		if _, err := r.run(m, l); err == nil || strings.Contains(advised(err), canary) ||
			!strings.Contains(advised(err), " | ") {
			t.Errorf("%s: got %s", b.Name, advised(err))
		}
	}
	m.Access.Proxy = strings.Replace(fetchtest.Refused(t), "://", "://user:"+canary+"@", 1)
	if _, err := r.run(m, l); err == nil || strings.Contains(advised(err), canary) ||
		!strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: got %s", advised(err))
	}
}
