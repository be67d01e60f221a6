package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"runbook/cmd/runbook/internal/lab"
	"runbook/runtime/trace"
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
	points := halts(whole)
	var killed atomic.Int32
	t.Run("at", func(t *testing.T) {
		for _, c := range points {
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				if killWithin(t, c, want) {
					killed.Add(1)
				}
			})
		}
	})
	if n := killed.Load(); n < 30 {
		t.Errorf("strace killed the program at %d calls, want at least 30", n)
	}
}

// A halt is a call of the kernel within an effect, at which the program is killed.
type halt struct {
	event        int // the effect, counted among the events of the trace
	effect, call string
}

func (c halt) String() string { return fmt.Sprintf("%03d-%s-%s", c.event, c.effect, c.call) }

// halts lists the calls that the effects of a run are made of, or may be.
func halts(all []trace.Event) (points []halt) {
	for i, e := range all {
		for _, call := range changing[e.Call] {
			points = append(points, halt{i + 1, e.Call, call})
		}
	}
	return points
}

func newFilesSite(t *testing.T) site {
	t.Helper()
	s := bareSite(t, lab.Options{})
	s.put("/root/files.star", files)
	return s
}

// killWithin kills the program at the next such call from an effect on and runs it again. It reports whether the program
// made such a call.
func killWithin(t *testing.T, c halt, want lab.Snapshot) bool {
	t.Helper()
	s := newFilesSite(t)
	defer s.Kill()
	g := s.gate("/root/killed.jsonl", "run", "/root/files.star")
	g.hold(c.event)
	defer attach(t, g, c.call)()
	g.release()
	if g.wait() != -1 {
		return false
	}
	told := g.told()
	s.run(0, "run", "/root/files.star")
	if d := want.Diff(s.Snapshot(volatile()...)); len(d) > 0 {
		t.Errorf("killed after event %d, the next run leaves:\n%s", told, strings.Join(d, "\n"))
	}
	return true
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
