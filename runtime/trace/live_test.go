package trace

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// Whatever the width is, the live line fits and keeps the total, the rate and the time left; the path goes first.
func TestLiveLine(t *testing.T) {
	now := time.Unix(0, 0)
	clock := func() time.Time { return now }
	const far = "free 12 of 300: 1.2 GB of 30.9 GB, 118.0 MB/s, 4m10s left"
	mirror := Event{Kind: Op, Op: "mirror", Target: "/opt/anaconda-server/package-storage/anaconda"}
	command := Event{Kind: Op, Op: "run", Target: "/opt/vendor/bin/installer --unattended --prefix /opt/vendor/lib/python"}
	for _, c := range []struct {
		op        Event
		width     int
		far, tail string
		spent     time.Duration
		want      string
	}{
		{mirror, 140, far, "", 0, "  ...      mirror     /opt/anaconda-server/package-storage/anaconda  " + far},
		{mirror, 100, far, "", 0, "  ...      mirror     …/anaconda  " + far},
		{mirror, 80, far, "", 0, "  ...      mirror  " + far},
		{mirror, 70, far, "", 0, "  ...      " + far},
		{mirror, 50, far, "", 0, "  ...      …GB of 30.9 GB, 118.0 MB/s, 4m10s left"},
		{command, 80, "", "Extracting python-2.7.11 ...", 0, "  ...      run        /opt/vendor/bin/installe…  | Extracting python-2.7.11 ..."},
		{command, 80, "", "Extracting python-2.7.11 ...", 72 * time.Second, "  ...      run        /opt/vendor/bin/inst…  1m12s  | Extracting python-2.7.11…"},
		{command, 80, "", strings.Repeat("x", 200), 5 * time.Second, "  ...      run        /opt/vendor/bin/instal…  5s  | xxxxxxxxxxxxxxxxxxxxxxxxx…"},
		{command, 50, "", strings.Repeat("x", 200), 5 * time.Second, "  ...      run        /opt/vendor…  5s"},
		{Event{Kind: Op, Op: "yum", Target: "nginx git"}, 80, "", "a\x1b[2Jb", 61 * time.Second, `  ...      yum        nginx git  1m1s  | a\x1b[2Jb`},
	} {
		var b bytes.Buffer
		term := NewTerminal(&b, Options{Live: true, Width: c.width, Now: clock})
		emit(t, term, []Event{c.op})
		now = now.Add(c.spent)
		if c.far != "" {
			term.Progress(c.far)
		}
		if c.tail != "" {
			term.Tail(c.tail, true)
		}
		have := b.String()[strings.LastIndexByte(b.String(), '\r')+len("\r\x1b[K"):]
		if have != c.want || widthOf(have) >= c.width {
			t.Errorf("%d columns: got\n%s|, want\n%s|", c.width, have, c.want)
		}
		term.still()
	}
}

// Any op fits any terminal.
func FuzzLiveLine(f *testing.F) {
	f.Add("mirror", "/a/b/漢字/c", "1 of 2", "tail", 40)
	f.Fuzz(func(t *testing.T, op, target, far, tail string, width int) {
		width = 20 + abs(width)%150
		var b bytes.Buffer
		term := NewTerminal(&b, Options{Live: true, Width: width})
		term.op, term.began = Event{Kind: Op, Op: op, Target: target}, time.Now()
		term.progress = Quote(far)
		term.Tail(tail, false)
		if have := b.String(); widthOf(have) >= width || strings.ContainsAny(have, "\n\r\x1b") {
			t.Errorf("%d columns: got %d: %q", width, widthOf(have), have)
		}
	})
}

// The time is kept while a command says nothing, and not where a person is asked.
func TestLiveLineKeepsTime(t *testing.T) {
	for op, still := range map[string]bool{"run": false, "yum": true, "confirm": false} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			term := NewTerminal(&b, Options{Live: true, Width: 80, Still: still})
			emit(t, term, []Event{{Kind: Op, Op: op, Target: "x"}})
			time.Sleep(1500 * time.Millisecond)
			emit(t, term, []Event{{Kind: Result, Op: op, Target: "x", Outcome: Same}})
			shown := b.String()
			if moved := strings.Contains(shown, "x  1s"); moved != (op == "run") {
				t.Errorf("got %q", shown)
			}
			time.Sleep(1200 * time.Millisecond)
			term.mu.Lock()
			defer term.mu.Unlock()
			if b.String() != shown {
				t.Errorf("it goes on: %q", b.String()[len(shown):])
			}
		})
	}
}

// A bar of progress is shown as a terminal shows it, and is no line of what was printed.
func TestLiveLineOfAProgressBar(t *testing.T) {
	var b bytes.Buffer
	term := NewTerminal(&b, Options{Live: true, Width: 80})
	emit(t, term, []Event{{Kind: Op, Op: "run", Target: "curl"}})
	term.Tail("10 %\r 55 %\r", false)
	if !strings.HasSuffix(b.String(), "  ...      run        curl  |  55 %") || len(term.tail) != 0 {
		t.Errorf("got %q, %q", b.String(), term.tail)
	}
	term.still()
}
