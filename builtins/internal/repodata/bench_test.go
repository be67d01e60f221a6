package repodata

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// benchRecords are as many as conda-forge has for linux-64.
const benchRecords = 500_000

func benchmark(b *testing.B, name string, do func(b *testing.B, r io.ReadCloser)) {
	info, err := os.Stat(name)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	start := cpuTime(b)
	for b.Loop() {
		f, err := os.Open(name)
		if err != nil {
			b.Fatal(err)
		}
		do(b, f)
		f.Close()
	}
	b.ReportMetric(float64(info.Size())*float64(b.N)/1e6/(cpuTime(b)-start).Seconds(), "MB/cpu-s")
}

// cpuTime tells more than the clock where others use the machine, too.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func dropGPL(_ int, r *Record) (bool, error) { return !strings.HasPrefix(r.License, "GPL"), nil }

func benchRewrite(trusted bool, w io.Writer) func(b *testing.B, r io.ReadCloser) {
	return func(b *testing.B, r io.ReadCloser) {
		rw := &Rewrite{Subdir: "linux-64", Keep: dropGPL, Trusted: trusted, Sources: []func() (io.ReadCloser, error){
			func() (io.ReadCloser, error) { return r, nil },
		}}
		if _, err := rw.Run(context.Background(), w); err != nil {
			b.Fatal(err)
		}
	}
}

func benchDecoder(b *testing.B, r io.ReadCloser) {
	d := json.NewDecoder(bufio.NewReaderSize(r, window))
	var record struct{ License string }
	for depth := 0; ; {
		token, err := d.Token()
		if err == io.EOF {
			return
		} else if err != nil {
			b.Fatal(err)
		}
		switch token {
		case json.Delim('{'):
			depth++
		case json.Delim('}'):
			depth--
		}
		if s, ok := token.(string); ok && depth == 2 && (strings.HasSuffix(s, conda) || strings.HasSuffix(s, tarBz2)) {
			var raw json.RawMessage
			if err := d.Decode(&raw); err != nil {
				b.Fatal(err)
			}
			if err := json.Unmarshal(raw, &record); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	for _, form := range []string{"compact", "indent"} {
		name := generated(b, benchRecords, form == "indent")
		for _, run := range []struct {
			name string
			do   func(*testing.B, io.ReadCloser)
		}{
			{"strict", benchRewrite(false, io.Discard)},
			{"trusted", benchRewrite(true, io.Discard)},
			{"strict-sha256", benchRewrite(false, sha256.New())},
			{"scan", func(b *testing.B, r io.ReadCloser) {
				if _, err := Scan(r, func(*Record) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}},
			{"encoding-json", benchDecoder},
		} {
			b.Run(form+"/"+run.name, func(b *testing.B) { benchmark(b, name, run.do) })
		}
	}
}
