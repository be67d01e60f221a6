package mirror

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"runbook/builtins/internal/mirror/channel"
	"runbook/builtins/internal/mirror/state"
	"runbook/runtime/host"
)

// A server that does not say which subdirs it has is asked for all once. Whoever mirrors the tree that was made
// of it is told.
func TestSubdirsOfServers(t *testing.T) {
	r := newRig(t)
	r.channel("/src", "linux-64", "a", "b")
	var mu sync.Mutex
	var asked []string
	url, h := r.serve(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			mu.Lock()
			asked = append(asked, q.URL.Path)
			mu.Unlock()
			next.ServeHTTP(w, q)
		})
	})
	m := r.mirror(url)
	run := func(m *Mirror, changes bool) []string {
		t.Helper()
		asked = nil
		if n, err := r.run(m, h); err != nil || changes != (n > 0) {
			t.Fatal(n, err)
		}
		return asked
	}
	if n := len(run(m, true)); n < 50 {
		t.Errorf("first run: got %d requests", n)
	}
	if again := run(m, false); len(again) > 6 || slices.ContainsFunc(again, func(p string) bool { return strings.Contains(p, "osx") }) {
		t.Errorf("second run: got %v", again)
	}
	m.Full = true
	if n := len(run(m, false)); n < 50 {
		t.Errorf("all is read again: got %d requests", n)
	}
	m.Full = false
	if n := len(run(m, false)); n > 6 {
		t.Errorf("after that: got %d requests", n)
	}
	const want = "{\n  \"channeldata_version\": 1,\n  \"packages\": {},\n  \"subdirs\": [\n    \"linux-64\",\n    \"noarch\"\n  ]\n}\n"
	if got := r.get("/dst/acc/channeldata.json"); got != want {
		t.Errorf("got %s", got)
	}
}

// The file names what is there, also what other runs mirrored, and is mended.
func TestChanneldata(t *testing.T) {
	r := newRig(t)
	r.channel("/src", "linux-64", "a", "b")
	m := r.mirror("/src")
	data := func() string {
		t.Helper()
		names, err := channel.ParseData([]byte(r.get("/dst/acc/channeldata.json")))
		if err != nil {
			t.Error(err)
		}
		return strings.Join(names, " ")
	}
	for _, c := range []struct {
		do      func()
		changes int
		want    string
	}{
		{func() {}, 5, "linux-64 noarch"},
		{func() {}, 0, "linux-64 noarch"},
		{func() { r.put("/dst/acc/channeldata.json", "{") }, 1, "linux-64 noarch"},
		{func() { r.put("/dst/acc/channeldata.json", `{"subdirs":["linux-64"]}`) }, 1, "linux-64 noarch"},
		{func() { r.put("/dst/acc/channeldata.json", `{"subdirs":["noarch","linux-64"],"packages":{"a":{}}}`) }, 0, "noarch linux-64"},
		{func() { r.put("/dst/acc/win-64/repodata.json", "{}") }, 1, "linux-64 noarch win-64"},
		{func() { r.channel("/src", "osx-64", "c") }, 2, "linux-64 noarch osx-64 win-64"},
	} {
		c.do()
		if n, err := r.run(m, host.NewOverlay(r.local(), host.Owner{})); err != nil || n != c.changes {
			t.Errorf("%s: dry run: got %d changes, want %d, %v", c.want, n, c.changes, err)
		}
		if n, err := r.run(m, r.local()); err != nil || n != c.changes || data() != c.want {
			t.Errorf("%s: got %d changes, want %d, %s, %v", c.want, n, c.changes, data(), err)
		}
	}
}

// What a server lacked is asked for again after a while.
func TestAbsences(t *testing.T) {
	r := newRig(t)
	p := &Plan{mirror: r.mirror("/src"), r: r.local(), dir: "/dst/acc"}
	w := &planner{plan: p}
	c := &channel.Channel{Shown: "c"}
	if got := w.guess(c, []string{"linux-64", "noarch"}); len(got) != 2 || p.absent["c"].Asked != 0 {
		t.Errorf("nothing known: got %v", got)
	}
	for age, want := range map[int64]int{1: 1, 3600 * 24: 1, 3600 * 24 * 8: 2, -3600: 2} {
		old := state.Absence{Subdirs: []string{"linux-64"}, Asked: time.Now().Unix() - age}
		r.put("/dst/acc/"+state.Name("noarch"), stateWith(t, old))
		if got := w.guess(c, []string{"linux-64", "noarch"}); len(got) != want {
			t.Errorf("%d seconds ago: got %v", age, got)
		}
	}
}

// stateWith returns the state of a noarch with an absence of channel c.
func stateWith(t *testing.T, a state.Absence) string {
	t.Helper()
	var b strings.Builder
	if err := state.NewWriter(&b).End(state.Header{Subdir: "noarch", Absent: map[string]state.Absence{"c": a}}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
