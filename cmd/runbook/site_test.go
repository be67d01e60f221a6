package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/lab"
	"runbook/cmd/runbook/internal/media"
	"runbook/runtime/host/sample"
)

const password = "Tr0ub4dor3horse"

// all are the flags of an installation that does everything.
var all = []string{
	"--var", "airgap=true", "--var", "mirror_r=true", "--var", "mirror_wakari=true", "--var", "mirror_cluster=true",
	"--var", "port80=true", "--secret", "superuser_password=file:/root/password", "--ack", "licence",
}

// A site is a bare host with media, and the program.
type site struct {
	*lab.Jail
	t    testing.TB
	book string // what install runs; "" is the shipped one
}

func newSite(t testing.TB, mediaDir string) site {
	t.Helper()
	sample.Slow(t, "one installation is enough")
	return newSiteOf(t, mediaDir, lab.Options{})
}

func newSiteOf(t testing.TB, mediaDir string, o lab.Options) site {
	t.Helper()
	j := lab.New(t, o)
	j.Bind(mediaDir, "/installer")
	j.Bind(binary(t), "/usr/local/bin/runbook")
	j.WriteFile("/root/password", []byte(password+"\n"), 0o600)
	return site{Jail: j, t: t}
}

// run runs the program in the site and returns its output; it must exit with code.
func (s site) run(code int, args ...string) string {
	s.t.Helper()
	r := s.Exec(lab.Cmd{Argv: append([]string{"/usr/local/bin/runbook"}, args...), Timeout: 5 * time.Minute})
	if r.Code != code {
		s.t.Fatalf("runbook %s: exit %d, want %d\n%s%s", strings.Join(args, " "), r.Code, code, r.Out, r.Err)
	}
	return r.Out + r.Err
}

func (s site) install(code int, more ...string) string {
	s.t.Helper()
	return s.run(code, slices.Concat([]string{"run", cmp.Or(s.book, "install.star")}, all, more)...)
}

func (s site) read(name string) string {
	s.t.Helper()
	data, err := s.ReadFile(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

// binary builds the program once for all tests.
func binary(t testing.TB) string {
	t.Helper()
	name, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(sharedDir(), "binary")
	if err != nil {
		return "", err
	}
	name := dir + "/runbook"
	build := exec.Command("go", "build", "-o", name, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return name, nil
})

// expandedMedia makes media once for all tests.
func expandedMedia(t testing.TB) string {
	t.Helper()
	dir, err := laidOut()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var laidOut = sync.OnceValues(func() (string, error) {
	dir := sharedDir() + "/media" // readable by everybody, as the service account needs it
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	return dir, media.Expanded(dir)
})

// sharedDir is where what all tests share is made; TestMain removes it.
var sharedDir = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "runbook-test")
	if err != nil {
		panic(err)
	}
	return dir
})
