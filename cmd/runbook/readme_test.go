package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/testscript"

	"runbook/builtins"
	"runbook/cmd/runbook/internal/lab"
	"runbook/runbooks"
	"runbook/runtime"
)

// The site's file of the README fits the shipped runbook, and so does each line of the one that init writes, uncommented.
func TestSiteExamples(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "## A site's own file")
	var code strings.Builder
	for line := range strings.Lines(text[:strings.Index(text, "\n## ")]) {
		if c, ok := strings.CutPrefix(line, "    "); ok || line == "\n" {
			code.WriteString(c)
		}
	}
	example, page, ok := strings.Cut(code.String(), "server {")
	if !ok {
		t.Error("README.md has no template")
	}
	uncommented := ""
	for n := range 8 {
		uncommented += tweak(t, n+1)
	}
	for name, src := range map[string]string{"README.md": example, "init": uncommented} {
		files := fstest.MapFS{siteName: {Data: []byte(src)}, "files/motd": {}, "files/conda.conf": {Data: []byte("server {" + page)}}
		site := &runtime.Site{FS: files, Name: siteName, Dir: "/srv"}
		lib := runtime.Library{Shipped: runbooks.FS, Site: site}
		book, err := runtime.New(builtins.All()...).Load(lib, "install.star", runtime.Inputs{})
		if err != nil || len(book.Tweaks) < 5 {
			t.Errorf("%s: %d tweaks, %v\n%s", name, len(book.Tweaks), err, src)
		}
		if mistakes := runtime.New(builtins.All()...).Diagnose(runtime.Library{Dir: site.FS, Shipped: runbooks.FS}, siteName); len(mistakes) > 0 {
			t.Errorf("%s: %v", name, mistakes)
		}
	}
}

// The shipped runbooks have the layout that fmt writes.
func TestShippedAreFormatted(t *testing.T) {
	p := newProgram()
	files, err := (&workshop{program: p}).shippedFiles()
	if err != nil || len(files) < 9 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		old := (&workshop{program: p}).text(name)
		if text, err := formatted(name, []byte(old)); err != nil || string(text) != old {
			t.Errorf("%s is not formatted: go run ./cmd/runbook fmt runbooks (%v)", name, err)
		}
	}
}

// The commands that the README has for approvals do what it says of them, with keys and signers as it names them.
func TestApprovalExample(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		lab.Skip(t, "no ssh-keygen")
	}
	commandsOf(t, "Approvals and signatures", 8, "exec sh keys.sh\n", `stdout '^  proved +author@example.org has signed this head, with the key SHA256:'
exists page
exec runbook audit diff plan.jsonl run.jsonl
stdout '^equal$'
-- web.star --
def site():
    write(host.cwd + "/page", "hello\n")
step(site)
-- keys.sh --
for k in author alice bob; do
    ssh-keygen -q -t ed25519 -N '' -f $k
    echo "$k@example.org $(cat $k.pub)" >>allowed_signers
done
sed -i "s:host.cwd:\"$PWD\":" web.star
`)
}

// The commands that the README has for undo do what it says.
func TestUndoExample(t *testing.T) {
	commandsOf(t, "Taking a run back", 6, "exec sh here.sh\n", `stdout '^confirmed: '
exists page
exec runbook audit diff undo-plan.jsonl undo.jsonl
stdout '^equal$'
-- web.star --
def site():
    write(host.cwd + "/page", "hello\n")
step(site)
-- here.sh --
sed -i "s:host.cwd:\"$PWD\":" web.star
`)
}

// commandsOf runs the commands of a section of the README between two parts of a script.
func commandsOf(t *testing.T, section string, want int, before, after string) {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "## "+section+"\n")
	script, commands := before, 0
	for line := range strings.Lines(text[:strings.Index(text, "\n## ")]) {
		if c, ok := strings.CutPrefix(line, "    runbook "); ok {
			c, _, _ = strings.Cut(c, "   ") // what it does
			script += "exec runbook " + strings.TrimSpace(c) + "\n"
			commands++
		}
	}
	if commands != want {
		t.Errorf("README.md has %d commands there, want %d", commands, want)
	}
	script += after
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "example.txtar"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: dir, Setup: func(env *testscript.Env) error {
		env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "xdg"))
		return nil
	}})
}
