package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"runbook/cmd/runbook/internal/media"
)

// The scripts that the manual printed had twenty faults. Each has a test here, named S1 to
// S20, that ours does not have it. These are the faults of preparing the media; those
// of installing are in TestManualSite.
func TestManualMedia(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(*testing.T){"S1": manualS1, "S2": manualS2, "S3": manualS3, "S4": manualS4,
		"S5": manualS5, "S6": manualS6, "S7": manualS7, "S8": manualS8, "S9": manualS9} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t)
		})
	}
}

// S1: whatever the server answered was saved as the file, a redirect or an error page too, and run as a program.
func manualS1(t *testing.T) {
	m := newMedium(t)
	var d *archiveServer
	d, m.source = newArchiveServer(t)
	d.first = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasPrefix(r.URL.Path, "/cluster-"):
			http.Redirect(w, r, "/moved"+r.URL.Path, http.StatusFound)
			return true
		case r.URL.Path == "/"+media.Linux64:
			fmt.Fprint(w, "<html><body>Please log in.</body></html>")
			return true
		}
		r.URL.Path = strings.TrimPrefix(r.URL.Path, "/moved")
		return false
	}
	if out := m.run(1, "--var", "components=linux-64"); !strings.Contains(out, "got an HTML page, want a file") {
		t.Errorf("a page: got %s", out)
	}
	if out := m.run(1, "--var", "archives=anaconda-full-2015.tar"); !strings.Contains(out, "404 Not Found") {
		t.Errorf("nothing: got %s", out)
	}
	for name := range m.files() {
		if strings.HasSuffix(name, ".tar") {
			t.Errorf("%s was kept", name)
		}
	}
	m.layOut("--var", "components=cluster", "--step", "lists,fetch")
	if out, err := exec.Command("cmp", archiveDir(t)+"/"+media.Cluster, m.out+"/archives/"+media.Cluster).CombinedOutput(); err != nil {
		t.Errorf("redirected: %s%v", out, err)
	}
}

// S2: a file that was there in full got the server's answer to an empty range appended.
func manualS2(t *testing.T) {
	m := newMedium(t)
	var d *archiveServer
	d, m.source = newArchiveServer(t)
	want, err := os.ReadFile(archiveDir(t) + "/" + media.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	// An earlier run got every byte, and was killed before it gave the file its name.
	part := m.out + "/archives/." + media.Cluster + ".part"
	note := fmt.Sprintf("%s\n%d\n%s\n", etag(want), len(want), m.source+"/"+media.Cluster)
	if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{part: want, part + ".etag": []byte(note)} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		m.run(0, "--var", "components=cluster")
		if have, err := os.ReadFile(m.out + "/archives/" + media.Cluster); err != nil || !bytes.Equal(have, want) {
			t.Errorf("got %d bytes, %v, want %d", len(have), err, len(want))
		}
	}
	if n := strings.Count(strings.Join(d.asked(), "\n"), media.Cluster); n > 2 {
		t.Errorf("asked %d times for an archive that was there", n)
	}
}

// S3: the checksums were downloaded, and nobody looked at them.
func manualS3(t *testing.T) {
	m := newMedium(t, media.Cluster)
	if err := alter(m.source + "/" + media.Cluster); err != nil {
		t.Fatal(err)
	}
	if out := m.run(1); !strings.Contains(out, "wrong digest of the archive") || !strings.Contains(out, "hint:") {
		t.Errorf("got %s", out)
	}
	if left := m.files(); len(left) > 0 {
		t.Errorf("unpacked %v", left)
	}
}

// S4: the script's log was the file that each of its commands wrote anew.
func manualS4(t *testing.T) {
	m := newMedium(t, components...)
	out := m.run(0, "--trace", m.dir+"/trace.jsonl")
	m.program(0, "audit", "verify", m.dir+"/trace.jsonl")
	trace := m.program(0, "audit", "show", m.dir+"/trace.jsonl")
	for _, name := range components {
		if !strings.Contains(out, name) || !strings.Contains(trace, name) {
			t.Errorf("%s is missing in the output or the trace:\n%s%s", name, out, trace)
		}
	}
}

// S5: the test whether a link was there tested an assignment, so every link was made again, which fails.
func manualS5(t *testing.T) {
	m := newMedium(t, media.Linux64, media.Miniconda)
	m.run(0)
	want := m.files()
	dir := m.out + "/anaconda-suite/miniconda/"
	if err := os.Remove(dir + "Miniconda3-latest-MacOSX-x86_64.sh"); err != nil {
		t.Fatal(err)
	}
	if out := m.run(0); strings.Count(out, "\n  changed ") != 1 {
		t.Errorf("want one link made, got %s", out)
	}
	have := m.files()
	if len(have) != len(want) {
		t.Errorf("got %v, want %v", have, want)
	}
	// Both Pythons keep links of their own.
	for link, want := range map[string]string{"Miniconda-latest-Linux-x86_64.sh": "Miniconda2-4.1.11-Linux-x86_64.sh", "Miniconda3-latest-Linux-x86_64.sh": "Miniconda3-4.1.11-Linux-x86_64.sh"} {
		if target, err := os.Readlink(dir + link); err != nil || target != want {
			t.Errorf("%s: got %q, %v, want %s", link, target, err, want)
		}
	}
}

// S6: a directory was made without its parents, which fails where they are missing and where it is there already.
func manualS6(t *testing.T) {
	for _, component := range []string{"miniconda", "r"} { // their directories lie deepest
		newMedium(t, media.Miniconda, media.R).layOut("--var", "components="+component)
	}
}

// S7: links held the absolute path of the media, also where nothing was; media that are mounted elsewhere had none that works.
func manualS7(t *testing.T) {
	m := newMedium(t, components...)
	m.run(0)
	if err := os.Rename(m.out, m.dir+"/elsewhere"); err != nil {
		t.Fatal(err)
	}
	m.out = m.dir + "/elsewhere"
	if links := m.dangling(); len(links) > 0 {
		t.Errorf("links that lead nowhere: %v", links)
	}
	newMedium(t, components...).layOut("--var", "miniconda_version=4.2.0") // of which there is none
}

// S8: unpacking beside files that were there is an error to tar, on the second run at the latest.
func manualS8(t *testing.T) {
	m := newMedium(t, media.Linux64, media.Notebook)
	m.layOut()
	for _, name := range []string{"mongodb-org-2.6.8-1.x86_64.rpm", "mongodb-org-server-2.6.8-1.x86_64.rpm"} {
		m.sameAs(expandedMedia(t), name) // not the notebook's build
	}
}

// S9: renaming a directory to a name that is taken moves it into the directory of that name.
func manualS9(t *testing.T) {
	m := newMedium(t, media.Notebook)
	m.layOut()
	m.again()
	if _, err := os.Stat(m.out + "/wakari/anaconda-notebook"); err == nil {
		t.Error("the second run nested the directory")
	}
	// A run that stopped between unpacking and renaming.
	want := len(m.files())
	if err := os.Rename(m.out+"/wakari", m.out+"/anaconda-notebook"); err != nil {
		t.Fatal(err)
	}
	m.layOut()
	if have := len(m.files()); have != want {
		t.Errorf("got %d files, want %d", have, want)
	}
	m.sameAs(expandedMedia(t), "wakari")
}
