package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"runbook/runtime/host"
	"runbook/runtime/host/hosttest"
	"runbook/runtime/host/sample"
)

func sh(script string, args ...string) host.Process {
	return host.Process{Argv: append([]string{"sh", "-c", script, "sh"}, args...)}
}

func query(t *testing.T, p host.Process) host.Result {
	t.Helper()
	res, err := host.NewLocal("/").Query(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestProcessGetsLittle(t *testing.T) {
	t.Setenv("SECRET", "leaked")
	t.Setenv("PATH", "/nowhere")
	t.Setenv("https_proxy", "http://proxy:1")
	p := sh("env; pwd; cat; cut -d' ' -f1,5,6 /proc/self/stat; tty")
	p.Stdin, p.Env = []byte("given\n"), map[string]string{"MORE": "more"}
	out := string(query(t, p).Stdout)
	for _, want := range []string{"PATH=/usr/local/sbin:", "HOME=", "USER=", "LOGNAME=", "SHELL=", "LANG=C.UTF-8\n",
		"https_proxy=http://proxy:1\n", "MORE=more\n", "given\n", "not a tty"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "leaked") {
		t.Error("the caller's environment reaches processes")
	}
	p = sh("cat; echo end")
	if out := string(query(t, p).Stdout); out != "end\n" {
		t.Errorf("standard input is not empty: %q", out)
	}
}

func TestProcessStatus(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -TERM $$": 143} {
		if res := query(t, sh(script)); res.Code != want {
			t.Errorf("%s: got %d, want %d", script, res.Code, want)
		}
	}
	l := host.NewLocal("/")
	for _, argv := range [][]string{{"no-such-program-here"}, {"/no/such/program"}} {
		if _, err := l.Query(t.Context(), host.Process{Argv: argv}); !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("%q: got %v", argv, err)
		}
	}
	script := filepath.Join(t.TempDir(), "script")
	os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755)
	if _, err := l.Query(t.Context(), host.Process{Argv: []string{script}}); err == nil || !strings.Contains(err.Error(), "interpreter") {
		t.Errorf("got %v", err)
	}
	for _, argv := range [][]string{nil, {""}, {"/etc/passwd"}} {
		if _, err := l.Query(t.Context(), host.Process{Argv: argv}); err == nil {
			t.Errorf("%q: no error", argv)
		}
	}
}

func TestProcessAsAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can become another user")
	}
	root := hosttest.Machine(t)
	l := host.NewLocal(root) // accounts are those of the machine, programs are ours
	os.Mkdir(filepath.Join(root, "home"), 0o755)
	os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("nobody:x:65534:65534::/home:/bin/false\n"), 0o644)
	p := sh("id -u; id -g; id -G; echo $HOME $USER $SHELL; pwd")
	p.User = "nobody"
	res, err := l.Query(t.Context(), p)
	want := fmt.Sprintf("65534\n65534\n65534 2000\n/home nobody /bin/false\n%s/home\n", root)
	if string(res.Stdout) != want || err != nil {
		t.Errorf("got %s%s %v, want %s", res.Stdout, res.Stderr, err, want)
	}
	p.User = "no-such-user-here"
	if _, err := l.Query(t.Context(), p); err == nil || !strings.Contains(err.Error(), "no user") {
		t.Errorf("got %v", err)
	}
}

// wait fails if f is not true soon.
func wait(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 100 {
		if f() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("not in time: ", what)
}

func pids(t *testing.T, file string, n int) (pids []int) {
	t.Helper()
	wait(t, file, func() bool {
		data, _ := os.ReadFile(file)
		pids = nil
		for f := range strings.FieldsSeq(string(data)) {
			pid, _ := strconv.Atoi(f)
			pids = append(pids, pid)
		}
		return len(pids) == n
	})
	return pids
}

// alive is false for what has ended, whether somebody has noticed or not.
func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(data, []byte(") Z "))
}

func TestCancelEndsTheGroup(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it waits as long as a run does for commands to end")
	for name, c := range map[string]struct {
		script string
		n      int
		killed bool // only SIGKILL ends it
	}{
		"obedient":     {`echo $$ >>"$1"; sleep 60`, 1, false},
		"ignores TERM": {`trap "" TERM; echo $$ >>"$1"; while :; do sleep 1; done`, 1, true},
		"double fork":  {`( sh -c 'echo $$ >>"$1"; sleep 60' sh "$1" & ); echo $$ >>"$1"; sleep 60`, 2, false},
		"stubborn grandchild": {`( sh -c 'trap "" TERM; echo $$ >>"$1"; while :; do sleep 1; done' sh "$1" & )
			echo $$ >>"$1"; sleep 60`, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cancelled(t, c.script, c.n, c.killed)
		})
	}
}

func cancelled(t *testing.T, script string, n int, killed bool) {
	file := filepath.Join(t.TempDir(), "pids")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := host.NewLocal("/").Exec(ctx, host.Cmd{Process: sh(script, file)})
		done <- err
	}()
	group := pids(t, file, n)
	cancel()
	begin := time.Now()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); killed != (took >= host.Grace) {
		t.Errorf("took %v, grace is %v", took, host.Grace)
	}
	wait(t, "their end", func() bool { return !slices.ContainsFunc(group, alive) })
}

func TestPipeHoldersDoNotHang(t *testing.T) {
	for name, script := range map[string]string{
		"daemon":              `sleep 30 & echo $! >"$1"; echo done`,
		"daemon, own session": `setsid sh -c 'echo $$ >"$1"; exec sleep 30' sh "$1" & while ! [ -s "$1" ]; do sleep 0.05; done; echo done`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pids")
			begin := time.Now()
			res := query(t, sh(script, file))
			if took := time.Since(begin); took > 5*time.Second || string(res.Stdout) != "done\n" {
				t.Errorf("took %v, got %q", took, res.Stdout)
			}
			daemon := pids(t, file, 1)[0]
			if !alive(daemon) {
				t.Error("what a command leaves running was ended")
			}
			syscall.Kill(daemon, syscall.SIGKILL)
		})
	}
}

func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := host.NewLocal("/").Exec(ctx, host.Cmd{Process: host.Process{Argv: []string{"sleep", "60"}}})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "sleep 60: was stopped") {
		t.Errorf("got %v", err)
	}
}

func TestCriticalIsSeenThrough(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pids")
	ctx, cancel := context.WithCancel(t.Context())
	var live bytes.Buffer
	c := host.Cmd{Critical: true, Process: sh(`trap "echo got a signal" TERM INT HUP; echo $$ >"$1"; sleep 1; echo complete; cut -d" " -f1,6 /proc/$$/stat`, file)}
	c.Output = &live
	go func() {
		pids(t, file, 1)
		cancel()
	}()
	res, err := host.NewLocal("/").Exec(ctx, c)
	pid := pids(t, file, 1)[0]
	want := fmt.Sprintf("complete\n%d %d\n", pid, pid) // it leads a session, so no hang-up reaches it
	if err != nil || string(res.Stdout) != want || live.String() != want {
		t.Errorf("got %q, live %q, %v; want %q", res.Stdout, live.String(), err, want)
	}
}

func TestOutputIsKeptInPart(t *testing.T) {
	var all bytes.Buffer
	p := sh(`echo first; head -c 5000000 /dev/zero; echo last; echo to stderr >&2`)
	p.Output = &all
	res := query(t, p)
	if n := len(res.Stdout); n < 1<<20 || n > 1<<20+100 {
		t.Errorf("kept %d bytes, want about 1 MiB", n)
	}
	cut := regexp.MustCompile(`\n\[\.\.\. (\d+) bytes left out \.\.\.\]\n`).FindSubmatch(res.Stdout)
	if !bytes.HasPrefix(res.Stdout, []byte("first\n")) || !bytes.HasSuffix(res.Stdout, []byte("last\n")) || cut == nil {
		t.Errorf("begins %q, ends %q, cut %q", res.Stdout[:10], res.Stdout[len(res.Stdout)-10:], cut)
	} else if n, _ := strconv.Atoi(string(cut[1])); n+len(res.Stdout)-len(cut[0]) != 5000000+len("first\nlast\n") {
		t.Errorf("says that %d are left out", n)
	}
	if all.Len() != 5000000+len("first\nlast\nto stderr\n") {
		t.Errorf("passed on %d bytes", all.Len())
	}
}
