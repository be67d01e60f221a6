package choose

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"runbook/runtime/host/sample"
)

// manyRecords is a channel many times over, each time with other names, and builds such as conda-forge has.
func manyRecords(tb testing.TB, n int) (list []*noted) {
	real := channelRecords(tb)
	names := map[string]bool{}
	for _, r := range real {
		names[r.Name] = true
	}
	for i := 0; len(list) < n; i++ {
		suffix := ""
		if i > 0 {
			suffix = fmt.Sprintf("-%d", i)
		}
		for _, r := range real[:min(len(real), n-len(list))] {
			c := *r
			c.Name += suffix
			c.Build = fmt.Sprintf("h%07x_%s", len(list)*7919%(1<<28), r.Build)
			c.File = c.Name + "-" + c.Version + "-" + c.Build + ".tar.bz2"
			c.Depends = slices.Clone(r.Depends)
			for j, d := range c.Depends { // to a name of its own, except for python
				name, rest, _ := strings.Cut(d, " ")
				if names[name] && name != "python" {
					if strings.Contains(rest, " ") {
						rest, _, _ = strings.Cut(rest, " ") // builds have other names now
					}
					c.Depends[j] = strings.TrimSpace(name + suffix + " " + rest)
				}
			}
			for len(c.Depends) < 7 { // as many as in conda-forge
				c.Depends = append(c.Depends, fmt.Sprintf("%s%s >=%d.%d", real[len(c.Depends)*1000].Name, suffix, len(c.Depends)%2, i%3))
			}
			list = append(list, &c)
		}
	}
	return list
}

// TestCost reports what many records cost, and fails where it is far too much.
func TestCost(t *testing.T) {
	sample.Slow(t, "it takes seconds and much memory")
	n := sample.Count(t, 100_000, 500_000)
	records := manyRecords(t, n)
	for _, c := range []Config{{Latest: 2}, {Formats: PreferConda}, {WithDepends: true, Blacklist: []string{"conda-build"}}, {WithDepends: true, PkgList: []string{"*"}, Latest: 1}} {
		s, err := NewSelector(c)
		if err != nil {
			t.Fatal(err)
		}
		before := heap()
		start := cpuTime(t)
		for _, r := range records {
			s.See(r.subdir, 0, &r.Record)
		}
		noted := cpuTime(t) - start
		bytes := (heap() - before) / int64(n)
		start = cpuTime(t)
		warnings := s.Decide()
		settled := cpuTime(t) - start
		start = cpuTime(t)
		kept := 0
		for _, r := range records {
			if s.Keeps(r.subdir, 0, &r.Record) {
				kept++
			}
		}
		keeps := cpuTime(t) - start
		after := (heap() - before) / int64(n)
		runtime.KeepAlive(s)
		total := noted + settled + keeps
		t.Logf("latest %d, with_depends %v, formats %s: note %v, settle %v, keeps %v: %v; %d bytes a record noted, %d settled; %d kept, %d warnings", c.Latest, c.WithDepends, c.Formats, noted, settled, keeps, total, bytes, after, kept, len(warnings))
		if bytes > 150 || after > 60 || total > time.Duration(n)*12*time.Microsecond {
			t.Error("that is too much")
		}
	}
}

// cpuTime is what the process used, since others use the machine, too.
func cpuTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// All filters that need no notes, over a whole channel.
func BenchmarkKeeps(b *testing.B) {
	s, records := plainSelector(b)
	b.ReportAllocs()
	start := cpuTime(b)
	for i := 0; b.Loop(); i++ {
		r := records[i%len(records)]
		s.Keeps(r.subdir, 0, &r.Record)
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N), "cpu-ns/op")
}

func TestKeepsAllocatesNothing(t *testing.T) {
	s, records := plainSelector(t)
	i := 0
	if n := testing.AllocsPerRun(len(records), func() {
		r := records[i%len(records)]
		s.Keeps(r.subdir, 0, &r.Record)
		i++
	}); n > 0 {
		t.Errorf("got %v allocations a record", n)
	}
}

func plainSelector(tb testing.TB) (*Selector, []*noted) {
	s, err := NewSelector(Config{
		PythonVersions: []string{"2.7", "3.4", "3.5"}, LicenseBlacklist: []string{"GPL", "AGPL"}, Blacklist: []string{"numpy <1.9", "qt", "lib*", "*[license=*GPL*]"}, Whitelist: []string{"libpng", "R-Base"},
		NewerThan: "2015-01-01",
	})
	if err != nil {
		tb.Fatal(err)
	}
	records := channelRecords(tb)
	for _, r := range records { // so that all texts are known
		s.Keeps(r.subdir, 0, &r.Record)
	}
	return s, records
}
