package deb

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// files is what a test packs: names below the package's tree, texts, and modes.
type files map[string]struct {
	text string
	mode os.FileMode
}

// server is a package with everything that is of interest.
var server = files{
	"DEBIAN/control": {"Package: web\nVersion: 1:2.6.8-1\nArchitecture: amd64\nMaintainer: A <a@example.org>\n" +
		"Depends: libc6\nDescription: a server\n that serves\n .\n and more\n", 0o644},
	"DEBIAN/conffiles":               {"/etc/web.conf\nremove-on-upgrade /etc/old.conf\n", 0o644},
	"DEBIAN/preinst":                 {"#!/bin/sh\nadduser --system --group web\n", 0o755},
	"DEBIAN/postinst":                {"#!/bin/sh\ninvoke-rc.d web start\n", 0o755},
	"usr/bin/web":                    {"#!/bin/sh\n", 0o4755},
	"etc/web.conf":                   {"port = 80\n", 0o640},
	"etc/init.d/web":                 {"#!/bin/sh\n", 0o755},
	"lib/systemd/system/web.service": {"[Service]\n", 0o644},
	"lib/systemd/system/w@.service":  {"[Service]\n", 0o644},
	"usr/lib/sysusers.d/web.conf":    {"u web2 - \"Web\"\n", 0o644},
}

// build packs files with dpkg-deb, compressed in one of its ways.
func build(t testing.TB, all files, compression string) []byte {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("NOT TESTED: there is no dpkg-deb here")
	}
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "x.deb")
	for name, f := range all {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(f.text), 0o600); err != nil {
			t.Fatal(err)
		}
		mode := f.mode.Perm()
		if f.mode&0o4000 != 0 {
			mode |= fs.ModeSetuid
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("web", filepath.Join(dir, "usr/bin/link")); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("dpkg-deb", "--root-owner-group", "-Z"+compression, "--build", dir, out)
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRead(t *testing.T) {
	for _, compression := range []string{"xz", "gzip", "zstd", "none"} {
		p, err := Read(bytes.NewReader(build(t, server, compression)))
		if err != nil {
			t.Fatalf("%s: %v", compression, err)
		}
		if got := fmt.Sprint(p.Name, " ", p.Version, " ", p.Arch); got != "web 1:2.6.8-1 amd64" {
			t.Errorf("got %s", got)
		}
		var lines []string
		for _, f := range p.Files {
			lines = append(lines, fmt.Sprint(f.Name, " ", f.Mode, " ", f.Owner, " ", f.Group, " ", f.Size, " ", f.Target))
		}
		for _, want := range []string{
			"/usr/bin/web urwxr-xr-x root root 10 ", "/usr/bin/link Lrwxrwxrwx root root 0 web",
			"/etc drwxr-xr-x root root 0 ", "/etc/web.conf -rw-r----- root root 10 ",
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("got %q, want %q", lines, want)
			}
		}
		if got := fmt.Sprint(p.Conffiles); got != "map[/etc/web.conf:"+md5Of("port = 80\n")+"]" {
			t.Errorf("got conffiles %s", got)
		}
		if got := fmt.Sprintf("%q %q %q", p.Units(), p.InitScripts(), p.Sysusers); got !=
			`["web.service"] ["web"] ["u web2 - \"Web\"\n"]` {
			t.Errorf("got %s", got)
		}
		if len(p.Scripts) != 2 || !strings.Contains(p.Scripts[0], "adduser") {
			t.Errorf("got %q", p.Scripts)
		}
	}
}

func md5Of(text string) string {
	p := Package{Conffiles: map[string]string{"/x": ""}}
	_ = p.keep(File{Name: "/x"}, strings.NewReader(text))
	return p.Conffiles["/x"]
}

// ar puts members together as they come, with whatever names and sizes.
func ar(members ...string) string {
	text := magic
	for i := 0; i+1 < len(members); i += 2 {
		text += fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", members[i], 0, 0, 0, "100644", len(members[i+1]), members[i+1])
		text += strings.Repeat("\n", len(members[i+1])%2)
	}
	return text
}

func tarOf(headers ...tar.Header) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		text := h.Linkname
		if h.Typeflag == tar.TypeReg {
			h.Size, h.Linkname = int64(len(text)), ""
		}
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		if h.Typeflag == tar.TypeReg {
			fmt.Fprint(w, text)
		}
	}
	w.Close()
	return b.String()
}

func reg(name, text string) tar.Header {
	return tar.Header{Name: name, Linkname: text, Typeflag: tar.TypeReg, Mode: 0o644}
}

func TestReadRefuses(t *testing.T) {
	const good = "Package: web\nVersion: 1\nArchitecture: all\n"
	control := func(text string) string { return tarOf(reg("./control", text)) }
	data := tarOf(reg("./a", "x"))
	for _, c := range []struct{ text, want string }{
		{"<html>" + strings.Repeat("x", 99), "is no Debian package"},
		{"", "ends early"}, {magic, "ends early"}, {magic + strings.Repeat("x", 60), "at the end of a member's header"},
		{magic + fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10s`\n", "debian-binary", 0, 0, 0, "1", "-5"), "got the size"},
		{ar("debian-binary", "3.0\n"), `got version "3.0" of the format`},
		{ar("debian-binary", "2.0\n", "data.tar", data), "in this order"},
		{ar("debian-binary", "2.0\n", "control.tar", control(""), "data.tar", data), "got no fields"},
		{ar("debian-binary", "2.0\n", "control.tar", control("Package: ../x\nVersion: 1\nArchitecture: all\n"), "data.tar", data), `got package "../x"`},
		{ar("debian-binary", "2.0\n", "control.tar", control("Package: web\nVersion: one\nArchitecture: all\n"), "data.tar", data), `got version "one"`},
		{ar("debian-binary", "2.0\n", "control.tar", control(good), "data.tar", tarOf(reg("../a", "x"))), "below the root"},
		{ar("debian-binary", "2.0\n", "control.tar", control(good), "data.tar", data[:300]), "ends early"},
		{ar("debian-binary", "2.0\n", "control.tar", control(good), "data.tar",
			tarOf(tar.Header{Name: "./l", Linkname: "./none", Typeflag: tar.TypeLink})), "hard link"},
		{ar("debian-binary", "2.0\n", "control.tar", control(good), "data.tar", data)[:900], "ends early"},
	} {
		if _, err := Read(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80q: got %v, want %s", c.text, err, c.want)
		}
	}
	text := ar("debian-binary", "2.0\n", "_gpgorigin", "odd", "control.tar", control(good), "data.tar", data)
	if p, err := Read(strings.NewReader(text)); err != nil || p.Name != "web" || len(p.Files) != 1 {
		t.Errorf("got %v, %v", p, err)
	}
}

// What is cut off anywhere is refused.
func TestCutOff(t *testing.T) {
	whole := build(t, server, "xz")
	for n := 0; n < len(whole)-4; n += 37 {
		if _, err := Read(bytes.NewReader(whole[:n])); err == nil {
			t.Errorf("%d of %d bytes: got no error", n, len(whole))
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(ar("debian-binary", "2.0\n", "control.tar", tarOf(reg("control", "Package: ab\nVersion: 1\nArchitecture: all\n")),
		"data.tar", tarOf(reg("a", "x")))))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Read(bytes.NewReader(data))
		if err == nil && (p.Name == "" || p.Version == "") {
			t.Errorf("got %v", p)
		}
	})
}

const status = `Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1.21.22

Package: web
Status: hold ok installed
Architecture: amd64
Version: 1:2.0-1
Conffiles:
 /etc/web.conf 0cc175b9c0f1b6a831c399e269772661
 /etc/gone.conf 92eb5ffee6ae2fec3ad71c777531578f obsolete
Description: web
 about Package: none

Package: half
Status: install ok half-configured
Architecture: all
Version: 3

Package: left
Status: deinstall ok config-files
Architecture: amd64
Version: 4

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.36-9

Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-10

Package: foreign
Status: install reinstreq half-installed
Architecture: i386
Version: 5
`

func TestFind(t *testing.T) {
	for name, want := range map[string]string{
		"web": "amd64 1:2.0-1 hold installed true true", "half": "all 3 install half-configured true false",
		"left": "amd64 4 deinstall config-files false false", "libc6": "amd64 2.36-10 install installed true true",
		"libc6:i386": "i386 2.36-9 install installed true true", "foreign": "", "foreign:i386": "i386 5 install half-installed true false",
		"half:amd64": "all 3 install half-configured true false", "web:i386": "", "none": "", "eb": "",
	} {
		e, err := Find([]byte(status), name)
		got := ""
		if e != nil {
			got = fmt.Sprint(e.Arch, " ", e.Version, " ", e.Want, " ", e.State, " ", e.There(), " ", e.Complete())
		}
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
	e, _ := Find([]byte(status), "web")
	if got := fmt.Sprint(e.Conffiles); got != "map[/etc/web.conf:0cc175b9c0f1b6a831c399e269772661]" {
		t.Errorf("got %s", got)
	}
	if _, err := Find([]byte("Package: x\nStatus: ok\n"), "x"); err == nil {
		t.Error("got no error for a status of one word")
	}
	if got := Native([]byte(status)); got != "amd64" {
		t.Errorf("got %q", got)
	}
	if got := fmt.Sprint(Diversions("/bin/sh\n/bin/sh.distrib\ndash\n/x\n/y\n:\n")); got != "map[/bin/sh:dash /x::]" {
		t.Errorf("got %s", got)
	}
}

// versions are pairs in ascending order, or equal where sign is 0.
var versions = []struct {
	a, b string
	sign int
}{
	{"1.0", "1.0", 0}, {"1.0-1", "1.0-2", -1}, {"1.0~rc1", "1.0", -1}, {"1:0.1", "2.0", 1}, {"0:1", "1", 0}, {"1.0-1~bpo1", "1.0-1", -1},
	{"1.0a", "1.0+", -1}, {"2.9", "2.10", -1}, {"1.0-1", "1.0-1+b1", -1}, {"1.001", "1.1", 0}, {"9:1", "10:1", -1}, {"1.0-0", "1.0", 0},
}

func TestCompare(t *testing.T) {
	_, err := exec.LookPath("dpkg")
	if err != nil {
		t.Log("NOT TESTED against dpkg: there is none here")
	}
	for _, c := range versions {
		if got := Compare(c.a, c.b); got != c.sign || Compare(c.b, c.a) != -c.sign {
			t.Errorf("%q, %q: got %d, want %d", c.a, c.b, got, c.sign)
		}
		op := map[int]string{-1: "lt", 0: "eq", 1: "gt"}[c.sign]
		if err == nil && exec.Command("dpkg", "--compare-versions", c.a, op, c.b).Run() != nil {
			t.Errorf("dpkg does not say %s %s %s", c.a, op, c.b)
		}
	}
}

func TestParseFilename(t *testing.T) {
	for in, want := range map[string]string{
		"/srv/web_1%3a2.0-1_amd64.deb": "web 1:2.0-1 amd64 true", "lib+x_2_all.deb": "lib+x 2 all true", "web.deb": "   false",
		"web_x_amd64.deb": "   false", "web_1_amd64.rpm": "   false", "Web_1_amd64.deb": "   false", "a_1_2_all.deb": "   false",
	} {
		n, v, a, ok := ParseFilename(in)
		if got := fmt.Sprint(n, " ", v, " ", a, " ", ok); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}
