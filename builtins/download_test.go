package builtins

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"runbook/runtime"
	"runbook/runtime/trace"
)

// pages serves texts by their path, with ETags.
func pages(texts map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, ok := texts[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"`+hexSum(text)[:8]+`"`)
		http.ServeContent(w, r, r.URL.Path, time.Time{}, strings.NewReader(text))
	}
}

func TestDownloads(t *testing.T) {
	md := md5.Sum([]byte("data"))
	sum5 := hex.EncodeToString(md[:])
	for _, test := range []struct{ args, leaves string }{
		{`URL + "/x", "/srv/x"`, "/srv/x 0644 data"},
		{`URL + "/x", "/srv/x", sha256="` + hexSum("data") + `"`, "/srv/x 0644 data"},
		{`URL + "/x", "/srv/x", sha256="` + strings.ToUpper(hexSum("data")) + `  x.tar"`, "/srv/x 0644 data"},
		{`URL + "/x", "/srv/x", md5="` + sum5 + `  *x", mode=0o600, owner="nobody"`, "/srv/x 0600 nobody:root data"},
		{`"/media/x", "/srv/x"`, "/srv/x 0644 data"},
		{`"file:///media/a%20b", "/srv/x", sha256="` + hexSum("data") + `", md5="` + sum5 + `"`, "/srv/x 0644 data"},
		{`"/media/x", "/srv/x", mode=0o755, group="adm"`, "/srv/x 0755 root:adm data"},
	} {
		m := newMachine(t, map[string]string{"/media/x": "data", "/media/a b": "data"})
		url := m.serve(pages(map[string]string{"/x": "data"}))
		_, real := m.thrice(strings.ReplaceAll(`download(`+test.args+`)`, "URL", `"`+url+`"`))
		if got := m.describe("/srv/x"); got != test.leaves || len(effects(real)) != 1 {
			t.Errorf("%s: left %q by %v", test.args, got, effects(real))
		}
	}
}

func TestDownloadAgain(t *testing.T) {
	m := newMachine(t, map[string]string{"/srv/x": "old!", "/srv/y": "data", "/media/x": "data"})
	url := m.serve(pages(map[string]string{"/x": "data"})) + "/x"
	for _, test := range []struct {
		body string
		want string
	}{
		{`download("` + url + `", "/srv/x")`, ""}, // there, and no digest to tell
		{`download("` + url + `", "/srv/x", mode=0o600)`, "meta /srv/x"},
		{`download("` + url + `", "/srv/x", sha256="` + hexSum("data") + `")`, "tree /srv"},
		{`download("` + url + `", "/srv/y", sha256="` + hexSum("data") + `")`, ""},
		{`download("/media/x", "/srv/y")`, ""}, // same bytes, other time
	} {
		_, real := m.thrice(test.body)
		if got := strings.Join(effects(real), "|"); got != test.want {
			t.Errorf("%s: effects %s, want %s", test.body, got, test.want)
		}
	}
	m.write("/media/x", "newer")
	if _, real := m.thrice(`download("/media/x", "/srv/y")`); m.read("/srv/y") != "newer" || len(effects(real)) != 1 {
		t.Errorf("holds %q after %v", m.read("/srv/y"), effects(real))
	}
}

func TestDryDownloadConnectsToNothing(t *testing.T) {
	m := newMachine(t, nil)
	url := m.serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a dry run connected") }))
	events, err := m.dry(`
download("` + url + `/t/s3cr3t/x", "/srv/x", sha256="` + hexSum("data") + `")
if not exists("/srv/x") or read("/srv/x", assume="?") != "?":
    fail("the file is not there for later steps")
copy("/srv/x", "/srv/y")`)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == trace.Op && strings.Contains(e.Target+fmt.Sprint(e.Changes), "s3cr3t") {
			t.Errorf("target shows the token: %s", eventText(e))
		}
	}
}

func TestDownloadRefuses(t *testing.T) {
	m := newMachine(t, map[string]string{"/srv/dir/x": ""})
	m.must(os.Symlink("dir", filepath.Join(m.root, "srv/link")))
	for args, want := range map[string]string{
		`"ftp://h/x", "/srv/x"`:                "want http://, https:// or file:///",
		`"x.tar", "/srv/x"`:                    "want http://",
		`"ftp://u:s3cr3t@h/x", "/srv/x"`:       "got ftp://<redacted>@h/x",
		`"file:///%zz", "/srv/x"`:              "malformed file URL",
		`"http://h/x", "x"`:                    "relative",
		`"http://h/x", "/srv/x", sha256="abc"`: "want 64 hex digits",
		`"http://h/x", "/srv/x", md5="zz"`:     "want 32 hex digits",
		`"http://h/x.tar", "/srv/dir"`:         `name the file itself: "/srv/dir/x.tar"`,
		`"http://h/x", "/srv/link"`:            "is a symbolic link",
		`"http://h/x", "/no/x"`:                `mkdir("/no")`,
		`"http://h/x", "/srv/x", owner="who"`:  `useradd("who")`,
		`"/media/x", "/srv/x"`:                 "/media/x is not there",
		`"/srv/dir", "/srv/x"`:                 "is a directory, want a file",
	} {
		m.fails("download("+args+")", want)
	}
}

// What only a real run finds out: it leaves nothing but what can be resumed.
func TestDownloadFails(t *testing.T) {
	m := newMachine(t, map[string]string{"/media/x": "data"})
	url := m.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/page":
			io.WriteString(w, "<html>please log in")
		case "/secret":
			w.WriteHeader(403)
		default:
			pages(map[string]string{"/x": "data"})(w, r)
		}
	}))
	for args, want := range map[string]string{
		`"` + url + `/gone", "/srv/x"`:                                "got status 404 Not Found | see whether the URL is right",
		`"` + url + `/secret", "/srv/x"`:                              "a user name or a token",
		`"` + url + `/page", "/srv/x"`:                                "got an HTML page, want a file",
		`"` + url + `/x", "/srv/x", sha256="` + hexSum("other") + `"`: "want " + hexSum("other") + " | compare the digest",
		`"/media/x", "/srv/x", md5="` + hexSum("other")[:32] + `"`:    "want " + hexSum("other")[:32] + " | compare the digest",
	} {
		if _, err := m.dry("download(" + args + ")"); err != nil {
			t.Errorf("%s: dry run: %v", args, err)
		}
		_, err := m.real("download(" + args + ")")
		if err == nil || !strings.Contains(err.Error()+" | "+runtime.HintOf(err), want) {
			t.Errorf("%s: got %v | %s, want %s", args, err, runtime.HintOf(err), want)
		}
		if left, _ := os.ReadDir(filepath.Join(m.root, "srv")); len(left) > 0 {
			t.Errorf("%s: left %v", args, left)
		}
	}
}

func TestDownloadWithSecretInURL(t *testing.T) {
	m := newMachine(t, nil)
	m.secrets = map[string]string{"token": "s3/cr3t"}
	var seen []string
	url := m.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.URL.EscapedPath())
		io.WriteString(w, "data")
	}))
	_, real := m.thrice(`download("` + url + `/t/" + token + "/x", "/srv/x", sha256="` + hexSum("data") + `")`)
	if !slices.Equal(seen, []string{"/t/s3%2Fcr3t/x"}) || m.read("/srv/x") != "data" {
		t.Errorf("asked for %v, got %s", seen, m.read("/srv/x"))
	}
	for _, e := range real {
		if text := fmt.Sprint(e); strings.Contains(text, "cr3t") {
			t.Errorf("emitted %s", text)
		}
	}
}

func TestDownloadVerifiesWhatSecretsWouldMask(t *testing.T) {
	m := newMachine(t, map[string]string{"/media/x": "a data b"})
	m.secrets = map[string]string{"pw": "data"}
	m.thrice(`download("/media/x", "/srv/x", sha256="` + hexSum("a data b") + `")`)
	if got := m.read("/srv/x"); got != "a data b" {
		t.Errorf("holds %q", got)
	}
}
