package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"runbook/cmd/runbook/internal/media"
)

// A medium is a place where media.star lays out archives. It needs no privileges.
type medium struct {
	t      testing.TB
	dir    string // of everything
	source string // var source
	out    string // var installer_path
	state  string
	runs   int // of layOut
}

// newMedium has some of the archives, all with their small files, in a source directory.
func newMedium(t testing.TB, archives ...string) *medium {
	t.Helper()
	dir := t.TempDir()
	m := &medium{t: t, dir: dir, source: dir + "/source", out: dir + "/installer", state: dir + "/state"}
	if err := os.Mkdir(m.source, 0o755); err != nil {
		t.Fatal(err)
	}
	built := archiveDir(t)
	for _, name := range archives {
		for _, ending := range []string{".tar", ".md5", ".list"} {
			file := "/" + strings.TrimSuffix(name, ".tar") + ending
			if err := os.Symlink(built+file, m.source+file); err != nil {
				t.Fatal(err)
			}
		}
	}
	return m
}

// components are the archives but the full one, in the manual's order.
var components = []string{media.Linux64, media.Cluster, media.R, media.Miniconda, media.Notebook}

func (m *medium) args(more ...string) []string {
	return append([]string{"run", "media.star", "--state", m.state, "--var", "source=" + m.source, "--var", "installer_path=" + m.out}, more...)
}

// run lays the archives out; the program must exit with code.
func (m *medium) run(code int, more ...string) string {
	m.t.Helper()
	return m.program(code, m.args(more...)...)
}

func (m *medium) program(code int, args ...string) string {
	m.t.Helper()
	c := exec.Command(binary(m.t), args...)
	out, err := c.CombinedOutput()
	if c.ProcessState == nil || c.ProcessState.ExitCode() != code {
		m.t.Fatalf("runbook %s: %v, want exit %d\n%s", strings.Join(args, " "), err, code, out)
	}
	return string(out)
}

// layOut runs dry, for real and again, and checks what must hold of each such run.
func (m *medium) layOut(more ...string) {
	m.t.Helper()
	m.runs++
	dry, real := fmt.Sprintf("%s/dry%d.jsonl", m.dir, m.runs), fmt.Sprintf("%s/real%d.jsonl", m.dir, m.runs)
	before := m.files()
	m.run(0, append(more, "--dry-run", "--trace", dry)...)
	if after := m.files(); !maps.Equal(before, after) {
		m.t.Errorf("the dry run changed files: got %v, want %v", after, before)
	}
	m.run(0, append(more, "--trace", real)...)
	if out := m.program(0, "audit", "diff", dry, real); !strings.HasPrefix(out, "equal") {
		m.t.Errorf("got %s", out)
	}
	m.again(more...)
	if links := m.dangling(); len(links) > 0 {
		m.t.Errorf("links that lead nowhere: %v", links)
	}
}

// again runs once more, which must find everything as it is.
func (m *medium) again(more ...string) {
	m.t.Helper()
	before := m.files()
	if out := m.run(0, more...); strings.Contains(out, "\n  changed ") {
		m.t.Errorf("the second run changed something:\n%s", out)
	}
	if after := m.files(); !maps.Equal(before, after) {
		m.t.Errorf("the second run changed files: got %v, want %v", after, before)
	}
}

// files describes everything below out: type, mode, size and time, or target.
func (m *medium) files() map[string]string { return describe(m.t, m.out) }

func describe(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := d.Info()
		rel := strings.TrimPrefix(name, dir+"/")
		all[rel] = info.Mode().String()
		if d.Type() == fs.ModeSymlink {
			target, err := os.Readlink(name)
			all[rel] += " -> " + target
			return err
		}
		if d.Type().IsRegular() {
			all[rel] += fmt.Sprintf(" %d %v", info.Size(), info.ModTime().UTC())
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return all
}

func (m *medium) dangling() (links []string) {
	for name := range m.files() {
		if _, err := os.Stat(m.out + "/" + name); err != nil {
			links = append(links, name)
		}
	}
	return links
}

// sameAs compares what lies below name in the medium and in another tree, all but times.
func (m *medium) sameAs(other, name string) {
	m.t.Helper()
	out, err := exec.Command("diff", "-r", other+"/"+name, m.out+"/"+name).CombinedOutput()
	if err != nil {
		m.t.Errorf("%s is not as the full archive has it: %v\n%s", name, err, out)
	}
}

// archiveDir makes the archives once for all tests, of the same packages as expandedMedia.
func archiveDir(t testing.TB) string {
	t.Helper()
	dir, err := packed()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var packed = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(sharedDir(), "archives")
	if err != nil {
		return "", err
	}
	_, err = media.Build(dir, media.Options{Full: true})
	return dir, err
})

// Each component alone, and some together: what the dry run said happens, a
// second run changes nothing, and every file is where the full archive has it.
func TestMediaComponents(t *testing.T) {
	t.Parallel()
	tests := []struct {
		components, top string   // top is what then lies at the top
		same            []string // as in the full archive
	}{
		{"linux-64", "anaconda-suite miniconda mongodb-org*", []string{"anaconda-suite/pkgs/linux-64", "anaconda-suite/pkgs/noarch"}},
		{"cluster", "anaconda-cluster", []string{"anaconda-cluster"}},
		{"r", "R", []string{"R/pkgs/linux-64"}},
		{"miniconda", "anaconda-suite", nil},
		{"notebook", "mongodb-org* wakari", []string{"wakari"}},
		{"cluster,r", "R anaconda-cluster", []string{"R/pkgs/linux-64", "anaconda-cluster"}},
		{"", "R anaconda-cluster anaconda-suite miniconda mongodb-org* wakari", []string{"anaconda-cluster", "wakari", "R/pkgs/linux-64",
			"anaconda-suite/pkgs/linux-64", "mongodb-org-server-2.6.8-1.x86_64.rpm", "anaconda-suite/miniconda/Miniconda2-latest-Linux-x86_64.sh",
			"anaconda-suite/miniconda/Miniconda3-latest-Linux-x86_64.sh", "anaconda-suite/miniconda/Miniconda-latest-Linux-x86_64.sh"}},
	}
	for _, test := range tests {
		t.Run(test.components, func(t *testing.T) {
			t.Parallel()
			m := newMedium(t, components...)
			m.layOut("--var", "components="+test.components)
			if top := m.top(); top != test.top {
				t.Errorf("got %s, want %s", top, test.top)
			}
			for _, name := range test.same {
				m.sameAs(expandedMedia(t), name)
			}
		})
	}
}

// top lists what lies at the top, MongoDB's five packages as one.
func (m *medium) top() string {
	entries, err := os.ReadDir(m.out)
	if err != nil {
		m.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, "mongodb-org") {
			name = "mongodb-org*"
		}
		names = append(names, name)
	}
	return strings.Join(slices.Compact(names), " ")
}

// The full archive brings everything, 'latest' installers too. Components beside it add only what it lacks.
func TestMediaFull(t *testing.T) {
	t.Parallel()
	full := newMedium(t, media.Full)
	full.layOut()
	full.sameAs(expandedMedia(t), "")
	both := newMedium(t, append(components, media.Full)...)
	both.layOut()
	if top := both.top(); top != "R anaconda-cluster anaconda-suite miniconda mongodb-org* wakari" {
		t.Errorf("got %s", top)
	}
	for _, name := range []string{"R", "anaconda-cluster", "anaconda-suite", "wakari", "mongodb-org-server-2.6.8-1.x86_64.rpm"} {
		both.sameAs(expandedMedia(t), name)
	}
}

// What was lost or damaged is unpacked again wherever the media hold it, below wakari too; the rest is left alone.
func TestMediaRepairs(t *testing.T) {
	t.Parallel()
	m := newMedium(t, components...)
	m.run(0)
	want := m.files()
	for _, name := range []string{"wakari/pkgs/linux-64/repodata.json", "wakari/pkgs/noarch", "anaconda-cluster/pkgs/linux-64/repodata.json", "R/pkgs", "mongodb-org-shell-2.6.8-1.x86_64.rpm"} {
		if want[name] == "" {
			t.Fatalf("no %s", name)
		}
		for _, spoil := range []func() error{
			func() error { return os.RemoveAll(m.out + "/" + name) },
			func() error {
				if info, err := os.Stat(m.out + "/" + name); err != nil || info.IsDir() {
					return err
				}
				return os.WriteFile(m.out+"/"+name, []byte("x"), 0o644)
			},
		} {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			m.layOut()
			if have := m.files(); !maps.Equal(have, want) {
				t.Errorf("%s: got %v, want %v", name, have, want)
			}
		}
	}
}
