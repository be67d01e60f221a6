package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"runbook/runtime/host"
)

// quick returns a client that does not wait, and how long it would have.
func quick() (*Client, *[]time.Duration) {
	c, waits := New(), new([]time.Duration)
	c.Stall = 10 * time.Second
	c.Sleep = func(ctx context.Context, d time.Duration) error {
		*waits = append(*waits, d)
		return ctx.Err()
	}
	return c, waits
}

// hasty is quick without the patience that a busy machine needs.
func hasty() *Client {
	c, _ := quick()
	c.Stall = 500 * time.Millisecond
	return c
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// get returns the body, too; the error is that of Get or of reading.
func get(c *Client, r host.Request) (*host.Response, string, error) {
	resp, err := c.Get(context.Background(), r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func TestStatus(t *testing.T) {
	for _, test := range []struct{ status, tries, want int }{
		{200, 1, 200}, {204, 1, 204}, {304, 1, 304}, {400, 1, 400}, {401, 1, 401}, {403, 1, 403}, {404, 1, 404}, {407, 1, 407},
		{410, 1, 410}, {451, 1, 451}, {501, 1, 501}, {505, 1, 505}, {511, 1, 511},
		{408, 5, 408}, {425, 5, 425}, {429, 5, 429}, {500, 5, 500}, {502, 5, 502}, {503, 5, 503}, {504, 5, 504},
	} {
		tries := 0
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { tries++; w.WriteHeader(test.status) })
		c, waits := quick()
		resp, _, err := get(c, host.Request{URL: s.URL})
		if err != nil || resp.Status != test.want || tries != test.tries || len(*waits) != tries-1 {
			t.Errorf("%d: got %+v, %v after %d tries and %d waits", test.status, resp, err, tries, len(*waits))
		}
	}
}

func TestPassingFailure(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch tries.Add(1) {
		case 1:
			panic(http.ErrAbortHandler) // the connection breaks
		case 2:
			w.WriteHeader(503)
		default:
			io.WriteString(w, "ok")
		}
	})
	c, waits := quick()
	if resp, body, err := get(c, host.Request{URL: s.URL}); err != nil || resp.Status != 200 || body != "ok" || len(*waits) != 2 {
		t.Errorf("got %+v, %q, %v after waits %v", resp, body, err, *waits)
	}
}

func TestRetryAfter(t *testing.T) {
	for header, want := range map[string][2]time.Duration{
		"":                      {0, time.Second},
		"7":                     {7 * time.Second, 7 * time.Second},
		"-5":                    {0, time.Second},
		"31536000":              {10 * time.Minute, 10 * time.Minute},
		"soon":                  {0, time.Second},
		"1.5":                   {0, time.Second},
		" 7 ":                   {7 * time.Second, 7 * time.Second},
		"99999999999999999999":  {10 * time.Minute, 10 * time.Minute},
		"-99999999999999999999": {0, time.Second},
		time.Now().Add(time.Hour).UTC().Format(http.TimeFormat):        {10 * time.Minute, 10 * time.Minute},
		time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat): {15 * time.Second, 20 * time.Second},
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat):       {0, time.Second},
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(429)
		})
		c, waits := quick()
		c.Tries = 2
		if _, _, err := get(c, host.Request{URL: s.URL}); err != nil || len(*waits) != 1 || (*waits)[0] < want[0] || (*waits)[0] > want[1] {
			t.Errorf("%q: waited %v, %v, want %v", header, *waits, err, want)
		}
	}
}

func TestBackoffGrowsAndIsSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for try := 1; try < 40; try++ {
		d := backoff(time.Second, 30*time.Second, try)
		full := min(time.Second<<min(try-1, 10), 30*time.Second)
		if d < full/2 || d > full {
			t.Errorf("try %d: waits %v, want %v to %v", try, d, full/2, full)
		}
		seen[d] = true
	}
	if len(seen) < 30 {
		t.Errorf("only %d different waits", len(seen))
	}
}

func TestNoConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c, waits := quick()
	_, _, err = get(c, host.Request{URL: "http://" + addr + "/t/s3cr3t/x"})
	if err == nil || len(*waits) != 4 || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("got %v after %d waits", err, len(*waits))
	}
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	defer tls.Close()
	for _, u := range []string{tls.URL, "https" + strings.TrimPrefix(serve(t, nil).URL, "http")} {
		c, waits := quick()
		if _, _, err := get(c, host.Request{URL: u}); err == nil || len(*waits) != 0 {
			t.Errorf("%s: got %v after %d waits: who the server is does not change", u, err, len(*waits))
		}
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestUnknownNameIsNotAskedForAgain(t *testing.T) {
	for _, found := range []bool{true, false} {
		c, waits := quick()
		c.Transport = tripper(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "x", Name: "h.invalid", IsNotFound: !found}}
		})
		if _, _, err := get(c, host.Request{URL: "http://h.invalid/"}); err == nil || (len(*waits) == 4) != found {
			t.Errorf("found %v: got %v after %d waits", found, err, len(*waits))
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
	ctx, cancel := context.WithCancel(context.Background())
	c := New()
	c.Pause, c.MaxPause = time.Hour, time.Hour
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := c.Get(ctx, host.Request{URL: s.URL}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(conn, text)
			conn.Close()
		}
	}
	for _, test := range []struct {
		name    string
		h       http.HandlerFunc
		want    string
		size    int64
		problem string
	}{
		{"whole", raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "ok", 2, ""},
		{"short", raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), "ok", 9, "unexpected EOF"},
		{"chunk cut", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok"), "ok", -1, "unexpected EOF"},
		{"bad chunk", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok"), "", -1, "invalid"},
		{"until closed", raw("HTTP/1.1 200 OK\r\n\r\nok"), "ok", -1, ""},
		{"two lengths", raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"), "", 0, "Content-Length"},
		{"negative length", raw("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok"), "", 0, "Content-Length"},
		{"long header", raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\nok"), "", 0, "header"},
		{"no HTTP", raw("220 ftp ready\r\n"), "", 0, "malformed"},
		{"compressed", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "\x1f\x8bnot inflated")
		}, "\x1f\x8bnot inflated", 14, ""},
		{"stalls", func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "", -1, "got no data for 500ms"},
		{"trickles", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.Write([]byte("x"))
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		}, "*", -1, "bytes in 5s"},
	} {
		c, _ := quick()
		switch test.name {
		case "stalls":
			c = hasty()
		case "trickles":
			c.Stall = time.Second // a busy machine must not look like one that stalls
		}
		resp, body, err := get(c, host.Request{URL: serve(t, test.h).URL})
		if resp != nil && (resp.Size != test.size || body != test.want && test.want != "*") {
			t.Errorf("%s: got %q of %d bytes", test.name, body, resp.Size)
		}
		if fmt.Sprint(err) != "<nil>" && test.problem == "" || err == nil && test.problem != "" ||
			err != nil && !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: got error %v, want %q", test.name, err, test.problem)
		}
	}
}

func TestSlowReaderIsNoStall(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 1<<20)) })
	c := hasty()
	c.Stall = time.Second // a busy machine must not look like a bad server
	resp, err := c.Get(context.Background(), host.Request{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	time.Sleep(2 * c.Stall)
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != 1<<20 {
		t.Errorf("got %d bytes, %v", n, err)
	}
}
