package repodata

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A process that rewrites an index of half a million records stays small.
func TestMemory(t *testing.T) {
	if name := os.Getenv("REPODATA_INDEX"); name != "" {
		rewriteAlone(t, name)
		return
	}
	if testing.Short() {
		t.Skip("NOT TESTED: the memory of a large index, because of -short")
	}
	child := exec.Command(os.Args[0], "-test.run=^TestMemory$", "-test.v")
	child.Env = append(os.Environ(), "REPODATA_INDEX="+generated(t, benchRecords, false))
	out, err := child.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

func rewriteAlone(t *testing.T, name string) {
	rw := &Rewrite{Keep: dropGPL, Sources: []func() (io.ReadCloser, error){func() (io.ReadCloser, error) { return os.Open(name) }}}
	if _, err := rw.Run(context.Background(), io.Discard); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kib := 0
	if fmt.Sscan(after, &kib); kib == 0 || kib > 40<<10 {
		t.Errorf("got %d KiB at the peak, want at most %d", kib, 40<<10)
	}
	t.Logf("%d KiB at the peak", kib)
}
