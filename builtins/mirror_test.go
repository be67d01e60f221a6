package builtins

import (
	"crypto/md5"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// withChannel returns a machine with a channel at /media.
func withChannel(t *testing.T) *machine {
	m := newMachine(t, nil)
	m.channel("zlib", "wheel")
	return m
}

// channel writes the channel /media with packages of these names.
func (m *machine) channel(names ...string) {
	var records []string
	for _, n := range names {
		file := n + "-1.0-0.tar.bz2"
		m.write("/media/linux-64/"+file, "package "+n)
		records = append(records, fmt.Sprintf(
			`%q: {"name": %q, "version": "1.0", "build": "0", "size": %d, "md5": "%x", "license": "GPL"}`,
			file, n, len("package "+n), md5.Sum([]byte("package "+n))))
	}
	m.write("/media/linux-64/repodata.json", `{"packages": {`+strings.Join(records, ",")+"}}")
}

const mirrorBody = `mirror("/media", "/srv/pkgs")
write("/srv/copy", read("/srv/pkgs/anaconda/linux-64/zlib-1.0-0.tar.bz2"))`

func TestDryMirrorEqualsMirror(t *testing.T) {
	m := withChannel(t)
	m.twice(mirrorBody)
	if got := m.read("/srv/copy"); got != "package zlib" {
		t.Errorf("got %q", got)
	}
	for range 2 { // the second time nothing is left to do, whatever came before
		_, real := m.twice(mirrorBody)
		if e := effects(real); len(e) > 0 {
			t.Errorf("second run: %v", e)
		}
	}
	m.channel("zlib", "wheel", "six")
	_, real := m.twice(mirrorBody)
	if e := effects(real); !slices.Equal(e, []string{"tree /srv/pkgs/anaconda"}) {
		t.Errorf("got %v", e)
	}
}

func TestMirrorConfig(t *testing.T) {
	m := withChannel(t)
	m.write("/etc/m.yaml", "channels: [/none]\nmirror_dir: /srv/cfg\npkg_list: [zlib, nope]\nfetch_installers: true\n")
	dry, _ := m.twice(`mirror(channels = "/media", config = "/etc/m.yaml", account = "main",
    owner = "nobody", group = "adm")`)
	seen := fmt.Sprint(dry[len(dry)-3].Observed, dry[len(dry)-2].Observed)
	for _, want := range []string{`pkg_list: "nope" matches nothing`, "noarch is in no channel", "fetch_installers", "packages:1"} {
		if !strings.Contains(seen, want) {
			t.Errorf("%s lacks %s", seen, want)
		}
	}
	if got := m.describe("/srv/cfg/main/linux-64/zlib-1.0-0.tar.bz2"); !strings.Contains(got, "nobody:adm") {
		t.Errorf("left %s", got)
	}
	if strings.Contains(m.read("/srv/cfg/main/linux-64/repodata.json"), "wheel") {
		t.Error("pkg_list was not followed")
	}
	for text, want := range map[string]string{
		"fetch_installers: no": "", "fetch_installers: Yes": "installers are not mirrored", "fetch_installers: ON # here": "installers are not mirrored",
		"with_depends: off": "", "fetch_installers: y": "want true or false", `fetch_installers: "no"`: "want true or false", "pkg_list: [no]": "pkg_list",
		"latest: 1\n---\nlatest: 2": "more than one document", "latest: 1\n...\n": "",
	} {
		m.write("/etc/v.yaml", "channels: [/media]\nmirror_dir: /srv/v\n"+text+"\n")
		events, err := m.dry(`mirror(config = "/etc/v.yaml")`)
		said := fmt.Sprint(err)
		for _, e := range events {
			said += e.Text
		}
		if (want == "" || strings.Contains(want, "installers")) != (err == nil) || !strings.Contains(said, want) ||
			want == "" && strings.Contains(said, "installers") {
			t.Errorf("%s: got %s, want %s", text, said, want)
		}
	}
	m.write("/etc/n.yaml", "chanels: [/media]\n")
	m.write("/etc/o.yaml", "channels: [a\n")
	for body, want := range map[string]string{
		`mirror("/media")`:                                            "say where to: dest=",
		`mirror(config = "/etc/n.yaml")`:                              `did you mean "channels"?`,
		`mirror(config = "/etc/o.yaml")`:                              "config /etc/o.yaml: yaml: line",
		`mirror(config = "/etc/none.yaml")`:                           "no such file",
		`mirror("/media", "/srv/x", "a/b")`:                           `account: got "a/b"`,
		`mirror("media", "/srv/x")`:                                   "write /media/pkgs/free",
		`mirror("/media", "/srv/x", owner="?")`:                       `useradd("?")`,
		`mirror("/media", "/srv/x", blacklist=["a"], pkg_list=["b"])`: "want it alone",
	} {
		m.fails(body, want)
	}
}

// The online runbook mirrors from a server.
func TestMirrorFromAServer(t *testing.T) {
	m := withChannel(t)
	url := m.serve(http.FileServer(http.Dir(filepath.Join(m.root, "media"))))
	m.twice(strings.Replace(mirrorBody, "/media", url, 1))
	if got := m.read("/srv/pkgs/anaconda/linux-64/wheel-1.0-0.tar.bz2"); got != "package wheel" {
		t.Errorf("got %q", got)
	}
}

// An index that is cut off is an error beside others that are whole, with its cure.
func TestMirrorOfADamagedIndex(t *testing.T) {
	for _, damaged := range []string{"noarch", "linux-64"} {
		m := newMachine(t, map[string]string{"/media/noarch/repodata.json": "{}", "/media/linux-64/repodata.json": "{}"})
		m.write("/media/"+damaged+"/repodata.json", "{\n")
		m.fails(`mirror("/media", "/srv")`, "damaged or cut off")
	}
}
