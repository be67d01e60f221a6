package builtins

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// newStore has a channel, and a tree that some other program filled with it.
func newStore(t *testing.T) *machine {
	m := newMachine(t, nil)
	for _, dir := range []string{"/media/linux-64", "/media/noarch", "/store/linux-64", "/store/noarch"} {
		m.must(os.MkdirAll(filepath.Join(m.root, dir), 0o755))
	}
	index := `{"packages": {"a-1-0.tar.bz2": {"name": "a", "version": "1", "build": "0", "build_number": 0, "depends": [], "size": 5, "sha256": "` + hexSum("aaaaa") + `"}, ` +
		`"b-1-0.tar.bz2": {"name": "b", "version": "1", "build": "0", "build_number": 0, "depends": [], "size": 3, "md5": "%s"}}}`
	for _, dir := range []string{"/media/", "/store/"} {
		m.write(dir+"linux-64/repodata.json", fmt.Sprintf(index, "08f8e0260c64418510cefb2b06eee5cd")) // of bbb
		m.write(dir+"noarch/repodata.json", `{"packages": {}}`)
	}
	m.write("/store/linux-64/a-1-0.tar.bz2", "aaaaa")
	m.write("/store/linux-64/b-1-0.tar.bz2", "bbb")
	time.Sleep(3 * host.FileTick)
	m.write("/right", "")
	time.Sleep(3 * host.FileTick)
	return m
}

// What is missing, of another size or of another digest is found; with since= by reading only what changed after it.
func TestMirrorCompare(t *testing.T) {
	const a, b = "/store/linux-64/a-1-0.tar.bz2", "/store/linux-64/b-1-0.tar.bz2"
	gone := func(name string) func(*machine) {
		return func(m *machine) { m.must(os.Remove(filepath.Join(m.root, name))) }
	}
	holds := func(name, text string) func(*machine) { return func(m *machine) { m.write(name, text) } }
	for name, test := range map[string]struct {
		change func(*machine)
		want   string // without since=
		since  string // with it
	}{
		"nothing":        {func(*machine) {}, "[] 0 2", "[] 0 0"},
		"a package gone": {gone(a), `["linux-64/a-1-0.tar.bz2"] 5 1`, `["linux-64/a-1-0.tar.bz2"] 5 0`},
		"cut short":      {holds(a, "aaaa"), `["linux-64/a-1-0.tar.bz2"] 5 1`, `["linux-64/a-1-0.tar.bz2"] 5 0`},
		"a byte":         {holds(a, "aaaba"), `["linux-64/a-1-0.tar.bz2"] 5 2`, `["linux-64/a-1-0.tar.bz2"] 5 1`},
		"a byte, md5":    {holds(b, "bab"), `["linux-64/b-1-0.tar.bz2"] 3 2`, `["linux-64/b-1-0.tar.bz2"] 3 1`},
		"the same again": {holds(b, "bbb"), `[] 0 2`, `[] 0 1`},
		"an index gone":  {gone("/store/linux-64/repodata.json"), `[] 0 2`, `["linux-64/repodata.json"] 0 0`},
		"another index":  {holds("/store/noarch/repodata.json", "{}"), `[] 0 2`, `["noarch/repodata.json"] 0 1`},
		"something else": {holds("/store/linux-64/upload.tar.bz2", "x"), "[] 0 2", "[] 0 0"},
		"all gone":       {func(m *machine) { m.must(os.RemoveAll(filepath.Join(m.root, "/store"))) }, `["linux-64/a-1-0.tar.bz2", "linux-64/b-1-0.tar.bz2"] 8 0`, `["linux-64/a-1-0.tar.bz2", "linux-64/b-1-0.tar.bz2"] 8 0`},
		"a link to it":   {func(m *machine) { gone(a)(m); m.must(os.Symlink("/etc/passwd", filepath.Join(m.root, a))) }, `["linux-64/a-1-0.tar.bz2"] 5 1`, `["linux-64/a-1-0.tar.bz2"] 5 0`},
		"time set back": {func(m *machine) {
			holds(a, "aaaba")(m)
			m.must(os.Chtimes(filepath.Join(m.root, a), time.Unix(9, 0), time.Unix(9, 0)))
		}, `["linux-64/a-1-0.tar.bz2"] 5 2`, `["linux-64/a-1-0.tar.bz2"] 5 1`},
		"no such channel": {func(m *machine) { m.must(os.RemoveAll(filepath.Join(m.root, "/media/linux-64"))) }, "[] 0 0", "[] 0 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newStore(t)
			test.change(m)
			for more, want := range map[string]string{"": test.want, `, since = "/right", index = True`: test.since, `, since = "/none"`: test.want} {
				events, err := m.real(`c = mirror.compare("file:///media", "/store"` + more + ")\nlog('%s %d %d' % (c.differ, c.bytes, c.read))")
				if err != nil {
					t.Fatal(err)
				}
				if have := logged(events); have != want {
					t.Errorf("%s: got %s, want %s", more, have, want)
				}
			}
		})
	}
}

func TestMirrorCompareRefuses(t *testing.T) {
	m := newStore(t)
	m.fails(`mirror.compare("https://x/y", "/store")`, "want an absolute directory")
	m.fails(`mirror.compare("/none", "/store")`, "no such file")
	m.write("/media/noarch/repodata.json", "{")
	m.fails(`mirror.compare("/media", "/store")`, "channel /media/noarch/repodata.json: line 1")
	m.failsDry("run('true', touches = ['/store'])\nmirror.compare('/media', '/store', platforms = ['linux-64'])", "say what to assume")
	m.write("/media/noarch/repodata.json", "{}")
	events, err := m.dry("run('true', touches = ['/store'])\nc = mirror.compare('/media', '/store', assume = [])\nlog(str(c.differ))")
	if err != nil || logged(events) != "[]" {
		t.Errorf("got %v, %s", err, logged(events))
	}
}

// logged returns the last line of log().
func logged(events []trace.Event) (text string) {
	for _, e := range events {
		if e.Kind == trace.Log {
			text = e.Text
		}
	}
	return text
}
