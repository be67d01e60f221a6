package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"runbook/runtime/fetch/fetchtest"
	"runbook/runtime/host"
	"runbook/runtime/host/sample"
)

// canary is a secret that must be nowhere but in requests to the channel's own server.
const canary = "s3cr3t"

// A bad is one way in which a server answers badly, and what it answers badly to.
type bad struct {
	fetchtest.Behaviour
	index bool // or else a package
	times int
	place string // of the credentials
}

func (b bad) String() string {
	return fmt.Sprintf("%s, index %v, %d times, secret in %s", b.Name, b.index, b.times, b.place)
}

func bads() (all []bad) {
	places := []string{"path", "user", "bearer"}
	for i, b := range fetchtest.All() {
		for j, index := range []bool{true, false} {
			for k, times := range []int{1, fetchtest.Forever} {
				all = append(all, bad{b, index, times, places[(i+j+k)%len(places)]})
			}
		}
	}
	return all
}

// lasting are the behaviours that nobody asks again about, so that once is enough for an error: what they say is that
// the file, or the permission, is not there.
var lasting = []string{"status 204", "status 304", "status 400", "status 401", "status 403", "status 404", "status 407", "status 410", "status 416", "status 451",
	"stalls within the page of status 404", "page", "part unasked", "long header", "many headers", "redirect"}

// lastingIndex are those besides that make an index wrong: nothing but itself tells what it should be.
var lastingIndex = []string{"long by one", "wrong bytes", "cut without a length", "gzip", "endless"}

// absent are the behaviours that say of an index that there is none, or that it is empty.
var absent = []string{"status 404", "status 410", "stalls within the page of status 404", "zero bytes", "JSON error"}

func (b bad) isOf(list []string) bool {
	return slices.ContainsFunc(list, func(l string) bool { return strings.HasPrefix(b.Name, l) })
}

// A scene is a server, a machine that mirrors from it, and all that was told meanwhile.
type faultScene struct {
	*rig
	server *fetchtest.Server
	local  *host.Local
	at     string // the channel's path on the server
	m      *Mirror
	mu     sync.Mutex
	told   []string
}

// newFaultScene has a channel with credentials in some place.
func newFaultScene(t *testing.T, place string) *faultScene {
	s := &faultScene{rig: newMemoryRig(t), at: map[string]string{"path": "/t/" + canary}[place] + "/c"}
	s.channel("/made", "linux-64", "a", "b", "c")
	s.channel("/made", "noarch", "d")
	s.put("/made/channeldata.json", `{"subdirs": ["linux-64", "noarch"]}`)
	s.put("/made/linux-64/repodata.json.zst", zstd(t, s.get("/made/linux-64/repodata.json")))
	if err := errors.Join(os.MkdirAll(s.path("/src"+path.Dir(s.at)), 0o755),
		os.Rename(s.path("/made"), s.path("/src"+s.at))); err != nil {
		t.Fatal(err)
	}
	s.server = fetchtest.New(t, os.DirFS(s.path("/src")))
	s.local = s.rig.local()
	s.patience(t, 10*time.Second)
	url := s.server.URL + s.at
	if place == "user" {
		url = strings.Replace(url, "://", "://user:"+canary+"@", 1)
	}
	s.m = s.mirror(url)
	s.m.Redact, s.m.Connections, s.m.NoBzip2 = host.RedactURL, 2, true
	if place == "bearer" {
		s.m.Access.Bearer = canary
	}
	s.m.Progress = func(text string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told = append(s.told, text)
	}
	return s
}

// patience is how long the server may say nothing.
func (s *faultScene) patience(t *testing.T, d time.Duration) {
	c := s.server.Client(t)
	c.Stall = d
	s.local.Net = c.Get
}

func (s *faultScene) run(ctx context.Context) error {
	p, err := s.m.Plan(ctx, s.local)
	if p != nil {
		s.told = append(append(s.told, p.Report.Warnings...), p.Summary())
	}
	if err == nil {
		s.told = append(s.told, fmt.Sprint(p.Changes()))
		p.testOnlyPause = func(int) {}
		err = p.Apply(ctx, s.local)
		s.told = append(s.told, p.Done(), fmt.Sprint(p.Manifests()))
	}
	s.told = append(s.told, advised(err))
	return err
}

// secretive checks that nothing that was told or written holds the secret.
func (s *faultScene) secretive(t *testing.T, what any) {
	for _, text := range s.told {
		if strings.Contains(text, canary) {
			t.Errorf("%v: told: %s", what, text)
		}
	}
	err := filepath.WalkDir(s.path("/dst"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		if strings.Contains(name+string(data), canary) {
			t.Errorf("%v: %s holds the secret", what, name)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Errorf("%v: %v", what, err)
	}
}

// sound checks that each package that lies in the tree is the right one, and that each index that lies there lists only
// such; it returns how many are listed.
func (s *faultScene) sound() (n int, err error) {
	files, err := filepath.Glob(s.path("/dst/acc/*/*.tar.bz2"))
	for _, f := range files {
		want, err := os.ReadFile(s.path("/src" + s.at + strings.TrimPrefix(f, s.path("/dst/acc"))))
		if have, err2 := os.ReadFile(f); err != nil || err2 != nil || string(have) != string(want) {
			return n, fmt.Errorf("%s is wrong: %v, %v", f, err, err2)
		}
	}
	for _, subdir := range []string{"linux-64", "noarch"} {
		k, err := complete(s.path("/dst/acc/" + subdir))
		if err != nil && !os.IsNotExist(err) {
			return n, err
		}
		n += k
	}
	return n, err
}

// However a server answers, what comes to lie in the tree is right or nothing. What passes is overcome; what does not
// ends in time, with an error that says what it is about and no secret, and all other packages are there.
func TestServerBehaviours(t *testing.T) {
	t.Parallel()
	sample.Slow(t, "servers that say nothing are waited for")
	all := bads()
	if len(all) < 4*60 {
		t.Errorf("only %d cases", len(all))
	}
	tried := sample.Every(t, 3, all,
		func(b bad) []string { return []string{b.Name, b.place, fmt.Sprint(b.index, b.times)} })
	slots := make(chan struct{}, 32)
	var done sync.WaitGroup
	var failed atomic.Int64
	for _, b := range tried {
		slots <- struct{}{}
		done.Go(func() {
			defer func() { <-slots }()
			if b.endure(t) != nil {
				failed.Add(1)
			}
		})
	}
	done.Wait()
	t.Logf("%d cases, %d ended in an error", len(tried), failed.Load())
}

func (b bad) endure(t *testing.T) error {
	s := newFaultScene(t, b.place)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	object := map[bool]string{true: "/linux-64/repodata.json*", false: "/linux-64/a-1.0-0.tar.bz2"}[b.index]
	s.server.Fault(s.at+object, b.Behaviour, b.times)
	if strings.Contains(b.Name, "stalls") || strings.Contains(b.Name, "every") {
		s.patience(t, 2*fetchtest.Stall)
	}
	err := s.run(ctx)
	n, wrong := s.sound()
	mayFail := b.times == fetchtest.Forever || b.isOf(lasting) || b.index && b.isOf(lastingIndex)
	switch {
	case wrong != nil:
		t.Errorf("%v: %v", b, wrong)
	case ctx.Err() != nil:
		t.Errorf("%v: never ends", b)
	case err == nil && n != 4 && !(n == 1 && b.index && b.isOf(absent)):
		t.Errorf("%v: no error, and %d packages", b, n)
	case err != nil && !mayFail:
		t.Errorf("%v: %s", b, advised(err))
	case err != nil && !b.index && (n != 3 || !strings.Contains(err.Error(), "linux-64/a-1.0-0.tar.bz2: ")):
		t.Errorf("%v: %d packages, and the error: %v", b, n, err)
	case err != nil && b.index &&
		(n != 0 || !strings.Contains(advised(err), " | ") || !strings.Contains(err.Error(), "/linux-64/repodata.json: ")):
		t.Errorf("%v: %d packages, and the error: %v", b, n, err)
	}
	s.secretive(t, b)
	s.server.Heal()
	s.patience(t, 10*time.Second)
	if err := s.run(ctx); err != nil {
		t.Errorf("%v: healed, it says %s", b, advised(err))
	}
	if n, wrong := s.sound(); n != 4 || wrong != nil || s.list("/dst/acc/*/.*.part") != "" {
		t.Errorf("%v: healed, it has %d packages, %v, %s", b, n, wrong, s.list("/dst/acc/*/.*.part"))
	}
	s.secretive(t, b)
	return err
}
