package mirror

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host/sample"
)

// calls are what a mirror changes its tree with.
var calls = []string{"openat", "write", "renameat", "fsync", "syncfs", "unlinkat", "mkdirat", "fchmod", "ftruncate",
	"close", "flock"}

// A mirror that is killed before a system call, or whose call fails for want of room or of a healthy disk, leaves
// nothing that the next one does not put right.
func TestFaultsAtSystemCalls(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it kills or races many runs")
	if _, err := exec.LookPath("strace"); err != nil {
		leaveOut(t, "strace: "+err.Error())
	}
	points := 55
	if long() {
		points = 2000
	}
	h := newHistory(t, chance(t), false)
	h.task.Rate = 0
	w := h.watch(t)
	h.next()
	h.finish()
	struck := map[string]int{}
	for i := range points {
		if h.next(); t.Failed() {
			break
		}
		call := calls[i%len(calls)]
		fault := []string{"signal=SIGKILL", "error=EIO", "error=ENOSPC"}[h.rand.IntN(3)]
		if how := h.struck(call, fault, 1+h.rand.IntN(5)); how != "" {
			struck[fault+" "+how]++
		}
		h.finish()
	}
	w.end()
	t.Logf("%d points, %d looks: %v", points, w.looks.Load(), struck)
	if len(struck) < 3 {
		t.Errorf("only these faults have struck: %v", struck)
	}
}

// struck mirrors with a fault at the n'th such call of each thread, and returns how that ended; "" if it did nothing.
func (h *history) struck(call, fault string, n int) string {
	h.Helper()
	var out bytes.Buffer
	inject := fmt.Sprintf("inject=%s:%s:when=%d", call, fault, n)
	wrap := []string{"strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e", inject}
	if call == "openat" || call == "renameat" || call == "unlinkat" { // not what the process needs for itself
		for _, dir := range []string{"", "/linux-64", "/noarch", "/" + state.Dir, "/linux-64/shards"} {
			wrap = append(wrap, "-P", h.path("/dst/acc"+dir))
		}
	}
	c := h.task.command(h, &out, wrap...)
	switch code := exit(h, c.Run()); {
	case code == 0:
		return ""
	case code == exitRefused && out.Len() == 0 && call == "write":
		return "struck dumb" // it is the telling that failed
	case code == exitRefused:
		h.tells(out.String(), fault)
		return "told"
	case strings.Contains(fault, "error"):
		return "fatal" // of the runtime: a thread's own call
	default:
		return "killed"
	}
}

// tells checks that an error says what the system says, and of which file.
func (h *history) tells(text, fault string) {
	h.Helper()
	want := map[string]string{"error=EIO": "input/output error", "error=ENOSPC": "no space left on device"}[fault]
	if want == "" || !strings.Contains(text, want) {
		h.Errorf("version %d, %s: the error tells: %s", h.version, fault, text)
	}
	for _, name := range []string{"linux-64", "noarch", state.Dir, "/dst", "channel /src"} {
		if strings.Contains(text, name) {
			return
		}
	}
	h.Errorf("version %d, %s: the error names no file: %s", h.version, fault, text)
}
