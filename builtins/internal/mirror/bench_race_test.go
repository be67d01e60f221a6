package mirror

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A racer does the work that is measured.
type racer struct {
	name    string
	needs   string               // a program; without it the racer is left out, loudly
	prepare func()               // is not measured, nor is what follows
	do      func() time.Duration // 0: as long as it took
	check   func()
	clear   func()
}

// race has ours and the peers run in turns, one round for each turn of the benchmark, and reports ours in milliseconds
// and how many times as long as each peer it took: the median of the rounds' ratios, because machines are noisy. Five
// rounds (-benchtime 5x) are enough.
func race(b *testing.B, ours racer, peers ...racer) {
	b.Helper()
	peers = slices.DeleteFunc(peers, func(p racer) bool {
		if p.needs == "" {
			return false
		}
		_, err := exec.LookPath(p.needs)
		if err != nil {
			b.Logf("SKIPPED: x-%s: no %s on this machine", p.name, p.needs)
		}
		return err != nil
	})
	all := append([]racer{ours}, peers...)
	took := make([][]time.Duration, len(all))
	for n := 0; b.Loop(); n++ {
		for i := range all {
			k := (i + n) % len(all)
			took[k] = append(took[k], all[k].run())
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(took[0]).Seconds()*1e3, "ms")
	for k, p := range all[1:] {
		ratios := make([]float64, len(took[0]))
		for i := range ratios {
			ratios[i] = took[0][i].Seconds() / took[k+1][i].Seconds()
		}
		b.ReportMetric(median(ratios), "x-"+p.name)
	}
	for k, p := range all {
		b.Logf("%s: %v", cmp.Or(p.name, "ours"), took[k])
	}
}

func (r racer) run() time.Duration {
	if r.prepare != nil {
		r.prepare()
	}
	unix.Sync()
	start := time.Now()
	told := r.do()
	took := cmp.Or(told, time.Since(start))
	for _, after := range []func(){r.check, r.clear} {
		if after != nil {
			after()
		}
	}
	return took
}

func median[T cmp.Ordered](all []T) T {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}

// shell returns what runs a script, with $1 and so on.
func shell(b *testing.B, script string, args ...string) func() time.Duration {
	return func() time.Duration {
		out, err := exec.Command("sh", append([]string{"-ec", script, "sh"}, args...)...).CombinedOutput()
		if err != nil {
			b.Fatalf("%s: %v\n%.2000s", script, err, out)
		}
		return 0
	}
}

// A place is a name for a tree that is new in each round. Old ones are emptied, not removed: for minutes after that
// ext4 goes around the inodes, which makes the next racer slow.
type place struct {
	b    *testing.B
	link string
	n    int
}

func newPlace(b *testing.B) *place { return &place{b: b, link: filepath.Join(b.TempDir(), "place")} }

// fresh makes a directory for the next round; the place is a link to it.
func (p *place) fresh() {
	p.b.Helper()
	p.n++
	dir := fmt.Sprint(p.link, p.n)
	os.Remove(p.link)
	if err := cmp.Or(os.Mkdir(dir, 0o755), os.Symlink(dir, p.link)); err != nil {
		p.b.Fatal(err)
	}
}

// empty frees what the files of the round held.
func (p *place) empty() {
	err := filepath.WalkDir(fmt.Sprint(p.link, p.n), func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = os.Truncate(name, 0)
		}
		return err
	})
	if err != nil {
		p.b.Fatal(err)
	}
}

func (p *place) in(name ...string) string {
	return filepath.Join(append([]string{p.link}, name...)...)
}
