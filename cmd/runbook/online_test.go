package main

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
	"runbook/runtime/host/sample"
)

// tokens are the secrets of the vendor's channels, by the names that install.star gives them.
var tokens = map[string]string{
	"binstar_token":       "bs-5f2d9c1e-77aa-4be1",
	"anaconda_token":      "as-91b07d3f-20cc-4d19",
	"nb_extensions_token": "nb-c4e8a6b2-5d5d-4a3b",
}

// An online site is a bare host that reaches the vendor's servers.
type online struct {
	site
	vendor *vendor
}

const vendorURL = "http://127.0.0.1:8000"

func newOnline(t *testing.T) *online {
	t.Helper()
	sample.Slow(t, "it installs in a jail")
	j := lab.New(t, lab.Options{})
	j.Bind(binary(t), "/usr/local/bin/runbook")
	for name, value := range tokens {
		if err := j.WriteFile("/root/"+name, []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.WriteFile("/root/password", []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := j.Listen("tcp", strings.TrimPrefix(vendorURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	v := newVendor(expandedMedia(t))
	server := &http.Server{Handler: v}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return &online{site{Jail: j, t: t}, v}
}

// A vendor serves packages, installers and channels, some of them below /t/TOKEN only.
type vendor struct {
	files *http.ServeMux

	mu     sync.Mutex
	broken map[string]http.HandlerFunc // by path, instead of what is there
	asked  []string
}

func newVendor(dir string) *vendor {
	v := &vendor{files: http.NewServeMux(), broken: map[string]http.HandlerFunc{}}
	for at, below := range map[string]string{
		"/cdn/":                    "",
		"/miniconda/":              "anaconda-suite/miniconda",
		"/pkgs/free/":              "anaconda-suite/pkgs",
		"/pkgs/pro/":               "anaconda-suite/pkgs",
		"/cloud/r/":                "R/pkgs",
		"/cloud/wakari/":           "wakari/pkgs",
		"/cloud/anaconda-cluster/": "anaconda-cluster/pkgs",
		"/cloud/t/" + tokens["binstar_token"] + "/binstar/":                      "anaconda-suite/pkgs",
		"/cloud/t/" + tokens["anaconda_token"] + "/anaconda-server/":             "anaconda-suite/pkgs",
		"/cloud/t/" + tokens["nb_extensions_token"] + "/anaconda-nb-extensions/": "wakari/pkgs",
	} {
		v.files.Handle(at, http.StripPrefix(at, http.FileServer(http.Dir(dir+"/"+below))))
	}
	return v
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	broken := v.broken[r.URL.Path]
	v.asked = append(v.asked, r.URL.Path)
	v.mu.Unlock()
	if broken != nil {
		broken(w, r)
		return
	}
	v.files.ServeHTTP(w, r)
}

func (v *vendor) breaks(path string, f http.HandlerFunc) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.broken[path] = f
}

// requests returns the paths asked for since the last call.
func (v *vendor) requests() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	asked := v.asked
	v.asked = nil
	return asked
}

// install installs with everything that there is to mirror.
func (s *online) install(code int, more ...string) string {
	s.t.Helper()
	secrets := []string{"--secret", "superuser_password=file:/root/password"}
	for name := range tokens {
		secrets = append(secrets, "--secret", name+"=file:/root/"+name)
	}
	return s.installKnowing(secrets, code, more...)
}

// installKnowing is install with some of the secrets. None may be in the output.
func (s *online) installKnowing(secrets []string, code int, more ...string) string {
	s.t.Helper()
	argv := []string{"/usr/local/bin/runbook", "run", cmp.Or(s.book, "install.star"), "--var", "mirror_r=true", "--var", "mirror_wakari=true",
		"--var", "mirror_cluster=true", "--ack", "licence"}
	if s.book == "" { // another has the addresses in its site's file
		argv = append(argv, "--var", "rpm_cdn="+vendorURL+"/cdn", "--var", "miniconda_url="+vendorURL+"/miniconda",
			"--var", "cloud_url="+vendorURL+"/cloud", "--var", "repo_urls="+vendorURL+"/pkgs/free,"+vendorURL+"/pkgs/pro")
	}
	r := s.Exec(lab.Cmd{Argv: slices.Concat(argv, secrets, more), Timeout: 5 * time.Minute})
	out := r.Out + r.Err
	for name, token := range tokens {
		if strings.Contains(out, token) {
			s.t.Errorf("install %v: the output holds %s", more, name)
		}
	}
	if r.Code != code {
		s.t.Fatalf("install %v: exit %d, want %d\n%s", more, r.Code, code, out)
	}
	return out
}

// Installed from the network: dry, for real, and again.
func TestOnline(t *testing.T) {
	t.Parallel()
	s := newOnline(t)
	before := s.Snapshot("/root")
	s.install(0, "--dry-run", "--trace", "/root/dry.jsonl")
	s.installKnowing(nil, 0, "--dry-run", "--trace", "/root/ignorant.jsonl")
	if d := before.Diff(s.Snapshot("/root")); len(d) > 0 {
		t.Errorf("the dry run changed:\n%s", strings.Join(d, "\n"))
	}
	s.install(0, "--trace", "/root/real.jsonl")
	for _, dry := range []string{"dry", "ignorant"} {
		if out := s.run(0, "audit", "diff", "/root/"+dry+".jsonl", "/root/real.jsonl"); !strings.HasPrefix(out, "equal") {
			t.Errorf("%s: got %s", dry, out)
		}
	}
	installed := s.Snapshot(volatile()...)
	s.vendor.requests()
	if out := s.install(0, "--trace", "/root/again.jsonl"); strings.Contains(out, "\n  changed ") {
		t.Errorf("the second run changed something:\n%s", out)
	}
	if d := installed.Diff(s.Snapshot(volatile()...)); len(d) > 0 {
		t.Errorf("the second run changed:\n%s", strings.Join(d, "\n"))
	}
	for _, path := range s.vendor.requests() {
		if strings.HasSuffix(path, ".bz2") && !strings.Contains(path, "repodata") || strings.HasSuffix(path, ".rpm") || strings.HasSuffix(path, ".sh") {
			t.Errorf("the second run asked for %s", path)
		}
	}
	checkTokens(t, s)
	checkInward(t, s)
}

// checkInward has the installed server take everything from another address, as the site's file says: dry, for real and
// again.
func checkInward(t *testing.T, s *online) {
	t.Helper()
	const inward = "http://localhost:8000"
	s.book = s.tweaked(strings.ReplaceAll(tweak(t, 4), "https://conda.example.org", inward))
	s.Must("rm -rf /root/*.jsonl*")
	s.install(0, "--dry-run", "--trace", "/root/dry.jsonl")
	s.install(0, "--trace", "/root/real.jsonl")
	if out := s.run(0, "audit", "diff", "/root/dry.jsonl", "/root/real.jsonl"); !strings.HasPrefix(out, "equal") {
		t.Errorf("inward: got %s", out)
	}
	condarc := s.read("/home/anaconda-server/miniconda2/.condarc")
	if strings.Count(condarc, inward) < 4 || !strings.Contains(condarc, inward+"/cloud/t/") {
		t.Errorf("inward: got %s", condarc)
	}
	if out := s.install(0); strings.Contains(out, "\n  changed ") {
		t.Errorf("inward: the second run changed something:\n%s", out)
	}
}

// checkTokens finds the tokens where they must be, closed to strangers, and nowhere else but in conda's own notes. That of
// the notebook extensions is needed only while their channel is mirrored.
func checkTokens(t *testing.T, s *online) {
	t.Helper()
	const prefix = "/home/anaconda-server/miniconda2"
	want := map[string]string{
		prefix:                         "700 anaconda-server",
		prefix + "/.condarc":           "600 anaconda-server",
		"/etc/anaconda-server/mirrors": "770 anaconda-server",
		"/etc/anaconda-server/mirrors/wakari.yaml": "640 anaconda-server",
		"/opt/anaconda-server/mirror":              "750 root",
	}
	for name, token := range tokens {
		found := s.Exec(lab.Cmd{Argv: []string{"grep", "-rlF", token, "--exclude=" + name, "/root", "/var", "/etc", "/home", "/opt", "/tmp", "/run"}})
		for file := range strings.FieldsSeq(found.Out) {
			if file != prefix+"/.condarc" && !strings.HasPrefix(file, prefix+"/conda-meta/") {
				t.Errorf("%s is in %s:\n%s", name, file, s.Must("grep -aF "+token+" "+file+" | head -c 400"))
			}
		}
		if kept := name != "nb_extensions_token"; kept != (found.Out != "") {
			t.Errorf("%s: got it in %q, want some: %v", name, found.Out, kept)
		}
	}
	for file, mode := range want {
		if have := strings.TrimSpace(s.Must("stat -c '%a %U' " + file)); have != mode {
			t.Errorf("%s: got %s, want %s", file, have, mode)
		}
	}
}
