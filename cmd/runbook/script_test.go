package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"runbook/cmd/runbook/internal/lab"
	"runbook/runtime"
	"runbook/runtime/host"
)

var update = flag.Bool("update", false, "write the goldens of scripts and generated pages anew")

func TestMain(m *testing.M) {
	lab.MaybeInit()
	host.MaybeConfine()
	// Much of what the tests do is waiting for programs to come up. A -parallel of the command line goes before this.
	flag.Set("test.parallel", strconv.Itoa(3*goruntime.NumCPU()))
	testscript.Main(tidied{m}, map[string]func(){"runbook": scriptMain, "older": older})
}

// tidied runs the tests and clears up what they shared.
type tidied struct{ *testing.M }

func (s tidied) Run() int {
	defer os.RemoveAll(sharedDir())
	return s.M.Run()
}

// scriptMain is main, but root keeps its state where everybody else does, so
// that scripts meet neither each other nor this machine.
func scriptMain() {
	p := newProgram()
	p.rootState = filepath.Join(os.Getenv("XDG_STATE_HOME"), "runbook")
	p.syslog = os.Getenv("RUNBOOK_TEST_SYSLOG")
	os.Exit(p.main(os.Args[1:]))
}

// TestScripts runs testscripts/*.txtar: what the program promises to those who
// call it. They need no privileges and keep to their own directory.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testscripts",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "xdg"))
			env.Defer(func() { holdTracesAgainstSchema(env.T(), env.WorkDir) })
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "confines":
				return confines(), nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": exitsWith, "full": toFull, "waitfor": waitFor, "syslog": listenAsSyslog},
	})
}

// TestShippedRunbooks finds no mistakes in what is shipped.
func TestShippedRunbooks(t *testing.T) {
	p := newProgram()
	names := p.shippedNames()
	if len(names) == 0 {
		t.Fatal("no runbooks are shipped")
	}
	for _, name := range names {
		for _, d := range p.rt.Diagnose(runtime.Library{Shipped: p.shipped}, name) {
			t.Errorf("%s: %s (%s)", placeText(d), d.Message, d.Cure)
		}
	}
}

func TestEnvVars(t *testing.T) {
	have := envVars([]string{"RUNBOOK_VAR_AIRGAP=true", "RUNBOOK_VAR_dir=/a=b", "RUNBOOK_VAR_DIR=/c", "HOME=/root", "RUNBOOK_VARX=1"})
	for name, want := range map[string]string{"airgap": "true", "AIRGAP": "true", "dir": "/a=b", "HOME": ""} {
		if have[name] != want {
			t.Errorf("%s: got %q, want %q", name, have[name], want)
		}
	}
}

// exitsWith is a command of scripts: code N PROGRAM ARG... runs the program, which must exit with code N. It is exec otherwise:
// stdout, stderr and cmp look at what the program printed.
func exitsWith(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program [arg...]")
	}
	have := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		have = exit.ExitCode()
	}
	if strconv.Itoa(have) != args[0] {
		ts.Fatalf("%s: got exit code %d, want %s", strings.Join(args[1:], " "), have, args[0])
	}
}

// toFull is a command of scripts: full ARG... runs runbook with its output to a full disk, which must be said, with exit code 1.
func toFull(ts *testscript.TestScript, neg bool, args []string) {
	const lost = `runbook "$@" >/dev/full 2>err; code=$?; grep -q "^runbook: standard output: no space left on device$" err && exit $code; exit 99`
	exitsWith(ts, neg, append([]string{"1", "sh", "-c", lost, "sh"}, args...))
}

// waitFor is a command of scripts: waitfor FILE TEXT waits until the file holds the text.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitfor file text")
	}
	for range 600 {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && strings.Contains(string(text), args[1]) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s never held %q", args[0], args[1])
}

// listenAsSyslog is a command of scripts: syslog FILE is the system's log from there on, and appends to the file.
func listenAsSyslog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: syslog file")
	}
	dir, err := os.MkdirTemp("", "log") // the name of a socket has at most 107 bytes
	ts.Check(err)
	conn, err := net.ListenPacket("unixgram", filepath.Join(dir, "log"))
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Setenv("RUNBOOK_TEST_SYSLOG", filepath.Join(dir, "log"))
	ts.Defer(func() {
		conn.Close()
		f.Close()
		os.RemoveAll(dir)
	})
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			fmt.Fprintf(f, "%s\n", buf[:n])
		}
	}()
}
