package mirror

import (
	"bytes"
	"syscall"
	"testing"
	"time"

	"runbook/runtime/host/sample"
)

// A mirror that is killed at any moment, again and again, leaves a channel at every moment, loses little of what it has
// fetched, and ends as one that was left in peace.
func TestKilledAtAnyMoment(t *testing.T) {
	sample.Slow(t, "it kills many runs")
	kills := sample.Count(t, 40, 1000) // of each
	for name, server := range map[string]bool{"directory": false, "server": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, chance(t), server)
			w := h.watch(t)
			h.next()
			h.finish()
			n := 0
			for n < kills && !t.Failed() {
				n += h.killVersion()
			}
			w.end()
			t.Logf("%d kills, %d versions, %d looks", n, h.version, w.looks.Load())
			if w.looks.Load() < int64(kills/4) {
				t.Error("the reader has seen too little")
			}
		})
	}
}

// killVersion mirrors one version with up to five kills, and returns how many there were.
func (h *history) killVersion() (n int) {
	h.Helper()
	if h.next(); h.rand.IntN(3) == 0 { // a version that is never mirrored to its end
		if h.kill(time.Duration(h.rand.Float64() * float64(h.usual))) {
			n++
		}
		h.next()
	}
	h.sent.Store(0)
	want, earlier := h.plan().Report.Bytes, n
	for range 1 + h.rand.IntN(5) {
		if h.kill(time.Duration((0.1 + 0.9*h.rand.Float64()) * float64(h.usual))) {
			n++
			h.usual += h.usual / 16
		} else {
			h.usual -= h.usual / 8
		}
	}
	h.finish()
	most := want + int64(n)*historyWorkers*historyLargest
	if have := h.sent.Load(); have > most ||
		have < want-int64(earlier)*historyWorkers*historyLargest && h.task.Connections > 0 {
		h.Errorf("version %d: the server gave %d bytes for %d, with %d kills", h.version, have, want, n)
	}
	return n
}

// kill mirrors and kills that after a while; ok is false if it was done by then.
func (h *history) kill(after time.Duration) (ok bool) {
	h.Helper()
	var out bytes.Buffer
	c := h.task.command(h, &out)
	if err := c.Start(); err != nil {
		h.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { c.Process.Signal(syscall.SIGKILL) })
	defer timer.Stop()
	switch code := exit(h, c.Wait()); code {
	case 0, -1:
		return code == -1
	default:
		h.Fatalf("version %d: ends with %d: %s", h.version, code, out.String())
		return false
	}
}
