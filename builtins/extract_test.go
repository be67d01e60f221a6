package builtins

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"runbook/runtime"
)

// tarOf packs members "NAME=TEXT", "NAME/", "NAME->TARGET" and "NAME=>FILE", the
// last a hard link.
func tarOf(members ...string) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		hdr := tar.Header{Name: m, Typeflag: tar.TypeReg, Mode: 0o644, ModTime: time.Unix(1470182400, 0)}
		text := ""
		if name, target, ok := strings.Cut(m, "->"); ok {
			hdr.Name, hdr.Linkname, hdr.Typeflag = name, target, tar.TypeSymlink
		} else if name, target, ok := strings.Cut(m, "=>"); ok {
			hdr.Name, hdr.Linkname, hdr.Typeflag = name, target, tar.TypeLink
		} else if hdr.Name, text, ok = strings.Cut(m, "="); !ok {
			hdr.Typeflag, hdr.Mode = tar.TypeDir, 0o755
		}
		hdr.Size = int64(len(text))
		w.WriteHeader(&hdr)
		w.Write([]byte(text))
	}
	w.Close()
	return b.String()
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

func TestExtract(t *testing.T) {
	data := tarOf("top/", "top/a=one", "top/d/", "top/d/b=two", "top/l->d/b", "top/h=>top/a")
	for _, data := range []string{data, zipped(data)} {
		m := newMachine(t, map[string]string{"/srv/a.tar": data})
		body := fmt.Sprintf("mkdir('/opt')\nextract('/srv/a.tar', '/opt', strip_components=1, sha256='%s', md5='%X')",
			hexSum(data), md5.Sum([]byte(data)))
		dry, real := m.thrice(body)
		if got := m.read("/opt/a") + m.read("/opt/d/b") + m.read("/opt/l") + m.read("/opt/h"); got != "onetwotwoone" {
			t.Errorf("got %q", got)
		}
		if got := fmt.Sprint(changesOf(real, 1)); got != "[{/opt  5 of 5 entries}]" {
			t.Errorf("got %s", got)
		}
		if a, b := guesses(dry), guesses(real); len(a) != 1 || len(b) > 0 {
			t.Errorf("dry run assumed %q, want the digest; run assumed %q", a, b)
		}
	}
}

func TestExtractRepairsWhatDiffers(t *testing.T) {
	m := newMachine(t, map[string]string{"/srv/a.tar": tarOf("a=one", "b=two", "c=three", "l->a")})
	m.thrice("extract('/srv/a.tar', '/srv')")
	m.write("/srv/a", "ONE")  // of another time
	m.write("/srv/b", "more") // and another size
	m.must(os.Remove(filepath.Join(m.root, "srv/l")))
	m.must(os.Symlink("b", filepath.Join(m.root, "srv/l")))
	_, real := m.thrice("extract('/srv/a.tar', '/srv')")
	if got := m.read("/srv/a") + m.read("/srv/b") + m.read("/srv/l"); got != "onetwoone" {
		t.Errorf("got %q", got)
	}
	got := changesOf(real, 0)
	if len(got) != 4 || got[2] != change("l", "link to b", "link to a") || got[3].To != "3 of 4 entries, 3 replaced" {
		t.Errorf("got %v", got)
	}
}

func TestExtractKeepsExisting(t *testing.T) {
	m := newMachine(t, map[string]string{"/srv/a.tar": tarOf("a=one", "d/b=two"), "/srv/a": "mine"})
	m.thrice("extract('/srv/a.tar', '/srv', keep_existing=True)")
	if got := m.read("/srv/a") + m.read("/srv/d/b"); got != "minetwo" {
		t.Errorf("got %q", got)
	}
}

func TestExtractForAnOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root may give files away")
	}
	m := newMachine(t, map[string]string{"/srv/a.tar": tarOf("d/a=one", "l->d/a")})
	m.thrice("extract('/srv/a.tar', '/srv', owner='nobody', group='nogroup')")
	for _, name := range []string{"d", "d/a", "l"} {
		fi, err := os.Lstat(filepath.Join(m.root, "srv", name))
		m.must(err)
		if st := fi.Sys().(*syscall.Stat_t); st.Uid != 65534 || st.Gid != 65534 {
			t.Errorf("%s belongs to %d:%d", name, st.Uid, st.Gid)
		}
	}
	m.fails("extract('/srv/a.tar', '/var', owner='stranger')", "stranger")
}

// A later step reads what an earlier one would have unpacked.
func TestExtractedIsReadBeforeItIsThere(t *testing.T) {
	m := newMachine(t, map[string]string{"/srv/a.tar": zipped(tarOf("d/a=one", "d/b=two"))})
	m.thrice(`extract('/srv/a.tar', '/var')
for f in glob('/var/d/*'):
    write('/srv/' + f.split('/')[-1] + '.copy', read(f) + '!')`)
	if got := m.read("/srv/a.copy") + m.read("/srv/b.copy"); got != "one!two!" {
		t.Errorf("got %q", got)
	}
}

func TestExtractRefuses(t *testing.T) {
	m := newMachine(t, map[string]string{
		"/srv/a.tar": tarOf("top/a=one"), "/srv/up.tar": tarOf("../a=x"), "/srv/cut.tar": tarOf("a=one")[:700], "/srv/dir.tar": tarOf("etc/"),
		"/srv/file": "", "/srv/top/a/is": "a directory", "/srv/etc": "a file", "/srv/under.tar": tarOf("link/x=1"),
	})
	m.must(os.Symlink("/srv", filepath.Join(m.root, "srv/link")))
	for body, text := range map[string]string{
		"extract('/srv/none.tar', '/srv')":                                  "no such file | download()",
		"extract('/srv/a.tar', '/none')":                                    `mkdir("/none")`,
		"extract('/srv/a.tar', '/srv/file')":                                "got a file, want a directory",
		"extract('/srv/a.tar', '/srv/link')":                                "symbolic link",
		"extract('/srv/a.tar', '/srv', strip_components=5)":                 "nothing is left of 1 members",
		"extract('/srv/a.tar', '/srv', strip_components=-1)":                "want 0 or more",
		"extract('/srv/a.tar', '/srv', md5='12')":                           "want 32 hex digits",
		"extract('/srv/a.tar', '/srv', sha256='" + hexSum("")[:62] + "xx')": "want 64 hex digits",
		"extract('/srv/a.tar', '/srv')":                                     "/srv/top/a: got a directory, want a file",
		"extract('/srv/dir.tar', '/srv')":                                   "/srv/etc: got a file, want a directory",
		"extract('/srv/up.tar', '/srv')":                                    `member "../a" leaves`,
		"extract('/srv/cut.tar', '/srv')":                                   "ends early",
		"extract('/srv/file', '/srv')":                                      "ends early",
		"extract('/srv/under.tar', '/srv')":                                 "/srv/link: got a symbolic link, want a directory",
	} {
		m.fails(body, text)
	}
}

// The wrong digest is found only by a real run, before anything has its name.
func TestExtractChecksTheDigest(t *testing.T) {
	m := newMachine(t, map[string]string{"/srv/a.tar": tarOf("d/a=one")})
	body := "extract('/srv/a.tar', '/srv', sha256='" + hexSum("other") + "')"
	if _, err := m.dry(body); err != nil {
		t.Error(err)
	}
	_, err := m.real(body)
	if err == nil || !strings.Contains(err.Error(), "want "+hexSum("other")) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(filepath.Join(m.root, "srv/d")); !os.IsNotExist(err) {
		t.Errorf("got %v, want nothing unpacked", err)
	}
}

// A dry run that does not have the archive goes by its listing.
func TestExtractByListing(t *testing.T) {
	m := newMachine(t, map[string]string{
		"/srv/a.list": "top/\ntop/a\ntop/d/b\n", "/srv/.a": tarOf("top/a=one", "top/d/b=two"),
		"/usr/bin/fetch": "cp $R/srv/.a $R/srv/a.tar",
	})
	fetch := "run('fetch', creates='/srv/a.tar')\n"
	_, err := m.dry(fetch + "extract('/srv/a.tar', '/var', strip_components=1)")
	if err == nil || !strings.Contains(runtime.HintOf(err), "listing=") {
		t.Errorf("got %v (hint: %s), want a hint of listing=", err, runtime.HintOf(err))
	}
	body := fetch + `extract('/srv/a.tar', '/var', strip_components=1, listing='/srv/a.list')
if not exists('/var/d/b'):
    write('/srv/never', '')`
	dry, err := m.dry(body)
	if err != nil || !strings.Contains(strings.Join(guesses(dry), " "), "/srv/a.list lists") || len(effects(dry)) != 4 {
		t.Errorf("%v, assumed %q, effects %q", err, guesses(dry), effects(dry))
	}
	if _, err := m.real(body); err != nil || m.read("/var/d/b") != "two" {
		t.Errorf("got %v", err)
	}
}

// What is there already costs no more than the headers.
func TestExtractAgainReadsHeadersOnly(t *testing.T) {
	m := newMachine(t, map[string]string{"/srv/a.tar": tarOf("a=" + strings.Repeat("x", 1<<20))})
	m.thrice("extract('/srv/a.tar', '/var')")
	f, err := os.OpenFile(filepath.Join(m.root, "srv/a.tar"), os.O_WRONLY, 0)
	m.must(err)
	_, err = f.WriteAt([]byte("not read"), 1<<19)
	m.must(err)
	m.must(f.Close())
	m.again("extract('/srv/a.tar', '/var', sha256='" + hexSum("other") + "')")
}

func TestExtractOnly(t *testing.T) {
	data := tarOf("top/", "top/a.rpm=one", "top/b=two", "top/d/", "top/d/e/c=three", "top/d/f=four", "top/h=>top/b")
	for only, want := range map[string]string{
		`"*.rpm"`: "a.rpm", `["d", "b"]`: "b d/e/c d/f", `"d/e"`: "d/e/c", `"h"`: "h", `["*.rpm", "d/f"]`: "a.rpm d/f",
	} {
		m := newMachine(t, map[string]string{"/srv/a.tar": data, "/opt/keep": ""})
		m.thrice("extract('/srv/a.tar', '/opt', strip_components = 1, only = " + only + ")")
		if out, err := os.ReadDir(filepath.Join(m.root, "/opt")); err != nil || len(out) != strings.Count(strings.ReplaceAll(want, "d/e/c d/f", "d"), " ")+2 {
			t.Errorf("%s: got %v, %v, want %s", only, out, err, want)
		}
		for name := range strings.FieldsSeq(want) {
			if _, err := os.Stat(filepath.Join(m.root, "/opt", name)); err != nil {
				t.Errorf("%s: %v", only, err)
			}
		}
		m.must(os.RemoveAll(filepath.Join(m.root, "/opt", strings.Fields(want)[0])))
		m.thrice("extract('/srv/a.tar', '/opt', strip_components = 1, only = " + only + ")")
	}
	m := newMachine(t, map[string]string{"/srv/a.tar": data, "/opt/keep": ""})
	m.fails(`extract("/srv/a.tar", "/opt", only = "*.deb")`, "nothing among 8 entries matches *.deb")
	m.fails(`extract("/srv/a.tar", "/opt", only = "[")`, "want a pattern")
	m.fails(`extract("/srv/a.tar", "/opt", only = "/x")`, "want a pattern")
}
