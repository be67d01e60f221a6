package mirror

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"runbook/runtime/fetch/fetchtest"
)

// A voyage is a way in which requests come to another server than the channel's.
type voyage struct {
	name string
	do   func(s *faultScene, away *fetchtest.Server)
	n    int    // packages that are there afterwards
	asks bool   // the other server is asked
	want string // part of the error
}

const packageA, indexA = "/linux-64/a-1.0-0.tar.bz2", "/linux-64/repodata.json.zst"

// aims has answers to name point elsewhere.
func (s *faultScene) aims(name, to string) {
	s.server.Fault(s.at+name, fetchtest.Redirect(302, to), fetchtest.Forever)
}

// based has the index of linux-64 say that its packages are elsewhere.
func (s *faultScene) based(url string) {
	name := "/src" + s.at + "/linux-64/repodata.json"
	text := strings.Replace(s.get(name), `"subdir": "linux-64"`,
		fmt.Sprintf(`"subdir": "linux-64", "base_url": %q`, url), 1)
	s.put(name, text)
	s.put(name+".zst", zstd(s, text))
}

var voyages = []voyage{
	{"package", func(s *faultScene, away *fetchtest.Server) { s.aims(packageA, away.URL+packageA) }, 4, true, ""},
	{"index", func(s *faultScene, away *fetchtest.Server) { s.aims(indexA, away.URL+indexA) }, 4, true, ""},
	{"channeldata", func(s *faultScene, away *fetchtest.Server) {
		s.aims("/channeldata.json", away.URL+"/channeldata.json")
	}, 4, true, ""},
	{"back again", func(s *faultScene, away *fetchtest.Server) {
		s.aims(packageA, away.URL+"/back")
		s.server.Set("public", []byte(s.get("/src"+s.at+packageA)))
		away.Fault("back", fetchtest.Redirect(302, s.server.URL+"/public"), fetchtest.Forever)
	}, 4, true, ""},
	{"other name", func(s *faultScene, away *fetchtest.Server) {
		s.aims(packageA, strings.Replace(away.URL, "127.0.0.1", "cdn.test", 1)+packageA)
	}, 4, true, ""},
	{"nothing there", func(s *faultScene, away *fetchtest.Server) { s.aims(packageA, away.URL+"/nothing") }, 3, true, "is listed and missing at the source"},
	{"broken there", func(s *faultScene, away *fetchtest.Server) {
		s.aims(packageA, away.URL+packageA)
		away.Fault("a-1*", fetchtest.Reset(), fetchtest.Forever)
	}, 3, true, "reset"},
	{"wrong there", func(s *faultScene, away *fetchtest.Server) {
		s.aims(packageA, away.URL+packageA)
		away.Fault("a-1*", fetchtest.Wrong(), fetchtest.Forever)
	}, 3, true, "got md5:"},
	{"nobody there", func(s *faultScene, away *fetchtest.Server) {
		s.aims(packageA, fetchtest.Refused(s.TB)+packageA)
	}, 3, false, "refused"},
	{"metadata of a cloud", func(s *faultScene, away *fetchtest.Server) { s.aims(packageA, "http://169.254.169.254/latest") }, 3, false, "surroundings"},
	{"a loop", func(s *faultScene, away *fetchtest.Server) {
		s.aims(packageA, away.URL+"/loop")
		away.Fault("loop", fetchtest.Redirect(302, "/loop"), fetchtest.Forever)
	}, 3, true, "redirects"},
	{"base_url, unlisted", func(s *faultScene, away *fetchtest.Server) { s.based(away.URL + "/linux-64/") }, 1, false, `base_url: got another server`},
	{"base_url, listed", func(s *faultScene, away *fetchtest.Server) {
		s.based(away.URL + "/linux-64/")
		s.m.Access.BaseURLs = []string{away.URL}
	}, 4, true, ""},
	{"base_url, listed under another port", func(s *faultScene, away *fetchtest.Server) {
		s.based(away.URL + "/linux-64/")
		s.m.Access.BaseURLs = []string{s.server.URL}
	}, 1, false, "base_url: got another server"},
	{"base_url with a user", func(s *faultScene, away *fetchtest.Server) {
		s.based(strings.Replace(away.URL, "://", "://user:"+canary+"@", 1))
		s.m.Access.BaseURLs = []string{away.URL}
	}, 1, false, "base_url"},
	{"base_url, a file", func(s *faultScene, away *fetchtest.Server) { s.based("file:///etc") }, 1, false, "base_url"},
	{"base_url, its own", func(s *faultScene, away *fetchtest.Server) {
		s.based(s.server.URL + s.at + "/linux-64")
	}, 4, false, ""},
}

// Wherever a channel's server or its index points, no word of the credentials comes to another server, nor to people or
// files; and nobody is asked whom the caller has not listed.
func TestCredentialsStayAtTheirServer(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"path", "user", "bearer"} {
		for _, v := range voyages {
			t.Run(place+", "+v.name, func(t *testing.T) {
				s := newFaultScene(t, place)
				away := fetchtest.New(t, os.DirFS(s.path("/src"+s.at)))
				away.Guard(canary)
				v.do(s, away)
				err := s.run(t.Context())
				n, wrong := s.sound()
				if n != v.n || wrong != nil || (err != nil) != (v.want != "") ||
					err != nil && !strings.Contains(advised(err), v.want) {
					t.Errorf("got %d packages, %v and %s", n, wrong, advised(err))
				}
				if asked := len(away.Requests()) > 0; asked != v.asks || len(away.Leaks()) > 0 {
					t.Errorf("the other server was asked: %v, and told secrets: %+v", asked, away.Leaks())
				}
				s.secretive(t, v.name)
				s.checkOwn(t, place)
			})
		}
	}
}

// checkOwn looks at what came to the channel's own server: all requests but those that another has aimed have the
// credentials, and none has a Referer.
func (s *faultScene) checkOwn(t *testing.T, place string) {
	t.Helper()
	for _, r := range s.server.Requests() {
		aimed := slices.Contains([]string{"/public"}, r.Path)
		if r.Carries(canary) == aimed || r.Header.Get("Referer") != "" ||
			place == "path" && r.Header.Get("Authorization") != "" {
			t.Errorf("%s %s: %v", r.Method, r.Path, r.Header)
		}
	}
}
