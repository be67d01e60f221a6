package mirror

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"runbook/builtins/internal/mirror/channel"
)

// progress tells how far the fetching is, twice a second.
type progress struct {
	tell     func(string)
	bytes    int64 // to be fetched
	loaded   atomic.Int64
	channels []*share
	by       map[*channel.Channel]*share
	start    time.Time
	spent    time.Duration // once it has ended
	stop     chan struct{}
	done     sync.WaitGroup
	once     sync.Once
}

// A share is one channel's files.
type share struct {
	name  string
	files int
	taken atomic.Int64
}

func newProgress(p *Plan) *progress {
	g := &progress{tell: p.mirror.Progress, bytes: p.Report.Bytes, by: map[*channel.Channel]*share{}, start: time.Now(),
		stop: make(chan struct{})}
	for _, c := range p.channels {
		g.by[c] = &share{name: shortName(c.Shown)}
		g.channels = append(g.channels, g.by[c])
	}
	for _, s := range p.subdirs {
		for _, it := range s.fetch {
			if it.failed == nil {
				g.by[it.from().from].files++
			}
		}
	}
	if g.tell == nil || p.Report.Fetch == 0 {
		return g
	}
	g.done.Go(func() {
		t := time.NewTicker(500 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				g.tell(g.text(time.Since(g.start)))
			case <-g.stop:
				return
			}
		}
	})
	return g
}

// shortName is the last part of where a channel is.
func shortName(location string) string {
	location = strings.TrimRight(location, "/")
	return location[strings.LastIndexByte(location, '/')+1:]
}

func (g *progress) got(n int) { g.loaded.Add(int64(n)) }

// took counts a package that is there, or given up.
func (g *progress) took(it *item) { g.by[it.from().from].taken.Add(1) }

// end stops telling.
func (g *progress) end() {
	g.once.Do(func() {
		close(g.stop)
		g.spent = time.Since(g.start)
	})
	g.done.Wait()
}

// text is such as "free 12 of 300, pro 2 of 8: 1.2 GB of 30.9 GB, 118.0 MB/s, 4m10s left".
func (g *progress) text(spent time.Duration) string {
	var parts []string
	for _, s := range g.channels {
		if s.files > 0 {
			parts = append(parts, fmt.Sprintf("%s %d of %d", s.name, s.taken.Load(), s.files))
		}
	}
	got := g.loaded.Load()
	rate := float64(got) / spent.Seconds()
	text := fmt.Sprintf("%s: %s of %s, %s/s", strings.Join(parts, ", "), size(got), size(max(got, g.bytes)),
		size(int64(rate)))
	if left := g.bytes - got; left > 0 && rate > 0 {
		text += ", " + time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second).String() + " left"
	}
	return text
}

// Summary says what a plan found, in one line, and as long as nothing was fetched, what is to be.
func (p *Plan) Summary() string {
	r := p.Report
	text := packages(r.Packages)
	if r.FilteredOut > 0 {
		text += fmt.Sprintf(", %d more filtered out", r.FilteredOut)
	}
	if r.Unverified > 0 {
		text += fmt.Sprintf(", %d without a digest", r.Unverified)
	}
	if r.Fetch > 0 && p.progress == nil {
		text += fmt.Sprintf("; %s to fetch, %s", packages(r.Fetch), size(r.Bytes))
		if r.Free >= 0 {
			text += ", where " + size(r.Free) + " are free"
		}
	}
	if r.Prune > 0 {
		text += fmt.Sprintf("; unlisted: %s, %s", packages(r.Prune), size(r.PruneBytes))
	}
	return text
}

// Done says what was fetched, in one line; "" if nothing was.
func (p *Plan) Done() string {
	var parts []string
	if g := p.progress; g != nil && p.Report.Fetch > 0 {
		got := g.loaded.Load()
		parts = append(parts, fmt.Sprintf("%d of %s fetched and verified: %s in %s, %s/s", fetched(p.subdirs),
			packages(p.Report.Fetch), size(got),
			g.spent.Round(time.Millisecond), size(int64(float64(got)/max(g.spent.Seconds(), 1e-3)))))
	}
	if p.delta != nil && p.delta.report.Fetch > 0 {
		parts = append(parts, fmt.Sprintf("%s, %s, in %s", packages(p.delta.report.Fetch), size(p.delta.report.Bytes),
			p.delta.mirror.dir))
	}
	return strings.Join(parts, "; ")
}

// fetched counts packages that were fetched.
func fetched(subdirs []*subdir) (n int) {
	for _, s := range subdirs {
		for _, it := range s.fetch {
			if it.verified() {
				n++
			}
		}
	}
	return n
}
