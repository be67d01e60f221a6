package host_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"runbook/runtime/host"
)

func argv(words ...string) host.Process {
	return host.Process{Argv: append([]string{"true"}, words...)}
}

func TestQueryInADryRun(t *testing.T) {
	dir := t.TempDir()
	ok(t, os.MkdirAll(filepath.Join(dir, "kept/in"), 0o755), os.MkdirAll(filepath.Join(dir, "changed/in"), 0o755),
		os.Symlink("changed", filepath.Join(dir, "link")))
	var notes []string
	o := host.NewOverlay(host.NewLocal("/"), host.Owner{})
	o.Assume = func(n string) { notes = append(notes, n) }
	ask := func(p host.Process) error { _, err := o.Query(t.Context(), p); return err }
	ok(t, ask(argv(dir+"/changed/in")))
	if err := ask(host.Process{Argv: []string{"no-such-program-here"}}); !errors.Is(err, exec.ErrNotFound) || errors.Is(err, host.ErrUnknown) {
		t.Errorf("got %v", err)
	}
	if len(notes) > 0 {
		t.Errorf("nothing has changed, but assumed is %q", notes)
	}
	ok(t, o.WriteFile(dir+"/changed/in/f", host.Bytes(nil), host.Meta{Mode: 0o644}), o.Remove("/usr/local/bin/no-such-tool", 0))

	for name, p := range harmless(dir) {
		notes = nil
		if err := ask(p); err != nil || len(notes) != 1 {
			t.Errorf("%s: got %v, notes %q", name, err, notes)
		}
	}
	for name, p := range harmful(dir) {
		notes = nil
		if err := ask(p); !errors.Is(err, host.ErrUnknown) || len(notes) > 0 {
			t.Errorf("%s: got %v, notes %q; want it to be unknown", name, err, notes)
		}
	}
	if err := ask(argv("x", "--f="+dir+"/changed")); err == nil || !strings.Contains(err.Error(), "--f=") {
		t.Errorf("%v does not name the word", err)
	}
	notes = nil
	if _, err := o.Fact(t.Context(), host.Fact{Kind: host.User, Name: "no-such-user-here"}); err != nil || len(notes) > 0 {
		t.Errorf("a probe is no assumption: %q %v", notes, err)
	}
}

// harmless are queries that nothing below dir/changed can matter to.
func harmless(dir string) map[string]host.Process {
	return map[string]host.Process{
		"other directory": argv(dir + "/kept"), "no path": argv("-q", "name", "a/b"), "beside": argv(dir + "/changed/in/g"),
		"same beginning": argv(dir+"/chan", dir+"/changed/in/ff"), "name inside": argv("x" + dir + "/changed/in/f"),
	}
}

func harmful(dir string) map[string]host.Process {
	return map[string]host.Process{
		"is": argv(dir + "/changed/in/f"), "contains": argv(dir + "/changed"), "contains all": argv("/"), "below": argv(dir + "/changed/in/f/g"),
		"option": argv("--config=" + dir + "/changed/in/f"), "short option": argv("-C" + dir + "/changed"), "url": argv("file://" + dir + "/changed/in/f"),
		"list": argv("/usr:" + dir + "/changed"), "unclean": argv(dir + "//kept/../changed/./in"), "through a link": argv(dir + "/link/in/f"),
		"shell": {Argv: []string{"sh", "-c", "cat '" + dir + "/changed/in/f' | wc -l"}}, "cwd": {Argv: []string{"true"}, Dir: dir + "/changed"},
		"relative": {Argv: []string{"true", "../changed/in"}, Dir: dir + "/kept"}, "stdin": {Argv: []string{"cat"}, Stdin: []byte("include " + dir + "/changed/in/f\n")},
		"env": {Argv: []string{"true"}, Env: map[string]string{"CONF": dir + "/changed"}}, "program": {Argv: []string{dir + "/changed/in/f"}},
		"new program": {Argv: []string{"no-such-tool"}}, "missing program": {Argv: []string{"no-such-program-here"}}, "missing user": {Argv: []string{"true"}, User: "no-such-user-here"},
	}
}

func TestDiskFree(t *testing.T) {
	dir := t.TempDir()
	ok(t, os.WriteFile(dir+"/old", make([]byte, 1000), 0o644))
	base := host.NewLocal("/")
	o := host.NewOverlay(base, host.Owner{})
	free := func(r host.Reader, name string) (int64, string) {
		t.Helper()
		v, err := r.Fact(t.Context(), host.Fact{Kind: host.DiskFree, Name: name})
		n, mount, found := strings.Cut(v, " ")
		bytes, err2 := strconv.ParseInt(n, 10, 64)
		if err != nil || err2 != nil || !found {
			t.Skipf("SKIPPED: df does not tell: %q %v %v", v, err, err2)
		}
		return bytes, mount
	}
	before, mount := free(base, dir) // the base remembers it, so that others' writes do not matter
	if n, m := free(base, "/proc/none"); m == mount || n == before {
		t.Errorf("another file system has the same %d bytes at %s", n, m)
	}
	lazy := host.Unknown("x")
	ok(t, o.WriteFile(dir+"/old", lazy, host.Meta{Mode: 0o644, Size: 5000}), o.WriteFile(dir+"/gone", lazy, host.Meta{Mode: 0o644, Size: 1 << 40}), o.Remove(dir+"/gone", 1))
	for _, name := range []string{dir, dir + "/old"} {
		if n, _ := free(o, name); name == dir && n != before-4000 {
			t.Errorf("%s: got %d, want %d less 4000", name, n, before)
		}
	}
	ok(t, o.Mkdir(dir+"/new", host.Meta{Mode: 0o755}), o.WriteFile(dir+"/new/huge", lazy, host.Meta{Mode: 0o644, Size: 1 << 60}))
	if n, m := free(o, dir+"/new/deeper"); n != 0 || m != mount {
		t.Errorf("got %d at %s, want 0 at %s", n, m, mount)
	}
}

func TestPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	name := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	ask := func(name string) (string, error) {
		return host.NewLocal("/").Fact(t.Context(), host.Fact{Kind: host.Port, Name: name})
	}
	comm, err := os.ReadFile("/proc/self/comm")
	ok(t, err)
	if v, err := ask(name); v != strings.TrimSpace(string(comm)) || err != nil {
		t.Errorf("got %q %v, want %q", v, err, comm)
	}
	ok(t, l.Close())
	if v, err := ask(name); v != "" || err != nil {
		t.Errorf("got %q %v, want nobody", v, err)
	}
	if _, err := ask("ssh"); err == nil {
		t.Error("a port without a number")
	}
}

func TestSelf(t *testing.T) {
	l := host.NewLocal("/")
	if v, err := l.Fact(t.Context(), host.Fact{Kind: host.Self}); v != l.Self().User || err != nil {
		t.Errorf("got %q %v, want %q", v, err, l.Self().User)
	}
}
