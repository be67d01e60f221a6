package host_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"runbook/runtime/host"
)

// confined asks as an overlay does, and skips where this machine confines nothing.
func confined(t *testing.T, p host.Process) host.Result {
	t.Helper()
	l := host.NewLocal("/")
	l.Helper = "/proc/self/exe"
	p.Confined = true
	res, err := l.Query(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if res.Loose != "" {
		t.Skip("NOT TESTED: " + res.Loose)
	}
	return res
}

func TestMain(m *testing.M) {
	host.MaybeConfine()
	os.Exit(m.Run())
}

func TestConfinedCommandsOnlyRead(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own")
	if err := os.WriteFile(own, []byte("as it was\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for name, script := range map[string]string{
		"write":     "echo changed >" + own,
		"chmod":     "chmod 600 " + own,
		"remove":    "rm " + own,
		"make":      "mkdir " + dir + "/new",
		"touch":     "touch " + own,
		"tmp":       "touch /tmp/confined-test",
		"shm":       "touch /dev/shm/confined-test",
		"proc":      "echo 1000 >/proc/self/oom_score_adj",
		"sys":       "echo x >/proc/sys/kernel/domainname",
		"remount":   "mount -o remount,rw,bind / && touch " + own,
		"network":   "bash -c 'exec 3<>/dev/tcp/127.0.0.1/" + port + "'",
		"node":      "mknod " + dir + "/null c 1 3",
		"namespace": "nsenter -t 1 -m true",
	} {
		t.Run(name, func(t *testing.T) {
			if res := confined(t, sh(script)); res.Code == 0 {
				t.Errorf("%s: got exit status 0: %s%s", script, res.Stdout, res.Stderr)
			}
		})
	}
	if text, err := os.ReadFile(own); string(text) != "as it was\n" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
}

// It reads what it could read without that, with the same environment, and can use
// the harmless devices.
func TestConfinedCommandsReadTheSame(t *testing.T) {
	script := `set -e; id; env; pwd; umask; cat; cat /etc/passwd; echo out >/dev/null; head -c 4 /dev/zero | wc -c
		tr '\0' '\n' </proc/$PPID/cmdline; stat -c '%U %a' /etc/shadow; pgrep -c . >/dev/null; ls /proc/self/fd | wc -l`
	p := sh(script)
	p.Stdin, p.Env = []byte("given\n"), map[string]string{"MORE": "more"}
	have, want := confined(t, p), query(t, p)
	if os.Geteuid() != 0 { // who else is there cannot be told in a namespace of users
		t.Skip("NOT TESTED: needs root")
	}
	if string(have.Stdout) != string(want.Stdout) || string(have.Stderr) != string(want.Stderr) || have.Code != want.Code {
		t.Errorf("got %d\n%s%s\nwant %d\n%s%s", have.Code, have.Stdout, have.Stderr, want.Code, want.Stdout, want.Stderr)
	}
}

// It becomes the account that it was to run as.
func TestConfinedCommandsRunAsOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: needs root")
	}
	p := sh("id; head -c 1 /etc/shadow")
	p.User = "nobody"
	have, want := confined(t, p), query(t, p)
	if string(have.Stdout) != string(want.Stdout) || have.Code == 0 || !strings.Contains(string(want.Stdout), "(nobody)") {
		t.Errorf("got %s, want %s", have.Stdout, want.Stdout)
	}
}

// A confined command sends signals to what it started, to nothing else.
func TestConfinedCommandsSignal(t *testing.T) {
	if res := confined(t, sh("sleep 60 & kill $! && wait $!")); res.Code != 143 {
		t.Errorf("its own child: got %d, %s", res.Code, res.Stderr)
	}
	version, _, _ := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if int(version) < 6 {
		t.Skip("NOT TESTED: this kernel keeps no signals back")
	}
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()
	defer other.Process.Kill()
	if res := confined(t, sh("kill -9 \"$1\"", strconv.Itoa(other.Process.Pid))); res.Code == 0 {
		t.Error("it ended a process that it had not started")
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error(err)
	}
}

func TestConfiningIsCheap(t *testing.T) {
	confined(t, sh("true"))
	best := time.Hour
	for range 20 {
		began := time.Now()
		confined(t, sh("true"))
		confinedFor := time.Since(began)
		began = time.Now()
		query(t, sh("true"))
		best = min(best, confinedFor-time.Since(began))
	}
	t.Logf("costs %s", best)
	if best > 10*time.Millisecond {
		t.Errorf("got %s more for a confined command, want at most 10 ms", best)
	}
}

func TestConfinedFailuresAreTheSame(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	l := host.NewLocal("/")
	l.Helper = "/proc/self/exe"
	p := host.Process{Argv: []string{script}}
	_, want := l.Query(t.Context(), p)
	p.Confined = true
	_, have := l.Query(t.Context(), p)
	if have == nil || want == nil || have.Error() != want.Error() || !strings.Contains(have.Error(), "interpreter") {
		t.Errorf("got %v, want %v", have, want)
	}
}
