package mirror

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"runbook/runtime/fetch"
)

// A history is a channel that changes: from one version to the next packages come, go and are replaced under their
// names. Beside the mirror that is disturbed there is one that is not.
type history struct {
	*rig
	calm    *rig
	rand    *rand.Rand
	task    task
	version int
	usual   time.Duration // that a run takes
	largest int64         // bytes of a package
	sent    atomic.Int64  // bytes of packages that the server has written

	mu   sync.Mutex
	ever map[string]map[string]int // the age of every digest that a file has had
}

const (
	historyFiles   = 16       // in each subdir
	historyLargest = 150_000  // bytes of a package
	historyWorkers = 4        // connections
	historyRate    = 20 << 20 // bytes a second that a directory is read with
)

func newHistory(t *testing.T, r *rand.Rand, server bool) *history {
	h := &history{rig: newMemoryRig(t), calm: newMemoryRig(t), rand: r, largest: historyLargest,
		ever: map[string]map[string]int{}}
	h.task, h.usual = task{Root: h.root, Channels: []string{"/src"}, Rate: historyRate, Shards: true}, 300*time.Millisecond
	if server {
		s := httptest.NewServer(http.HandlerFunc(h.serveSlowly))
		t.Cleanup(s.Close)
		h.task = task{Root: h.root, Channels: []string{s.URL}, Connections: historyWorkers, Shards: true}
	}
	return h
}

// next makes the channel's next version.
func (h *history) next() {
	h.version++
	for _, subdir := range []string{"linux-64", "noarch"} {
		records := map[string]record{}
		for i := range historyFiles {
			file := fmt.Sprintf("p%02d-1.0-0.tar.bz2", i)
			name := subdir + "/" + file
			if h.rand.IntN(5) == 0 {
				continue
			}
			text := h.content(name)
			h.put("/src/"+name, text)
			h.calm.put("/src/"+name, text)
			sum := sha256.Sum256([]byte(text))
			records[file] = record{"name": fmt.Sprintf("p%02d", i), "version": "1.0", "build": "0", "size": len(text),
				"sha256": hex.EncodeToString(sum[:])}
		}
		h.index("/src", subdir, records)
		h.calm.index("/src", subdir, records)
	}
}

// content returns what a package of the next version holds: in one of eight cases something new.
func (h *history) content(name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.ever[name]
	if known == nil {
		known = map[string]int{}
		h.ever[name] = known
	}
	age := max(len(known), 1)
	if len(known) > 0 && h.rand.IntN(8) == 0 {
		age++
	}
	source := rand.NewChaCha8(sha256.Sum256(fmt.Appendln(nil, name, age)))
	data := make([]byte, 1000+source.Uint64()%uint64(h.largest-1000))
	source.Read(data)
	sum := sha256.Sum256(data)
	known[hex.EncodeToString(sum[:])] = age
	return string(data)
}

// serveSlowly is a server with strong ETags that gives a file of 150 kB in some ten milliseconds.
func (h *history) serveSlowly(w http.ResponseWriter, r *http.Request) {
	data, err := os.ReadFile(h.path("/src" + path.Clean(r.URL.Path)))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(data)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ".tar.bz2") {
		w = &slowWriter{w, &h.sent}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

type slowWriter struct {
	http.ResponseWriter
	sent *atomic.Int64
}

func (s *slowWriter) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		piece := p[n:min(n+16<<10, len(p))]
		_, err = s.ResponseWriter.Write(piece)
		http.NewResponseController(s.ResponseWriter).Flush()
		n += len(piece)
		s.sent.Add(int64(len(piece)))
		time.Sleep(time.Millisecond)
	}
	return n, err
}

// plan finds out what this version would have fetched, from here.
func (h *history) plan() *Plan {
	h.Helper()
	l := h.local()
	l.Net = fetch.New().Get
	p, err := h.task.mirror().Plan(h.Context(), l)
	if err != nil {
		h.Fatal(advised(err))
	}
	return p
}

// finish mirrors to the end, and compares with the mirror that nobody has disturbed.
func (h *history) finish() {
	h.Helper()
	var out bytes.Buffer
	if code := exit(h, h.task.command(h, &out).Run()); code != 0 {
		h.Fatalf("version %d: the last run ends with %d: %s", h.version, code, out.String())
	}
	m := h.task.mirror()
	m.Config.Channels, m.Rate = []string{"/src"}, 0
	if _, err := h.calm.run(m, h.calm.local()); err != nil {
		h.Fatal(advised(err))
	}
	if d := h.differs(); d != "" {
		h.Errorf("version %d: differs from an undisturbed mirror:\n%s", h.version, d)
	}
	if p := h.plan(); len(p.Changes()) > 0 {
		h.Errorf("version %d: there is still something to do: %v", h.version, p.Changes())
	}
	if left := h.list("/dst/acc/*/.*.part") + h.list("/dst/acc/*/*/.*.part"); left != "" {
		h.Errorf("version %d: left behind: %s", h.version, left)
	}
}

// differs compares with the mirror that nobody has disturbed. What no index lists may be of a version that came to no
// end.
func (h *history) differs() string {
	h.Helper()
	listed := map[string]bool{}
	for _, subdir := range []string{"linux-64", "noarch"} {
		index, err := readIndex(h.calm.path("/dst/acc/" + subdir + "/repodata.json"))
		if err != nil {
			h.Fatal(err)
		}
		for file := range index {
			listed["/acc/"+subdir+"/"+file] = true
		}
	}
	var b strings.Builder
	for line := range strings.Lines(difference(h.tree("/dst"), h.calm.tree("/dst"))) {
		name, _, _ := strings.Cut(line[1:], " ")
		if line[0] == '+' && strings.Contains(name, "/shards/") || strings.HasSuffix(name, ".tar.bz2") && !listed[name] {
			continue
		}
		b.WriteString(line)
	}
	return b.String()
}

func (r *rig) tree(dir string) string { return listing(r, r.path(dir)) }

// difference shows the lines that only one of two texts has.
func difference(have, want string) string {
	var b strings.Builder
	for _, c := range []struct{ sign, in, notIn string }{{"+", have, want}, {"-", want, have}} {
		lines := map[string]bool{}
		for line := range strings.Lines(c.notIn) {
			lines[line] = true
		}
		for line := range strings.Lines(c.in) {
			if !lines[line] {
				b.WriteString(c.sign + line)
			}
		}
	}
	return b.String()
}
