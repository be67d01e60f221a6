package host_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"runbook/runtime/host"
)

// text is a kind of fact that is what a file holds.
var text = &host.Kind{Name: "text", Probe: func(ctx context.Context, r host.Reader, name string) (string, error) {
	lines, err := host.Lines(r, name)
	return strings.Join(lines, "\n"), err
}}

func TestCommandsThatLie(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := host.Fact{Kind: text, Name: filepath.Join(dir, "f")}
	for _, c := range []struct {
		name, script, want string
		cmd                host.Cmd
	}{
		{"true", `echo -n 1 >"$1"`, "", host.Cmd{Sets: map[host.Fact]string{f: "1"}}},
		{"present", `echo -n 1 >"$1"`, "", host.Cmd{Sets: map[host.Fact]string{f: host.Present}}},
		{"sets", ":", `did not take effect: want text:` + f.Name + ` = "1", have ""`, host.Cmd{Sets: map[host.Fact]string{f: "1"}}},
		{"sets absent", `echo -n 1 >"$1"`, `= "", have "1"`, host.Cmd{Sets: map[host.Fact]string{f: ""}}},
		{"makes", ":", "did not take effect: lstat " + f.Name, host.Cmd{Makes: []host.Entry{{Name: f.Name}}}},
		{"makes another type", `mkdir "$1"`, "want type file, have directory", host.Cmd{Makes: []host.Entry{{Name: f.Name}}}},
		{"link for a directory", `ln -s / "$1"`, "", host.Cmd{Makes: []host.Entry{{Name: f.Name, Meta: host.Meta{Mode: os.ModeDir}}}}},
		{"makes anything", `mkdir "$1"`, "", host.Cmd{Makes: []host.Entry{{Name: f.Name, Meta: host.Meta{Mode: os.ModeIrregular}}}}},
		{"assumes", ":", "", host.Cmd{Assumes: map[host.Fact]string{f: "1"}, Touches: []string{f.Name}}},
		{"fails", "echo out; echo one >&2; echo two >&2; exit 3", "exit status 3: one\ntwo", host.Cmd{}},
		{"fails silently", "echo out; exit 3", "exit status 3: out", host.Cmd{}},
		{"other status", "exit 3", "", host.Cmd{OK: []int{0, 3}}},
		{"zero is not in the list", "exit 0", "exit status 0", host.Cmd{OK: []int{3}}},
		{"already", "echo 'already there' >&2; exit 3", "", host.Cmd{Already: regexp.MustCompile("^already")}},
		{"already, but not", "echo 'already there' >&2; exit 3", "did not take effect",
			host.Cmd{Already: regexp.MustCompile("^already"), Sets: map[host.Fact]string{f: "1"}}},
		{"late", `(sleep 0.5; echo -n 1 >"$1") >/dev/null 2>&1 &`, "", host.Cmd{Sets: map[host.Fact]string{f: "1"}, Settle: 10 * time.Second}},
		{"too late", ":", "did not take effect", host.Cmd{Sets: map[host.Fact]string{f: "1"}, Settle: 300 * time.Millisecond}},
	} {
		os.RemoveAll(f.Name)
		c.cmd.Process = sh(c.script, f.Name)
		res, err := host.NewLocal("/").Exec(t.Context(), c.cmd)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		if c.name == "fails" && (res.Code != 3 || string(res.Stdout) != "out\n") {
			t.Errorf("the result of a failure is lost: %v", res)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "sh ") {
			t.Errorf("%s: %v does not say which command", c.name, err)
		}
	}
}

func TestExecForgetsFacts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	l := host.NewLocal("/")
	ask := func() string {
		v, err := l.Fact(t.Context(), host.Fact{Kind: text, Name: file})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	before := ask()
	os.WriteFile(file, []byte("behind its back"), 0o600)
	cached := ask()
	if _, err := l.Exec(t.Context(), host.Cmd{Process: host.Process{Argv: []string{"true"}}}); err != nil {
		t.Fatal(err)
	}
	if after := ask(); before != "" || cached != "" || after != "behind its back" {
		t.Errorf("got %q, %q, %q", before, cached, after)
	}
}

// TestPlantedLinks shows that what a user plants in his own directory does not
// lead root out of it.
func TestPlantedLinks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root is led astray")
	}
	dir := t.TempDir()
	l := host.NewLocal("/")
	outside, own := filepath.Join(dir, "outside"), filepath.Join(dir, "own")
	secret := filepath.Join(outside, "secret")
	os.MkdirAll(outside, 0o755)
	os.MkdirAll(own, 0o755)
	os.WriteFile(secret, []byte("secret"), 0o600)
	os.Symlink(outside, filepath.Join(own, "dir"))
	os.Symlink(secret, filepath.Join(own, "file"))
	if err := l.Chown(own, host.Owner{User: "65534", Group: "65534"}, 3); err != nil {
		t.Fatal(err)
	}
	if err := l.WriteFile(filepath.Join(own, "file"), host.Bytes([]byte("x")), host.Meta{Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	m := host.Manifest{{Name: "dir/x", Meta: host.Meta{Mode: 0o644}}}
	if err := l.WriteTree(t.Context(), own, m.All(), func(context.Context, *host.Root) error { return nil }); err == nil {
		t.Error("a manifest leads through a link")
	}
	err := l.WriteTree(t.Context(), own, host.Manifest(nil).All(), func(_ context.Context, r *host.Root) error {
		return r.WriteFile("dir/x", nil, 0o644)
	})
	if err == nil {
		t.Error("a fill left its root")
	}
	if err := l.Remove(own, 0); err != nil {
		t.Fatal(err)
	}
	fi, err := l.Lstat(secret)
	if data, _ := os.ReadFile(secret); err != nil || fi.User != l.Self().User || string(data) != "secret" {
		t.Errorf("what lies outside was changed: %v %q %v", fi.Owner, data, err)
	}
	if names, _ := l.ReadDir(outside); len(names) != 1 {
		t.Errorf("outside there is %q", names)
	}
}
