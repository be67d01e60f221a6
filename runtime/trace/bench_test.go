package trace

import (
	"bytes"
	"fmt"
	"testing"

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
