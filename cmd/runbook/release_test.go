package main

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"strings"
	"testing"

	"runbook/cmd/runbook/internal/lab"
	"runbook/runtime/host/sample"
)

const releaseVersion = "1.2.3-test"

// TestRelease makes a release twice, in different places, and installs both its packages on bare hosts.
func TestRelease(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "a release takes minutes")
	if os.Geteuid() != 0 {
		lab.Skip(t, "packages are installed as root")
	}
	copied := t.TempDir()
	if out, err := exec.Command("cp", "-a", top+"/.", copied).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	dir, again := t.TempDir(), t.TempDir()
	makeRelease(t, top, "022", releaseVersion, dir)
	makeRelease(t, copied, "077", "v"+releaseVersion, again)
	digests := checkDigests(t, dir)
	if other := checkDigests(t, again); other != digests {
		t.Errorf("built elsewhere the same files are\n%s, want\n%s", other, digests)
	}
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		checkStatic(t, filepath.Join(dir, "runbook-"+releaseVersion+"-linux-"+arch), machine)
	}
	rpmArch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[goruntime.GOARCH]
	for _, p := range []packaged{
		{"*_" + goruntime.GOARCH + ".deb", "dpkg -i", "dpkg -V runbook", "dpkg -r runbook", "zsh/vendor-completions"},
		{"*." + rpmArch + ".rpm", "rpm -i", "rpm -V runbook", "rpm -e runbook", "zsh/site-functions"},
	} {
		t.Run(strings.Fields(p.install)[0], func(t *testing.T) { p.check(t, dir) })
	}
}

// A refusal of .ci/release says what to do, and leaves nothing behind.
func TestReleaseRefuses(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		lab.Skip(t, "a release comes from git: "+err.Error())
	}
	release, err := filepath.Abs(top + "/.ci/release")
	if err != nil {
		t.Fatal(err)
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ version, dir, want string }{
		{"devel", full + "/new", "want one like 1.2.0"},
		{"1.2", full + "/new", "want one like 1.2.0"},
		{"1.2.0", full, "is not empty"},
	} {
		out, err := exec.Command(release, c.version, c.dir).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: got %v %s, want %q", c.version, err, out, c.want)
		}
	}
	clone := t.TempDir()
	const commit = "git add .ci && git -c user.name=a -c user.email=a@b commit -qm release"
	for _, c := range []struct{ script, want string }{
		{"git init -q && mkdir .ci && cp $RELEASE .ci && " + commit, "the commit has no tag"},
		{"git tag v1.2.0 && echo >>.ci/release", "files were edited since the tag"},
		{"git checkout -q .ci && git tag -d v1.2.0 && git tag latest", "got the version latest"},
	} {
		sh := exec.Command("sh", "-c", "("+c.script+") >&2 && .ci/release")
		sh.Dir, sh.Env = clone, append(os.Environ(), "RELEASE="+release)
		if out, err := sh.CombinedOutput(); err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: got %v %s, want %q", c.script, err, out, c.want)
		}
	}
	if left, err := os.ReadDir(full); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
}

// makeRelease runs .ci/release of the tree at top. A test without a network is left out.
func makeRelease(t *testing.T, top, umask, version, dir string) {
	t.Helper()
	c := exec.Command("sh", "-c", `umask "$1" && exec .ci/release "$2" "$3"`, "sh", umask, version, dir)
	c.Dir = top
	out, err := c.CombinedOutput()
	switch {
	case err == nil:
	case regexp.MustCompile(`dial tcp|no such host|proxyconnect|GOPROXY=off`).Match(out):
		lab.Skip(t, fmt.Sprintf("no module proxy: %s", out))
	default:
		t.Fatalf(".ci/release: %v\n%s", err, out)
	}
}

// checkDigests holds the files of a release against its SHA256SUMS, which it returns.
func checkDigests(t *testing.T, dir string) string {
	t.Helper()
	sums, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, f := range files {
		if f.Name() == "SHA256SUMS" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "%x  %s\n", sha256.Sum256(text), f.Name())
	}
	if want.String() != string(sums) || len(files) != 9 {
		t.Errorf("got SHA256SUMS of\n%s, want\n%s", sums, &want)
	}
	return string(sums)
}

// checkStatic looks at a binary and at its bill of materials.
func checkStatic(t *testing.T, name string, machine elf.Machine) {
	t.Helper()
	f, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != machine {
		t.Errorf("%s is for %v, want %v", name, f.Machine, machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is not static: it has %v", name, p.Type)
		}
	}
	var bill struct {
		BOMFormat  string
		Metadata   struct{ Component struct{ Version string } }
		Components []struct{ Name, Version string }
	}
	text, err := os.ReadFile(name + ".cdx.json")
	if err == nil {
		err = json.Unmarshal(text, &bill)
	}
	if err != nil || bill.BOMFormat != "CycloneDX" || bill.Metadata.Component.Version != "v"+releaseVersion {
		t.Errorf("%s: %v, %+v", name, err, bill)
	}
	for _, want := range []string{"go.starlark.net", "github.com/klauspost/compress", "std"} {
		if !bytes.Contains(text, []byte(`"name": "`+want+`"`)) {
			t.Errorf("%s: got no %s in the bill of materials", name, want)
		}
	}
}

// A packaged program is what one kind of package manager installs: the package's name, how, and what differs.
type packaged struct{ name, install, verify, remove, zsh string }

// check installs the package of a release on a bare host, works with it, and removes it.
func (p packaged) check(t *testing.T, dir string) {
	j := lab.New(t, lab.Options{})
	j.Bind(dir, "/release")
	j.Must("rm -f /etc/dpkg/dpkg.cfg.d/*") // the base root leaves manuals out
	install := p.install + " /release/" + p.name
	gone := p.remove + " && ! test -e /usr/bin/runbook && ! test -e /usr/share/runbook && ! test -e " + manPage("runbook")
	j.Must(install + " && " + gone + " && ! test -e /var/lib/runbook") // nothing ran, nothing is left

	j.Must(install)
	want := `^runbook ` + releaseVersion + ` commit ([0-9a-f]{12}|unknown)( modified)?, go1\.`
	if version := j.Must("runbook version"); !regexp.MustCompile(want).MatchString(version) {
		t.Errorf("got the version %q", version)
	}
	if got := j.Must("stat -c '%a %U %G' /var/lib/runbook"); got != "700 root root\n" {
		t.Errorf("the state directory is %q", got)
	}
	p.checkFiles(t, j)

	said := j.Must(`cd /root
		runbook run quickstart.star --var serve=false
		runbook run /usr/share/runbook/quickstart.star --var serve=false 2>&1`)
	if !strings.Contains(said, ": 15 changed") || !strings.Contains(said, ": 21 already so") {
		t.Errorf("the quick start says\n%s", said)
	}
	if got := j.Must(p.verify); got != "" {
		t.Errorf("what was installed is not as it was: %s", got)
	}
	j.Must(gone)
	if got := j.Must("ls /var/lib/runbook/traces/*.jsonl | wc -l; stat -c %a /var/lib/runbook"); got != "2\n700\n" {
		t.Errorf("what is left of the runs is %q", got)
	}
	j.Must(install + " && for f in /var/lib/runbook/traces/*.jsonl; do runbook audit verify $f || exit 1; done")
}

// checkFiles looks at what lies beside the program: manuals, completions, runbooks.
func (p packaged) checkFiles(t *testing.T, j *lab.Jail) {
	for shell, file := range map[string]string{"bash": "bash-completion/completions/runbook",
		"zsh": p.zsh + "/_runbook", "fish": "fish/vendor_completions.d/runbook.fish"} {
		j.Must("runbook completion " + shell + " | cmp - /usr/share/" + file)
	}
	got := j.Must(". /usr/share/bash-completion/completions/runbook && complete -p runbook")
	if !strings.Contains(got, "__start_runbook") {
		t.Errorf("bash completes with %q", got)
	}
	for _, c := range paths(newProgram().rootCommand()) {
		if page := j.Must("zcat " + manPage(c)); !strings.Contains(page, "\n.TH ") {
			t.Errorf("the man page of %q is %.100q", c, page)
		}
	}
	j.Must(`runbook init /root/books
		cd /root/books
		for f in $(ls *.star lib/*.star | grep -v ^runbook); do cmp $f /usr/share/runbook/$f || exit 1; done`)
	j.Must("runbook check /usr/share/runbook && test -f /usr/share/runbook/systemd/runbook-check.timer")
}

// manPage is where the page of a command lies.
func manPage(command string) string {
	return "/usr/share/man/man1/" + strings.ReplaceAll(command, " ", "-") + ".1.gz"
}
