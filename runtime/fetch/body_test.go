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
			s.Fault("f", b, 1)
			c := s.Client(t)
			resp, have, err := read(t, c, host.Request{URL: s.URL + "/f"})
			if resp == nil || err == nil || !strings.HasPrefix(data, have) || resp.ETag == "" {
				t.Errorf("%s: got %d bytes, %+v, %v", b.Name, len(have), resp, err)
				continue
			}
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
				c := s.Client(t)
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
