package mirror

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"runbook/builtins/internal/mirror/state"

	"golang.org/x/sys/unix"

	"runbook/runtime/host/sample"
)

// swapper exchanges directories with links that lead outside, back and forth, until stop is closed.
func (r *rig) swapper(stop <-chan struct{}, swaps *atomic.Int64, dirs ...string) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		d := dirs[i/2%len(dirs)]
		link := r.path("/evil/" + strings.ReplaceAll(d, "/", "_"))
		if unix.Renameat2(unix.AT_FDCWD, r.path(d), unix.AT_FDCWD, link, unix.RENAME_EXCHANGE) == nil {
			swaps.Add(1)
		}
		if i%512 == 1 {
			time.Sleep(time.Duration(i>>9%8) * 3 * time.Millisecond) // so that something comes to its end
		}
	}
}

// lure makes a directory outside with all that a mirror could be made to write over, and links that lead to it.
func (r *rig) lure(dirs []string) {
	r.Helper()
	for _, n := range append(letters(20), "repodata") { // what it could be made to write over
		r.put("/outside/"+n+"-1.0-0.tar.bz2", "canary")
	}
	for _, n := range []string{"repodata.json", "repodata.json.zst", "repodata.json.bz2", "current_repodata.json",
		"lock", "linux-64.state", "linux-64.jsonl", "linux-64/x", "shards/x"} {
		r.put("/outside/"+n, "canary")
	}
	for _, d := range dirs {
		if err := os.MkdirAll(r.path("/evil"), 0o755); err != nil {
			r.Fatal(err)
		}
		up := strings.Repeat("../", strings.Count(d, "/")-1) + "outside"
		if err := os.Symlink(up, r.path("/evil/"+strings.ReplaceAll(d, "/", "_"))); err != nil {
			r.Fatal(err)
		}
	}
}

// Who owns the tree and exchanges its directories with links while root mirrors to it gets nothing written or changed
// outside.
func TestSwappedDirectories(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "it kills or races many runs")
	needRoot(t)
	r := newMemoryRig(t)
	names := letters(12)
	r.channel("/src", "linux-64", names...)
	m := r.mirror()
	m.Shards, m.NoBzip2 = true, true
	m.Owner.User, m.Owner.Group = "1234", "1234"
	r.must(m)
	dirs := []string{"/dst/acc/linux-64", "/dst/acc/" + state.Dir, "/dst/acc/linux-64/shards", "/dst/acc/noarch",
		"/dst/acc"}
	r.lure(dirs)
	before := dated(t, r.path("/outside"))
	stop := make(chan struct{})
	var swaps atomic.Int64
	go r.swapper(stop, &swaps, dirs...)
	errs := map[string]int{}
	d := 3 * time.Second
	if long() {
		d = time.Minute
	}
	runs, done := 0, 0
	for start := time.Now(); time.Since(start) < d; runs++ {
		r.channel("/src", "linux-64", names[runs%3:4+runs%8]...)
		if n, err := r.run(m, r.local()); err != nil {
			errs[fmt.Sprintf("%.60s", err)]++
		} else if n > 0 {
			done++
		}
	}
	close(stop)
	if after := dated(t, r.path("/outside")); after != before {
		t.Errorf("outside is changed:\n%s", difference(after, before))
	}
	t.Logf("%d swaps, %d runs, %d of them to their end, %d kinds of errors", swaps.Load(), runs, done, len(errs))
	if swaps.Load() < 10_000 {
		t.Error("there were too few swaps")
	}
}

// dated is tree with times.
func dated(t *testing.T, dir string) string {
	t.Helper()
	text := listing(t, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintln(e.Name(), fi.ModTime(), fi.Sys())
	}
	return text
}
