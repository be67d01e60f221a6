package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runbook/cmd/runbook/internal/past"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// plainTrace writes the trace of a run with as many ops as install.star has, each with a change and an effect.
func plainTrace(t testing.TB, dir string, n int, touched string) string {
	t.Helper()
	name := filepath.Join(dir, fmt.Sprintf("2026%04d-t.jsonl", n))
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := trace.NewFile(noSync{f})
	at := time.Date(2026, 1, 1, 0, n, 0, 0, time.UTC)
	emit := func(e trace.Event) {
		if e.Time = at; out.Emit(e) != nil {
			t.Fatal(out.Emit(e))
		}
	}
	emit(trace.Event{Kind: trace.Run, Run: &trace.RunInfo{Mode: trace.RealRun, Runbook: "t.star", Ticket: fmt.Sprint("CHG-", n),
		Sources: []trace.Source{{Name: "t.star", SHA256: "00", Origin: "local"}}, User: trace.Person{Name: "root"}}})
	emit(trace.Event{Kind: trace.Step, Step: "s", State: trace.Begin, Title: "s", Text: "What is to be known of this step before it is run, in a line or two of its manual."})
	const ops = 80
	for i := range ops {
		file := fmt.Sprintf("/srv/app%d/etc/conf.d/%d.conf", n, i)
		if i == 40 && touched != "" {
			file = touched
		}
		changes := []host.Change{{What: "content", To: "key = value\nother = value\n"}, {What: "mode", To: "0644"}}
		emit(trace.Event{Kind: trace.Op, Step: "s", Op: "write", Target: file, Pos: fmt.Sprintf("t.star:%d:1", i+1), User: "root", Args: map[string]any{"path": file, "content": "key = value\nother = value\n"}, Changes: changes})
		emit(trace.Event{Kind: trace.Effect, Step: "s", Call: "write", Path: file, User: "root", Detail: map[string]any{"mode": "0644", "sha256": hashOf(file)}})
		emit(trace.Event{Kind: trace.Result, Step: "s", Op: "write", Target: file, Outcome: trace.Changed})
	}
	emit(trace.Event{Kind: trace.Step, Step: "s", State: trace.Ended, Title: "s"})
	emit(trace.Event{Kind: trace.End, Outcome: trace.Done, Counts: trace.Counts{Changed: ops}})
	return name
}

// A question over a thousand traces is answered in 50 ms once they are in the index; a busy machine gets several tries.
func TestWhyIsQuick(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for n := range 1000 {
		files = append(files, plainTrace(t, dir, n, map[bool]string{true: "/etc/once"}[n == 500]))
	}
	index := filepath.Join(dir, "why.index")
	best := time.Hour
	for range 20 {
		began := time.Now()
		found := past.Search(past.Question{Paths: []string{"/etc/once"}, Lists: keptHas}, files, past.OpenIndex(index))
		if len(found.Deeds) != 1 || found.Traces != 1000 || found.Deeds[0].Run.Ticket != "CHG-500" {
			t.Fatalf("got %d deeds in %d traces", len(found.Deeds), found.Traces)
		}
		best = min(best, time.Since(began))
	}
	if t.Logf("best of 20: %s", best); best > 50*time.Millisecond {
		t.Errorf("took %s, want at most 50 ms", best)
	}
}

// A trace that is changed after it is in the index is held against its hashes anew.
func TestWhyReadsAnew(t *testing.T) {
	dir := t.TempDir()
	file, index := plainTrace(t, dir, 1, "/etc/once"), filepath.Join(dir, "why.index")
	ask := func() past.Found {
		return past.Search(past.Question{Paths: []string{"/etc/once"}, Lists: keptHas}, []string{file}, past.OpenIndex(index))
	}
	if f := ask(); len(f.Deeds) != 1 {
		t.Fatalf("got %v", f)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range []string{"/etc/twice", "/etc/oncf"} {
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "/etc/once", b)), 0o600); err != nil {
			t.Fatal(err)
		}
		if f := ask(); len(f.Deeds) != 0 || len(f.Broken) != 1 || f.Traces != 0 {
			t.Errorf("change %d: got %v", i, f)
		}
	}
	for _, junk := range []string{"", "runbook index 1\n", "runbook index 1\n\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "another"} {
		if os.WriteFile(file, text, 0o600) != nil || os.WriteFile(index, []byte(junk), 0o600) != nil {
			t.Fatal("cannot write")
		}
		if f := ask(); len(f.Deeds) != 1 || len(f.Broken) != 0 {
			t.Errorf("index %q: got %v", junk, f)
		}
	}
}

func hashOf(text string) string { return fmt.Sprintf("%064x", len(text)) }

type noSync struct{ *os.File }

func (noSync) Sync() error { return nil }

// BenchmarkWhy asks a thousand traces, of which one, all or none have the file. ms is the time of one question.
func BenchmarkWhy(b *testing.B) {
	dir := b.TempDir()
	var files []string
	size := int64(0)
	for n := range 1000 {
		file := plainTrace(b, dir, n, map[bool]string{true: "/etc/once", false: "/etc/always"}[n == 500])
		fi, err := os.Stat(file)
		if err != nil {
			b.Fatal(err)
		}
		size += fi.Size()
		files = append(files, file)
	}
	b.Logf("%d traces, %d MB", len(files), size>>20)
	index := filepath.Join(dir, "why.index")
	past.Search(past.Question{Paths: []string{"/"}}, files, past.OpenIndex(index))
	for name, want := range map[string]int{"/etc/once": 1, "/etc/always": 1, "/etc/never": 0} {
		b.Run(filepath.Base(name), func(b *testing.B) {
			for b.Loop() {
				found := past.Search(past.Question{Paths: []string{name}, Lists: keptHas}, files, past.OpenIndex(index))
				if len(found.Deeds) != want || found.Traces != 1000 {
					b.Fatalf("got %d deeds in %d traces, want %d; broken: %v", len(found.Deeds), found.Traces, want, found.Broken)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms")
		})
	}
}
