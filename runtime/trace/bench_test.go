package trace

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"runbook/runtime/host"
)

// long is a trace of about n events, as a run writes them.
func long(n int) []Event {
	events := sample(RealRun)[:2]
	for i := 0; len(events) < n-2; i++ {
		path := fmt.Sprintf("/srv/files/%06d.conf", i)
		text := fmt.Sprintf("name = %d\nport = 8080\n", i)
		events = append(events,
			Event{Kind: Op, Step: "system", Op: "write", Target: path, Pos: "install.star:4:9", User: "root",
				Args:    map[string]any{"path": path, "content": text, "mode": 420},
				Changes: []host.Change{{What: "content", To: text}, {What: "mode", To: "0644"}}},
			Event{Kind: Effect, Step: "system", Call: "write", Path: path, User: "root",
				Detail: map[string]any{"mode": "0644", "sha256": hash([]byte(text))}},
			Event{Kind: Result, Step: "system", Op: "write", Target: path, Outcome: Changed})
	}
	return append(events, Event{Kind: Step, Step: "system", State: Ended}, Event{Kind: End, Outcome: Done})
}

// BenchmarkFile writes effects, each on the disk before the next one: at most a millisecond each, most of which is the
// disk's. The peer does the same with bytes that are ready.
func BenchmarkFile(b *testing.B) {
	events := slices.DeleteFunc(long(1000), func(e Event) bool { return e.Kind != Effect })
	line, err := encode(events[0])
	if err != nil {
		b.Fatal(err)
	}
	file := func() *os.File {
		f, err := os.Create(filepath.Join(b.TempDir(), "trace.jsonl"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { f.Close() })
		return f
	}
	record, plain := NewFile(file()), file()
	var ours, peers time.Duration
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		if err := record.Emit(events[i%len(events)]); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		start = time.Now()
		if _, err := plain.Write(line); err != nil {
			b.Fatal(err)
		}
		if err := plain.Sync(); err != nil {
			b.Fatal(err)
		}
		peers += time.Since(start)
	}
	b.ReportMetric(float64(ours.Microseconds())/1000/float64(b.N), "ms/effect")
	b.ReportMetric(float64(ours)/float64(peers), "of-append-and-fsync")
}

// BenchmarkVerify verifies 100,000 events: one second is what people wait.
func BenchmarkVerify(b *testing.B) {
	var file bytes.Buffer
	w := &jsonl{w: &file}
	for _, e := range long(100_000) {
		if err := w.Emit(e); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	for b.Loop() {
		report, err := Verify(bytes.NewReader(file.Bytes()))
		if err != nil || !report.OK() {
			b.Fatal(report.String(), err)
		}
	}
}
