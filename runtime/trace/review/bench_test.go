package review

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"testing"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// long is a trace of about n events, as a run writes them.
func long(tb testing.TB, n int) []byte {
	b := builder{}
	b.add(sample(trace.RealRun)[0])
	for i := 0; len(b.events) < n; i++ {
		if i%1000 == 0 {
			if i > 0 {
				b.done()
			}
			b.step(fmt.Sprintf("part %d", i/1000), "", "")
		}
		path := fmt.Sprintf("/srv/files/%06d.conf", i)
		text := fmt.Sprintf("name = %d\nport = 8080\n", i)
		b.op("write", path, []host.Change{{What: "content", To: text}, {What: "mode", To: "0644"}},
			[]trace.Event{{Call: "write", Path: path, User: "root", Detail: map[string]any{"mode": "0644", "sha256": digest(text)}}},
			trace.Changed, map[string]any{"path": path, "content": text, "mode": 420})
	}
	b.done()
	b.add(trace.Event{Kind: trace.End, Outcome: trace.Done})
	return written(tb, b.events)
}

// BenchmarkReport reports 100,000 events in each format: three seconds is what people wait.
func BenchmarkReport(b *testing.B) {
	file := long(b, 100_000)
	for _, format := range Formats() {
		b.Run(format, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				r, err := Read(bytes.NewReader(file))
				if err != nil {
					b.Fatal(err)
				}
				if err := r.Write(io.Discard, format); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A report of a long trace needs little more memory than one of a short one.
func TestMemoryIsBounded(t *testing.T) {
	peak := func(n int, format string) uint64 {
		file := long(t, n)
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		most := uint64(0)
		w := writerFunc(func(p []byte) {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc-min(before.HeapAlloc, now.HeapAlloc))
		})
		r, err := Read(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Write(&sparse{w: w, every: 4 << 20}, format); err != nil {
			t.Fatal(err)
		}
		return most
	}
	for _, format := range []string{"html", "md", "junit", "oscal"} {
		if most := peak(60_000, format); most > 24<<20 {
			t.Errorf("%s: %d MiB", format, most>>20)
		} else {
			t.Logf("%s: %d KiB", format, most>>10)
		}
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

// sparse writes now and then, and at first.
type sparse struct {
	w     io.Writer
	every int
	n     int
}

func (s *sparse) Write(p []byte) (int, error) {
	if s.n%s.every < len(p) {
		s.w.Write(p)
	}
	s.n += len(p)
	return len(p), nil
}
