package serve

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// guarded is a server of accounts that need tokens, with three of them: of an account, of another, and one that somebody
// made up, for all.
func guarded(t testing.TB, ahead *atomic.Int64) (s *running, free, main, every string) {
	dir := channel(t)
	put(t, dir+"/lib/noarch/repodata.json", "{}")
	free, first, err := NewToken("free")
	if err != nil {
		t.Fatal(err)
	}
	main, second, err := NewToken("main")
	if err != nil {
		t.Fatal(err)
	}
	every = "Our-Own-Secret"
	sum := sha256.Sum256([]byte(every))
	file := t.TempDir() + "/tokens"
	put(t, file, "# who may read\n\n"+first+"\n"+second+" # of the build farm\n* "+hex.EncodeToString(sum[:])+"\nlib open\n")
	o := Options{Dir: dir, Tokens: file, Now: func() time.Time { return later().Add(time.Duration(ahead.Load())) }}
	return start(t, o, 0), free, main, every
}

func basic(name, password string) []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))}
}

// Who gives which token, and what that opens. Neither log nor errors nor pages hold one.
func TestTokens(t *testing.T) {
	var ahead atomic.Int64
	s, free, main, every := guarded(t, &ahead)
	const index = "/free/linux-64/repodata.json"
	for _, c := range []struct {
		path   string
		header []string
		code   int
	}{
		{index, nil, 401}, {"/t/" + free + index, nil, 200}, {"/t/" + main + index, nil, 403}, {"/t/" + every + index, nil, 200}, {"/t/wrong" + index, nil, 401}, {"/t/" + index, nil, 401},
		{"/t/" + strings.ToUpper(free) + index, nil, 401}, {"/t/" + free + "x" + index, nil, 401}, {"/%74/" + free + index, nil, 200},
		{index, []string{"Authorization", "Bearer " + free}, 200}, {index, []string{"Authorization", "token " + free}, 200}, {index, []string{"Authorization", "Bearer " + main}, 403},
		{index, []string{"Authorization", free}, 401}, {index, []string{"Authorization", "Bearer " + free[:10]}, 401}, {index, []string{"Authorization", "Bearer"}, 401},
		{index, basic("anybody", free), 200}, {index, basic(free, ""), 200}, {index, basic("anybody", main), 403}, {index, basic("anybody", "x"), 401}, {index, basic("", ""), 401},
		{"/t/" + main + index, basic("anybody", free), 200},
		{"/none/noarch/repodata.json", nil, 401}, {"/t/" + free + "/none/noarch/repodata.json", nil, 403}, {"/t/" + every + "/none/noarch/repodata.json", nil, 404}, // who may not know does not
		{"/lib/noarch/repodata.json", nil, 200}, {"/t/wrong/lib/noarch/repodata.json", nil, 200}, {"/healthz", nil, 200}, {"/metrics", nil, 200},
		// tokens where they do not belong
		{"/free/t/" + free + "/linux-64", nil, 401}, {"/" + free + index, nil, 401}, {"/" + every + "/x", nil, 401}, {index + "?token=" + free, nil, 401}, {index, []string{"Referer", s.url + "/t/" + free + index}, 401},
		{"/t/" + free + "/t/" + every + index, nil, 403}, {index, []string{"User-Agent", "curl " + free}, 401}, {"/t/" + every + "/" + every, nil, 404}, {"/x" + free + "x", nil, 401}, {"/t/" + free, nil, 404},
		{"/t/" + free + "/.hidden", nil, 404}, {"//t/" + every + index, nil, 401}, {index, []string{"Range", "bytes=" + free}, 401}, {"/%2574/" + free + index, nil, 401}, {"/" + url.PathEscape("t/"+free) + index, nil, 200},
	} {
		have := ask(t, http.DefaultClient, "GET", s.url+c.path, c.header...)
		if have.code != c.code {
			t.Errorf("%s %v: got %d, want %d", c.path, c.header, have.code, c.code)
		}
		if c.code == 401 && have.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: got %v", c.path, have.header)
		}
		if c.code == 200 && c.path != "/healthz" && c.path != "/metrics" && !strings.HasPrefix(have.header.Get("Cache-Control"), "private") {
			t.Errorf("%s: got %v, which others may keep", c.path, have.header)
		}
	}
	raw(t, s.addr, free+" / HTTP/1.1\r\nHost: x\r\n\r\n")
	raw(t, s.addr, "GET /t/"+free+index+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nBroken "+every+"\r\n\r\n")
	for root, want := range map[string]string{"/": "lib/", "/t/" + free + "/": "free/ lib/", "/t/" + main + "/": "lib/ main/", "/t/" + every + "/": "free/ lib/ main/"} {
		var names []string
		for _, name := range []string{"free/", "lib/", "main/"} {
			if strings.Contains(ask(t, http.DefaultClient, "GET", s.url+root).body, ">"+strings.TrimSuffix(name, "/")+"<") {
				names = append(names, name)
			}
		}
		if have := strings.Join(names, " "); have != want {
			t.Errorf("%s: lists %s, want %s", root, have, want)
		}
	}
	log, told := s.log.String(), s.told.String()
	for _, token := range []string{free, main, every, base64.StdEncoding.EncodeToString([]byte("anybody:" + free))} {
		for _, said := range []string{log, told, ask(t, http.DefaultClient, "GET", s.url+"/metrics").body} {
			if i := strings.Index(strings.ToLower(said), strings.ToLower(token)); i >= 0 {
				t.Errorf("a token is told: %s", said[max(0, i-200):i+100])
			}
		}
	}
	if sum := sha256.Sum256([]byte(free)); !strings.Contains(log, `"token":"`+hex.EncodeToString(sum[:4])+`","method":"GET","path":"/t/***`+index+`","status":200`) {
		t.Errorf("the log does not say which token it was:\n%s", log)
	}
}

// A token that is taken off the list opens nothing, a new one does; a list that cannot be read changes nothing.
func TestTokensChange(t *testing.T) {
	var ahead atomic.Int64
	s, free, _, _ := guarded(t, &ahead)
	const index = "/free/linux-64/repodata.json"
	code := func(token string) int { return ask(t, http.DefaultClient, "GET", s.url+"/t/"+token+index).code }
	another, line, err := NewToken("free")
	if err != nil {
		t.Fatal(err)
	}
	if code(free) != 200 || code(another) != 401 {
		t.Fatal("the tokens are not as they were made")
	}
	put(t, s.opts.Tokens, line)
	ahead.Add(int64(time.Minute))
	if code(free) != 401 || code(another) != 200 {
		t.Errorf("got %d and %d", code(free), code(another))
	}
	for _, text := range []string{"free", "free " + another, "free " + another + " x", "free open closed"} {
		put(t, s.opts.Tokens, text)
		ahead.Add(int64(time.Minute))
		if code(another) != 200 {
			t.Errorf("%q was taken", text)
		}
	}
	if told := s.told.String(); strings.Contains(told, another) || strings.Count(told, "tokens:1: want ACCOUNT SHA256") != 4 {
		t.Errorf("told %q", told)
	}
	if err := os.Chmod(s.opts.Tokens, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Dir: s.opts.Dir, Tokens: s.opts.Tokens}); err == nil || !strings.Contains(err.Error(), "others can write it") {
		t.Errorf("got %v", err)
	}
	for _, account := range []string{"", "a b", "a/b", ".x", "#", "a\n"} {
		if _, _, err := NewToken(account); err == nil {
			t.Errorf("%q is an account", account)
		}
	}
}
