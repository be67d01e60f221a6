package mirror

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"runbook/builtins/internal/choose"
	"runbook/builtins/internal/compress"
	"runbook/runtime/fetch"
	"runbook/runtime/host/sample"
)

// Mirrors that are to be killed are processes of their own: this test program again, with TestChild as its only test
// and a task in its environment.
const taskVariable = "RUNBOOK_MIRROR_TASK"

// A task is what such a process is to mirror.
type task struct {
	Root        string // of the machine
	Channels    []string
	Connections int
	Rate        int64
	Shards      bool
	User        int // who mirrors, if not who tests
}

// exitRefused is how a child ends whose mirror has failed with an error.
const exitRefused = 3

func TestChild(t *testing.T) {
	text, ok := os.LookupEnv(taskVariable)
	if !ok {
		t.Skip("only as a process that is killed")
	}
	var k task
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		t.Fatal(err)
	}
	if k.User != 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(k.User, k.User, k.User),
			syscall.Setresuid(k.User, k.User, k.User)); err != nil {
			t.Fatal(err)
		}
	}
	r := &rig{t, k.Root}
	l := r.local()
	c := fetch.New()
	c.Pause = time.Millisecond
	l.Net = c.Get
	if _, err := r.run(k.mirror(), l); err != nil {
		fmt.Fprintln(os.Stderr, advised(err))
		os.Exit(exitRefused)
	}
}

func (k task) mirror() *Mirror {
	return &Mirror{Config: choose.Config{Channels: k.Channels}, Dest: "/dst", Account: "acc",
		Connections: k.Connections, Rate: k.Rate, Shards: k.Shards}
}

// command is the process of a task, through the programs in wrap.
func (k task) command(t testing.TB, out *bytes.Buffer, wrap ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	args := append(wrap, self, "-test.run=^TestChild$", "-test.timeout=5m")
	c := exec.Command(args[0], args[1:]...)
	c.Env = append(os.Environ(), taskVariable+"="+string(text))
	c.Stdout, c.Stderr = out, out
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// exit returns how a process ended, -1 for a signal.
func exit(t testing.TB, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	e, ok := err.(*exec.ExitError)
	if !ok {
		t.Fatal(err)
	}
	return e.ExitCode()
}

// leaveOut skips a test, loudly. Where the environment says CI=true nothing may be left out, and the test fails.
func leaveOut(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("cannot run in CI: %s", reason)
	}
	t.Skipf("NOT TESTED HERE: %s", reason)
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		leaveOut(t, "needs root")
	}
}

// chance returns what a random test draws from. The same seed goes the same way, as far as the kernel lets it.
func chance(t testing.TB) *rand.Rand {
	t.Helper()
	const variable = "RUNBOOK_SEED"
	seed, err := strconv.ParseUint(os.Getenv(variable), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("%s=%d", variable, seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// long reports whether tests may take as long as they like.
func long() bool { return sample.Full() }

// newMemoryRig is a rig in memory, where nobody waits for a disk.
func newMemoryRig(t testing.TB) *rig {
	t.Helper()
	root, err := os.MkdirTemp("/dev/shm", "mirror")
	if err != nil {
		return newRig(t)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	r := &rig{t, root}
	r.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
	r.put("/etc/group", "root:x:0:\n")
	return r
}

// zstd compresses a text.
func zstd(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z, err := compress.NewZstd(&b)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(z, text)
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
