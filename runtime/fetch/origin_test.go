package fetch_test

import (
	"io"
	"strings"
	"testing"

	"runbook/runtime/fetch"
	"runbook/runtime/fetch/fetchtest"
	"runbook/runtime/host"
)

const canary = "s3cr3t"

// read gets r and reads it; what went wrong is an error of either.
func read(t *testing.T, c *fetch.Client, r host.Request) (*host.Response, string, error) {
	resp, err := c.Get(t.Context(), r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// A journey is where a redirect leads, and with what.
type journey struct{ place, to string }

func journeys() (all []journey) {
	for _, place := range []string{"basic", "user alone", "bearer", "path", "query"} {
		for _, to := range []string{"same origin", "other port", "other host", "other host, same port", "downgrade", "there and back", "nobody", "broken off"} {
			all = append(all, journey{place, to})
		}
	}
	return all
}

// request is what j begins with at a server.
func (j journey) request(at string) host.Request {
	scheme, addr, _ := strings.Cut(at, "://")
	switch j.place {
	case "basic":
		return host.Request{URL: scheme + "://user:" + canary + "@" + addr + "/start"}
	case "user alone":
		return host.Request{URL: scheme + "://" + canary + "@" + addr + "/start"}
	case "path":
		return host.Request{URL: at + "/t/" + canary + "/start"}
	case "query":
		return host.Request{URL: at + "/start?token=" + canary}
	}
	return host.Request{URL: at + "/start", Bearer: canary}
}

// Wherever a credential is and wherever a redirect leads, nothing of it arrives
// anywhere but where the caller sent it, nor in a text for people.
func TestCredentialsStayAtTheirOrigin(t *testing.T) {
	t.Parallel()
	together(journeys(), func(j journey) {
		away, home := fetchtest.New(t, nil), fetchtest.New(t, nil)
		if j.to == "downgrade" {
			home = fetchtest.NewTLS(t, nil, fetchtest.Good)
		}
		away.Guard(canary)
		for _, s := range []*fetchtest.Server{home, away} {
			s.Set("end", []byte("ok"))
		}
		port := home.URL[strings.LastIndex(home.URL, ":"):]
		target := map[string]string{
			"same origin": home.URL + "/end", "other port": away.URL + "/end", "downgrade": away.URL + "/end",
			"other host":            strings.Replace(away.URL, "127.0.0.1", "other.test", 1) + "/end",
			"other host, same port": "http://other.test" + port + "/end",
			"there and back":        away.URL + "/back", "nobody": fetchtest.Refused(t) + "/end", "broken off": away.URL + "/end",
		}[j.to]
		home.Fault("start", fetchtest.Redirect(302, target), fetchtest.Forever)
		away.Fault("back", fetchtest.Redirect(302, home.URL+"/end"), fetchtest.Forever)
		if j.to == "broken off" {
			away.Fault("end", fetchtest.Reset(), fetchtest.Forever)
		}
		_, body, err := read(t, calm(t, home), j.request(home.URL))
		fails := j.to == "downgrade" || j.to == "nobody" || j.to == "broken off"
		if (err != nil) != fails || err == nil && body != "ok" || err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%v: got %q, %v", j, body, err)
		}
		if leaks := away.Leaks(); len(leaks) > 0 {
			t.Errorf("%v: leaked %+v", j, leaks)
		}
		checkHome(t, j, home)
	})
}

// checkHome looks at what came to the server that j began at.
func checkHome(t *testing.T, j journey, home *fetchtest.Server) {
	for i, r := range home.Requests() {
		start := strings.HasSuffix(r.Path, "/start")
		header := j.place == "basic" || j.place == "user alone" || j.place == "bearer"
		want := start || header && j.to == "same origin"
		if got := r.Carries(canary); got != want || r.Header.Get("Referer") != "" || (r.Header.Get("Authorization") != "") != (header && want) {
			t.Errorf("%v: request %d to %s%s carries the credential: %v, want %v, %v", j, i, r.Host, r.Path, got, want, r.Header)
		}
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	s := fetchtest.New(t, nil)
	s.Set("f", []byte("ok"))
	c := calm(t, s)
	if _, body, err := read(t, c, host.Request{URL: s.URL + "/f", Bearer: "abc.def_-~+/="}); err != nil || body != "ok" {
		t.Errorf("got %q, %v", body, err)
	}
	if got := s.Requests()[0].Header.Get("Authorization"); got != "Bearer abc.def_-~+/=" {
		t.Errorf("got %q", got)
	}
	s.Forget()
	for name, r := range map[string]host.Request{
		"and a user": {URL: "http://user:pw@" + strings.TrimPrefix(s.URL, "http://"), Bearer: canary},
		"and a name": {URL: "http://user@" + strings.TrimPrefix(s.URL, "http://"), Bearer: canary},
		"line end":   {URL: s.URL, Bearer: canary + "\n"},
		"header":     {URL: s.URL, Bearer: canary + "\r\nX: y"},
		"space":      {URL: s.URL, Bearer: canary + " x"},
		"not ASCII":  {URL: s.URL, Bearer: canary + "é"},
	} {
		if _, _, err := read(t, c, r); err == nil || !strings.Contains(err.Error(), "bearer token") || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n := len(s.Requests()); n > 0 {
		t.Errorf("got %d requests", n)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	s := fetchtest.New(t, nil)
	s.Set("f", []byte("ok"))
	c := calm(t, s)
	first, _, err := read(t, c, host.Request{URL: s.URL + "/f"})
	if err != nil || first.Modified != "Wed, 01 Jan 2020 00:00:00 GMT" || first.ETag == "" {
		t.Fatalf("got %+v, %v", first, err)
	}
	for _, test := range []struct {
		name   string
		r      host.Request
		status int
		sent   string // ETag, then time
	}{
		{"tag", host.Request{ETag: first.ETag}, 304, first.ETag + "|"},
		{"time", host.Request{Since: first.Modified}, 304, "|" + first.Modified},
		{"both", host.Request{ETag: first.ETag, Since: first.Modified}, 304, first.ETag + "|" + first.Modified},
		{"other tag, same time", host.Request{ETag: `"x"`, Since: first.Modified}, 200, `"x"|` + first.Modified},
		{"older", host.Request{Since: "Tue, 31 Dec 2019 00:00:00 GMT"}, 200, "|Tue, 31 Dec 2019 00:00:00 GMT"},
		{"no time", host.Request{Since: "yesterday"}, 200, "|yesterday"},
		{"what cannot be sent", host.Request{Since: "a\x00b", ETag: "\"a\nb\""}, 200, "|"},
		{"a rest", host.Request{ETag: first.ETag, Since: first.Modified, Offset: 1}, 206, "|"},
		{"a rest of nothing known", host.Request{Since: first.Modified, Offset: 1}, 200, "|"},
		{"head", host.Request{ETag: first.ETag, Head: true}, 304, first.ETag + "|"},
	} {
		s.Forget()
		test.r.URL = s.URL + "/f"
		resp, _, err := read(t, c, test.r)
		h := s.Requests()[0].Header
		if err != nil || resp.Status != test.status || h.Get("If-None-Match")+"|"+h.Get("If-Modified-Since") != test.sent {
			t.Errorf("%s: got %+v, %v, sent %v", test.name, resp, err, h)
		}
		want := first.Modified // Go's server does not repeat it with 304
		if test.status == 304 {
			want = test.r.Since
		}
		if err == nil && (resp.ETag != first.ETag || resp.Modified != want) {
			t.Errorf("%s: got %+v", test.name, resp)
		}
		if h.Get("Cache-Control")+h.Get("Pragma") != "" {
			t.Errorf("%s: sent %v", test.name, h)
		}
	}
	s.Forget()
	if _, _, err := read(t, c, host.Request{URL: s.URL + "/f", Fresh: true}); err != nil {
		t.Error(err)
	}
	if h := s.Requests()[0].Header; h.Get("Cache-Control") != "no-cache" || h.Get("Pragma") != "no-cache" {
		t.Errorf("fresh: sent %v", h)
	}
}
