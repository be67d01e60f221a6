package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// What the vendor's servers do wrong is said once, in one clear message, with
// no token in it (install looks), and the next run goes on from there.
func TestOnlineFaults(t *testing.T) {
	t.Parallel()
	s := newOnline(t)
	page := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Please log in</html>") }
	junk := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		fmt.Fprint(w, "neither this nor that")
	}
	forbidden := func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no such token: "+r.URL.Path, http.StatusForbidden)
	}
	if out := s.install(1, "--var", "rpm_cdn=http://127.0.0.1:9"); strings.Count(out, "connection refused") != 1 || !strings.Contains(out, "hint: see whether the server is up") {
		t.Errorf("server down: got %s", out) // said once
	}
	binstar := "/cloud/t/" + tokens["binstar_token"] + "/binstar/linux-64/repodata.json"
	notebook := "/cloud/t/" + tokens["nb_extensions_token"] + "/anaconda-nb-extensions/"
	tests := []struct {
		name, path string
		answer     http.HandlerFunc // nil is 404
		step       string
		want       string
	}{
		{"no package", "/cdn/mongodb-org-2.6.8-1.x86_64.rpm", http.NotFound, "mongodb", "got status 404 Not Found"},
		{"a page for a package", "/cdn/mongodb-org-2.6.8-1.x86_64.rpm", page, "mongodb", "got an HTML page, want a file"},
		{"no installer", "/miniconda/Miniconda2-latest-Linux-x86_64.sh", http.NotFound, "miniconda", "got status 404 Not Found"},
		{"wrong token for conda", binstar, forbidden, "packages", "403 Forbidden"},
		{"no index", binstar, junk, "packages", "binstar"},
		{"wrong token for a mirror", notebook + "noarch/repodata.json", forbidden, "mirror_wakari_channel", "403"},
		{"no index for a mirror", notebook + "linux-64/repodata.json", junk, "mirror_wakari_channel", "linux-64/repodata.json"},
		{"damaged package", notebook + "linux-64/nb_conda-1.1.0-py27_0.tar.bz2", junk, "mirror_wakari_channel", "nb_conda-1.1.0-py27_0.tar.bz2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			part := *s
			part.t = t
			s.vendor.breaks(test.path, test.answer)
			defer s.vendor.breaks(test.path, nil)
			out := part.install(1, "--trace", "/root/"+strings.ReplaceAll(test.name, " ", "-")+".jsonl")
			_, last, _ := strings.Cut(out, ": step ") // the error, which comes last
			if !strings.HasPrefix(last, test.step+": ") || !strings.Contains(last, test.want) {
				t.Errorf("want step %s and %q in\n%s", test.step, test.want, last)
			}
			t.Log(last)
		})
	}
	s.install(0)
	checkTokens(t, s)
}
