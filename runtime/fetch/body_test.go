package fetch_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"runbook/runtime/fetch"
	"runbook/runtime/fetch/fetchtest"
	"runbook/runtime/host"
)

// However a body breaks off, what came is right, the error says so, and another
// Get brings the rest.
func TestBrokenBodyIsResumed(t *testing.T) {
	t.Parallel()
	data := string(noise(100 << 10))
	together([]fetchtest.Behaviour{
		fetchtest.Short(), fetchtest.Reset(), fetchtest.ChunkCut(), fetchtest.StallAt(50), fetchtest.StallAt(0), fetchtest.Trickle(time.Second),
	}, func(b fetchtest.Behaviour) {
		for _, s := range []*fetchtest.Server{fetchtest.New(t, nil), fetchtest.NewTLS(t, nil, fetchtest.Good)} {
			s.Set("f", []byte(data))
			s.Fault("f", b, fetchtest.Forever) // A first request that is tried again meets it too.
			c := calm(t, s)
			if b.Name != fetchtest.Short().Name && b.Name != fetchtest.Reset().Name && b.Name != fetchtest.ChunkCut().Name {
				c.Stall = 2 * fetchtest.Stall
			}
			resp, have, err := read(t, c, host.Request{URL: s.URL + "/f"})
			if resp == nil || err == nil || !strings.HasPrefix(data, have) || resp.ETag == "" {
				t.Errorf("%s: got %d bytes, %+v, %v", b.Name, len(have), resp, err)
				continue
			}
			s.Heal()
			c.Stall = time.Minute
			again := host.Request{URL: s.URL + "/f", Offset: int64(len(have))}
			if have != "" {
				again.ETag = resp.ETag
			}
			rest, more, err := read(t, c, again)
			if err != nil || rest.Offset != int64(len(have)) || rest.Size != int64(len(data)) || have+more != data {
				t.Errorf("%s: after %d bytes got %+v, %v", b.Name, len(have), rest, err)
			}
		}
	})
}

// Whoever cancels gets ctx's error at once, wherever a request is, and nothing
// of it stays. Not parallel: it counts goroutines.
func TestCancelFreesEverything(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("all", func(t *testing.T) {
		for _, b := range []fetchtest.Behaviour{
			fetchtest.Silent(), fetchtest.StallAt(0), fetchtest.StallAt(50), fetchtest.Trickle(20 * time.Millisecond), fetchtest.Endless(), fetchtest.Status(503),
		} {
			for _, s := range []*fetchtest.Server{fetchtest.New(t, nil), fetchtest.NewTLS(t, nil, fetchtest.Good)} {
				s.Set("f", noise(10<<10))
				s.Fault("f", b, fetchtest.Forever)
				c := calm(t, s)
				c.Pause, c.MaxPause, c.Stall = time.Hour, time.Hour, time.Hour
				cancelled(t, b.Name, c, s.URL+"/f")
			}
		}
	})
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("got %d goroutines, want %d\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func cancelled(t *testing.T, name string, c *fetch.Client, url string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			resp, err := c.Get(ctx, host.Request{URL: url})
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v", name, err)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	cancel()
	wg.Wait()
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("%s: took %v to cancel", name, took)
	}
}

// What is answered 128 times at once needs no new connection the second time.
func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	const at = 128
	s := fetchtest.New(t, nil)
	s.Set("f", noise(100<<10))
	s.Fault("f", fetchtest.After(200*time.Millisecond), at)
	c := calm(t, s)
	for range 3 {
		var wg sync.WaitGroup
		for range at {
			wg.Go(func() {
				if _, body, err := read(t, c, host.Request{URL: s.URL + "/f"}); err != nil || len(body) != 100<<10 {
					t.Errorf("got %d bytes, %v", len(body), err)
				}
			})
		}
		wg.Wait()
		time.Sleep(50 * time.Millisecond) // a connection comes back a little after its body's end
	}
	if n := s.Connections(); n > at+at/8 {
		t.Errorf("got %d connections", n)
	}
}

// The rest of an answer that nobody wants is not waited for.
func TestStalledErrorPage(t *testing.T) {
	t.Parallel()
	s := fetchtest.New(t, nil)
	s.Fault("f", fetchtest.StalledStatus(503), 2)
	s.Set("f", []byte("ok"))
	c := calm(t, s)
	c.Stall = time.Hour
	if _, body, err := read(t, c, host.Request{URL: s.URL + "/f"}); err != nil || body != "ok" {
		t.Errorf("got %q, %v", body, err)
	}
}

// What was put together wrongly is asked for again past the caches.
func TestSecondTryIsFresh(t *testing.T) {
	t.Parallel()
	s := fetchtest.New(t, nil)
	data := noise(10 << 10)
	s.Set("f", data)
	s.Fault("f", fetchtest.OldVersion("same"), 1)
	have, err := download(t, calm(t, s), s.URL+"/f", fetch.Want{SHA256: hash(data)})
	asked := s.Requests()
	if err != nil || string(have) != string(data) || len(asked) != 3 || asked[1].Header.Get("Range") != "bytes=5120-" || asked[1].Header.Get("Pragma") != "" ||
		asked[2].Header.Get("Range") != "" || asked[2].Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("got %d bytes, %v, after %+v", len(have), err, asked)
	}
}
