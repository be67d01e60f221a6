package lab

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const orphanEnv = "RUNBOOK_LAB_ORPHAN"

// A test process that is killed leaves nothing behind. This test starts itself as the process that is killed.
func TestKilledTest(t *testing.T) {
	if os.Getenv(orphanEnv) != "" {
		j := New(t, Options{})
		p, err := j.Start(Cmd{Argv: []string{"setsid", "sleep", "60"}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("pids", j.PID(), p.PID())
		select {}
	}
	Base(t) // here, since the other process has a deadline
	c := exec.Command("/proc/self/exe", "-test.run=^TestKilledTest$", "-test.timeout=30s")
	c.Env = append(os.Environ(), orphanEnv+"=1", "TMPDIR="+t.TempDir()) // it cleans up nothing itself
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []string
	for lines := bufio.NewScanner(out); len(pids) == 0 && lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "pids "); ok {
			pids = strings.Fields(rest)
		}
	}
	c.Process.Kill()
	c.Wait()
	if len(pids) != 2 {
		t.Fatalf("got pids %v", pids)
	}
	for _, pid := range pids {
		if !gone(pid) {
			t.Errorf("process %s of the jail outlived the test", pid)
		}
	}
}

// gone waits up to five seconds until a process is no more, or nobody's zombie.
func gone(pid string) bool {
	n, _ := strconv.Atoi(pid)
	for range 500 {
		stat, _ := os.ReadFile("/proc/" + pid + "/stat")
		if syscall.Kill(n, 0) == syscall.ESRCH || strings.Contains(string(stat), ") Z ") {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
