package builtins

import (
	"context"
	"crypto/md5"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"runbook/runtime"
	"runbook/runtime/fetch"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// A mirrorScene is a machine with a channel at /media.
type mirrorScene struct{ *machine }

func newMirrorScene(t *testing.T) mirrorScene {
	s := mirrorScene{newMachine(t, nil)}
	s.channel("zlib", "wheel")
	return s
}

func (s mirrorScene) channel(names ...string) {
	var records []string
	for _, n := range names {
		file := n + "-1.0-0.tar.bz2"
		s.write("/media/linux-64/"+file, "package "+n)
		records = append(records, fmt.Sprintf(`%q: {"name": %q, "version": "1.0", "build": "0", "size": %d, "md5": "%x", "license": "GPL"}`,
			file, n, len("package "+n), md5.Sum([]byte("package "+n))))
	}
	s.write("/media/linux-64/repodata.json", `{"packages": {`+strings.Join(records, ",")+"}}")
}

func (s mirrorScene) play(h host.Host, body string) ([]trace.Event, error) {
	s.t.Helper()
	all := slices.DeleteFunc(All(), func(b *runtime.Builtin) bool { return b.Name == "mirror" })
	src := "def s():\n    " + strings.ReplaceAll(body, "\n", "\n    ") + "\nstep(s)\n"
	book, err := runtime.New(append(all, mirrorBuiltin)...).Load(runtime.Library{Dir: fstest.MapFS{"t.star": {Data: []byte(src)}}, Shipped: fstest.MapFS{}}, "t.star", runtime.Inputs{})
	s.must(err)
	var events trace.List
	run := &runtime.Run{Host: h, Sink: &events, Now: time.Now, State: "/var/state"}
	if o, ok := h.(*host.Overlay); ok {
		run.Sleep, o.Assume = runtime.NoWaiting, run.Assume
	}
	err = run.Do(context.Background(), book)
	return events.Events, err
}

// twice runs body on an overlay and really, which must tell the same; it returns both traces.
func (s mirrorScene) twice(l *host.Local, body string) (dry, real []trace.Event) {
	s.t.Helper()
	dry, err := s.play(host.NewOverlay(l, l.Self()), body)
	if err != nil {
		s.t.Fatalf("dry run: %v (hint: %s)", err, runtime.HintOf(err))
	}
	if real, err = s.play(l, body); err != nil {
		s.t.Fatalf("run: %v (hint: %s)", err, runtime.HintOf(err))
	}
	if d, r := told(dry), told(real); !slices.Equal(d, r) {
		s.t.Errorf("dry run:\n%s\nrun:\n%s", strings.Join(d, ""), strings.Join(r, ""))
	}
	return dry, real
}

const mirrorBody = `mirror("/media", "/srv/pkgs")
write("/srv/copy", read("/srv/pkgs/anaconda/linux-64/zlib-1.0-0.tar.bz2"))`

func TestMirrorTellsTheSame(t *testing.T) {
	s := newMirrorScene(t)
	s.twice(s.local(), mirrorBody)
	if got := s.read("/srv/copy"); got != "package zlib" {
		t.Errorf("got %q", got)
	}
	for range 2 { // the second time nothing is left to do, whatever came before
		_, real := s.twice(s.local(), mirrorBody)
		if e := effects(real); len(e) > 0 {
			t.Errorf("second run: %v", e)
		}
	}
	s.channel("zlib", "wheel", "six")
	_, real := s.twice(s.local(), mirrorBody)
	if e := effects(real); !slices.Equal(e, []string{"tree /srv/pkgs/anaconda"}) {
		t.Errorf("got %v", e)
	}
}

func TestMirrorConfig(t *testing.T) {
	s := newMirrorScene(t)
	s.write("/etc/m.yaml", "channels: [/none]\nmirror_dir: /srv/cfg\npkg_list: [zlib, nope]\nfetch_installers: true\n")
	dry, _ := s.twice(s.local(), `mirror(channels = "/media", config = "/etc/m.yaml", account = "main", owner = "nobody", group = "adm")`)
	seen := fmt.Sprint(dry[len(dry)-3].Observed, dry[len(dry)-2].Observed)
	for _, want := range []string{`pkg_list: "nope" matches nothing`, "noarch is in no channel", "fetch_installers", "packages:1"} {
		if !strings.Contains(seen, want) {
			t.Errorf("%s lacks %s", seen, want)
		}
	}
	if m, err := s.local().Lstat("/srv/cfg/main/linux-64/zlib-1.0-0.tar.bz2"); err != nil || m.Owner != (host.Owner{User: "nobody", Group: "adm"}) {
		t.Error(m, err)
	}
	if strings.Contains(s.read("/srv/cfg/main/linux-64/repodata.json"), "wheel") {
		t.Error("pkg_list was not followed")
	}
	s.write("/etc/n.yaml", "chanels: [/media]\n")
	s.write("/etc/o.yaml", "channels: [a\n")
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
		l := s.local()
		if _, err := s.play(host.NewOverlay(l, l.Self()), body); !strings.Contains(fmt.Sprint(err)+" | "+runtime.HintOf(err), want) {
			t.Errorf("%s: got %v (hint: %s)", body, err, runtime.HintOf(err))
		}
	}
}

// The online runbook mirrors from a server.
func TestMirrorFromAServer(t *testing.T) {
	s := newMirrorScene(t)
	scene := &scene{machine: s.machine}
	url := scene.serve(http.FileServer(http.Dir(filepath.Join(s.root, "media"))))
	l := s.local()
	l.Net = fetch.New().Get
	s.twice(l, strings.Replace(mirrorBody, "/media", url, 1))
	if got := s.read("/srv/pkgs/anaconda/linux-64/wheel-1.0-0.tar.bz2"); got != "package wheel" {
		t.Errorf("got %q", got)
	}
}

func TestMirrorExample(t *testing.T) {
	s := newMirrorScene(t)
	s.twice(s.local(), mirrorBuiltin.Example)
}
