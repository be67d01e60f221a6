package host_test

import (
	"strings"
	"testing"
	"time"

	"runbook/runtime/host"
)

// Directories as deep as a name can be are made about as fast as they can be named.
func TestDeep(t *testing.T) {
	local, below := host.NewLocal(t.TempDir()), host.NewLocal(t.TempDir())
	for name, h := range map[string]host.Host{"local": local, "overlay": host.NewOverlay(below, below.Self())} {
		began := time.Now()
		missing, err := host.MissingDirs(h, strings.Repeat("/d", 1500))
		if err != nil || len(missing) != 1500 {
			t.Fatalf("%s: got %d missing, %v", name, len(missing), err)
		}
		for _, d := range missing {
			if err := h.Mkdir(d, host.Meta{Mode: 0o755}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}
