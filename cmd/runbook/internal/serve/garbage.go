package serve

import (
	"os"
	"runtime/debug"
	counted "runtime/metrics"
)

// Percents of what is kept by which the heap may grow before garbage is collected. A server with small channels keeps
// so little that a few thousand requests would be enough, and collecting would take a tenth of its time.
const (
	usual  = 100
	seldom = 300
	little = 16 << 20 // bytes
)

// collect chooses how often garbage is collected, unless GOGC says so.
func collect(isReading bool) {
	if os.Getenv("GOGC") != "" {
		return
	}
	kept := []counted.Sample{{Name: "/gc/heap/live:bytes"}}
	counted.Read(kept)
	percent := usual
	if !isReading && kept[0].Value.Uint64() < little {
		percent = seldom
	}
	debug.SetGCPercent(percent)
}
