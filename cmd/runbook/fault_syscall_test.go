package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"runbook/cmd/runbook/internal/lab"
)

// files is a runbook with every kind of change of files.
const files = `
def files():
    mkdir("/srv/a/b/c", mode = 0o750, owner = "www-data", group = "www-data")
    write("/srv/a/file", "text\n" * 5000, mode = 0o640, group = "adm")
    write("/srv/a/file", "other text\n", mode = 0o640, group = "adm")
    line("/srv/a/file", "one more line")
    line("/etc/hosts", "192.0.2.1 elsewhere")
    if not exists("/srv/moved"):
        copy("/usr/share/bash-completion", "/srv/copied", owner = "www-data")
        move("/srv/copied", "/srv/moved")
    run("tar -C /usr/share -cf /srv/a/some.tar bash-completion", creates = "/srv/a/some.tar")
    extract("/srv/a/some.tar", "/srv/a/b", owner = "www-data", group = "www-data")
    symlink("/srv/link", "a/file", owner = "www-data", group = "www-data")
    chown("/srv/moved", owner = "www-data", group = "adm")
    remove("/usr/share/gnupg")

step(files)
`

// changing are the calls of the kernel that effects change files with, each by kind. A kill takes the program before
// the call is carried out.
var changing = map[string][]string{
	"write":   {"fchownat", "fchmodat", "renameat"},
	"mkdir":   {"mkdirat", "fchownat", "fchmodat", "renameat2"},
	"symlink": {"symlinkat", "fchownat", "renameat2"},
	"meta":    {"fchownat"},
	"move":    {"renameat2"},
	"remove":  {"unlinkat"},
	"tree":    {"mkdirat", "fchownat", "fchmodat", "renameat", "utimensat"},
}

// A run that is killed in the middle of an effect, between two of the calls that it consists of, leaves nothing that
// the next run does not finish or clear away.
func TestKilledWithinEffects(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		lab.Skip(t, "strace: "+err.Error())
	}
	s := newFilesSite(t)
	s.run(0, "run", "/root/files.star", "--trace", "/root/whole.jsonl")
	want, whole := s.Snapshot(volatile()...), events(t, s, "/root/whole.jsonl")
	known := map[string]bool{}
	for i, e := range whole {
		for _, call := range changing[e.Call] {
			killWithin(t, i+1, call, known, want)
		}
	}
	if t.Logf("killed at %d calls", len(known)); len(known) < 30 {
		t.Errorf("strace killed the program at %d calls, want at least 30", len(known))
	}
}

func newFilesSite(t *testing.T) site {
	t.Helper()
	s := bareSite(t, lab.Options{})
	s.put("/root/files.star", files)
	return s
}

// killWithin kills the program at the next such call from an effect on, if it makes any, and runs it again. It
// returns the event that the kill came after, 0 without one. One that is known already is not looked into again.
func killWithin(t *testing.T, event int, call string, known map[string]bool, want lab.Snapshot) {
	t.Helper()
	s := newFilesSite(t)
	defer s.Kill()
	g := s.gate("/root/killed.jsonl", "run", "/root/files.star")
	g.hold(event)
	defer attach(t, g, call)()
	g.release()
	code := g.wait()
	where := fmt.Sprintf("%s after event %d", call, g.told())
	if code != -1 || known[where] {
		return
	}
	known[where] = true
	s.run(0, "run", "/root/files.star")
	if d := want.Diff(s.Snapshot(volatile()...)); len(d) > 0 {
		t.Errorf("killed at %s, the next run leaves:\n%s", where, strings.Join(d, "\n"))
	}
}

// attach has the program killed at its next such call.
func attach(t *testing.T, g *gated, call string) (detach func()) {
	t.Helper()
	pid := strconv.Itoa(g.cmd.Process.Pid)
	tracer := exec.Command("strace", "-f", "-o", "/dev/null", "-p", pid, "-e", "trace="+call, "-e", "inject="+call+":signal=SIGKILL")
	if err := tracer.Start(); err != nil {
		t.Fatal(err)
	}
	g.await("traces it", func() bool { return traced(pid) })
	return func() {
		tracer.Process.Kill()
		tracer.Wait()
	}
}

// traced reports whether all threads of a process have a tracer.
func traced(pid string) bool {
	threads, err := filepath.Glob("/proc/" + pid + "/task/*/status")
	for _, name := range threads {
		status, _ := os.ReadFile(name) // a thread may end
		if strings.Contains(string(status), "TracerPid:\t0\n") {
			return false
		}
	}
	return err == nil && len(threads) > 0
}
