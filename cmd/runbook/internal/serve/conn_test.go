package serve

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"runbook/runtime/host/sample"
)

// large is a mirror with a package larger than what kernels hold of a connection, and its bytes.
func large(t testing.TB, size int) (dir, name string, data []byte) {
	dir = channel(t)
	data = make([]byte, size)
	noise := rand.NewChaCha8([32]byte{1})
	noise.Read(data)
	name = dir + "/free/linux-64/large-1-0.conda"
	put(t, name, string(data))
	return dir, name, data
}

// A reader is a client that reads when it likes.
type reader struct {
	net.Conn
	body io.Reader
}

// begin asks for the large package on a connection that holds little.
func begin(t testing.TB, addr string) reader {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.(*net.TCPConn).SetReadBuffer(16 << 10)
	io.WriteString(c, "GET /free/linux-64/large-1-0.conda HTTP/1.1\r\nHost: x\r\n\r\n")
	a, err := http.ReadResponse(bufio.NewReaderSize(c, 4<<10), nil)
	if err != nil || a.StatusCode != 200 {
		t.Fatal(a, err)
	}
	return reader{c, a.Body}
}

// A publish replaces a package, and another takes it away, in the middle of downloads: each gets what it began with.
func TestPublishInDownload(t *testing.T) {
	dir, name, data := large(t, 24<<20)
	s := start(t, Options{Dir: dir, Now: later}, 0)
	first := begin(t, s.addr)
	head := make([]byte, 1000)
	if _, err := io.ReadFull(first.body, head); err != nil {
		t.Fatal(err)
	}
	other := bytes.Repeat([]byte("other"), 5<<20)
	put(t, name, string(other))
	second := begin(t, s.addr)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ have, want io.Reader }{
		{io.MultiReader(bytes.NewReader(head), first.body), bytes.NewReader(data)}, {second.body, bytes.NewReader(other)},
	} {
		have, err := io.ReadAll(c.have)
		want, _ := io.ReadAll(c.want)
		if err != nil || !bytes.Equal(have, want) {
			t.Errorf("got %d bytes, want %d others: %v", len(have), len(want), err)
		}
	}
	if have := ask(t, http.DefaultClient, "GET", s.url+"/free/linux-64/large-1-0.conda"); have.code != 404 {
		t.Errorf("got %d of what is gone", have.code)
	}
}

// until waits for what will be.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within 10 seconds: %s", what)
}

// A client that takes nothing is let go. One that takes little, all the time, gets everything: also where the kernel
// has it wait for longer than the patience lasts before it takes more.
func TestSlowClients(t *testing.T) {
	for name, o := range map[string]Options{"HTTP": {}, "HTTPS": withCertificate(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var data []byte
			o.Dir, _, data = large(t, 8<<20)
			o.Stall = time.Second
			s := start(t, o, 0)
			dial := func() reader {
				if o.Cert == "" {
					return begin(t, s.addr)
				}
				return beginTLS(t, s.addr)
			}
			dial() // and read nothing
			until(t, "the one that takes nothing is let go", func() bool { return s.InFlight() == 0 })

			for {
				have, late, err := slowly(dial(), 3*o.Stall)
				if late > o.Stall/2 { // this machine was slower than the client is meant to be
					t.Logf("once more: the client took nothing for %v", late)
					continue
				}
				if err != nil || !bytes.Equal(have, data) {
					t.Errorf("got %d bytes, want %d: %v", len(have), len(data), err)
				}
				return
			}
		})
	}
}

// slowly reads little at a time for so long, and then the rest. late is the longest time in which it asked for nothing.
func slowly(from reader, long time.Duration) (have []byte, late time.Duration, err error) {
	var all bytes.Buffer
	began := time.Now()
	for last := began; err == nil && last.Sub(began) < long; {
		time.Sleep(40 * time.Millisecond)
		_, err = io.CopyN(&all, from.body, 16<<10)
		late = max(late, time.Since(last))
		last = time.Now()
	}
	if err == nil {
		_, err = io.Copy(&all, from.body)
	}
	return all.Bytes(), late, err
}

// If there are as many connections as there may be, the one that is idle longest makes room; if none is idle, the next
// one waits.
func TestMostConnections(t *testing.T) {
	dir, _, data := large(t, 8<<20)
	s := start(t, Options{Dir: dir, MaxConnections: 2, Now: later}, 0)
	idle := func() *http.Client { return &http.Client{Transport: &http.Transport{}, Timeout: 3 * time.Second} }
	for range 5 { // each keeps its connection
		if have := ask(t, idle(), "GET", s.url+"/healthz"); have.code != 200 {
			t.Fatalf("got %d", have.code)
		}
	}
	first, second := begin(t, s.addr), begin(t, s.addr)
	if _, err := (&http.Client{Transport: &http.Transport{}, Timeout: 300 * time.Millisecond}).Get(s.url + "/healthz"); err == nil {
		t.Error("a third connection was let in")
	}
	if have, err := io.ReadAll(first.body); err != nil || len(have) != len(data) {
		t.Errorf("got %d bytes: %v", len(have), err)
	}
	if have := ask(t, idle(), "GET", s.url+"/healthz"); have.code != 200 {
		t.Errorf("got %d when one was done", have.code)
	}
	if have, err := io.ReadAll(second.body); err != nil || len(have) != len(data) {
		t.Errorf("got %d bytes: %v", len(have), err)
	}
}

// Who does not end the head of a request is let go.
func TestSlowHead(t *testing.T) {
	sample.Slow(t, "it waits for ten seconds")
	t.Parallel()
	s := start(t, Options{Dir: channel(t)}, 0)
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	c.SetDeadline(began.Add(3 * headerTime))
	for err == nil && time.Since(began) < 2*headerTime {
		_, err = io.WriteString(c, "x") // something, all the time
		time.Sleep(200 * time.Millisecond)
	}
	if took := time.Since(began); err == nil || took < headerTime/2 {
		t.Errorf("%v after %v", err, took)
	}
}

// A log that cannot be written costs its lines, and nothing else. It is said once.
func TestLogFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("NOT TESTED: ", err)
	}
	defer full.Close()
	s := start(t, Options{Dir: channel(t)}, 0)
	s.Server.log.out = full
	for range 3 {
		if have := ask(t, http.DefaultClient, "GET", s.url+"/healthz"); have.code != 200 {
			t.Errorf("got %d", have.code)
		}
	}
	until(t, "three lines are lost", func() bool { return s.metrics.unlogged.Load() == 3 })
	if told := s.told.String(); strings.Count(told, "access log") != 1 {
		t.Errorf("told %q", told)
	}
}

// A server that is told to end lets downloads end, for as long as it may.
func TestEnd(t *testing.T) {
	dir, _, data := large(t, 8<<20)
	s := start(t, Options{Dir: dir}, 5*time.Second)
	c := begin(t, s.addr)
	got := make(chan int)
	go func() {
		time.Sleep(200 * time.Millisecond)
		have, _ := io.ReadAll(c.body)
		got <- len(have)
	}()
	if cut := s.end(); cut != 0 {
		t.Errorf("%d downloads were cut", cut)
	}
	if have := <-got; have != len(data) {
		t.Errorf("got %d bytes, want %d", have, len(data))
	}
	if _, err := net.Dial("tcp", s.addr); err == nil {
		t.Error("it still listens")
	}

	s = start(t, Options{Dir: dir}, 100*time.Millisecond)
	begin(t, s.addr)
	if cut := s.end(); cut != 1 {
		t.Errorf("%d downloads were cut, want 1", cut)
	}
}

// Many clients, while files are replaced all the time: each gets one of them, whole.
func TestPublishUnderLoad(t *testing.T) {
	dir := channel(t)
	name := dir + "/free/linux-64/repodata.json"
	texts := map[string]bool{}
	text := func(i int) string { return string(bytes.Repeat([]byte{byte('a' + i%26)}, 100_000+i%26)) }
	for i := range 26 {
		texts[text(i)] = true
	}
	put(t, name, text(0))
	s := start(t, Options{Dir: dir}, 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			put(t, name, text(i))
			time.Sleep(5 * time.Millisecond)
		}
	}()
	for n := 0; ; n++ {
		have := ask(t, http.DefaultClient, "GET", s.url+"/free/linux-64/repodata.json")
		if have.code != 200 || !texts[have.body] {
			t.Fatalf("got %d with %d bytes that nobody wrote", have.code, len(have.body))
		}
		select {
		case <-done:
			t.Logf("%d requests during 200 publishes", n)
			return
		default:
		}
	}
}

// What is larger than one piece that goes to the kernel arrives whole, and parts of it do.
func TestLarge(t *testing.T) {
	dir, _, data := large(t, 2*chunk+12345)
	s := start(t, Options{Dir: dir, Now: later}, 0)
	url := s.url + "/" + filepath.ToSlash("free/linux-64/large-1-0.conda")
	if have := ask(t, http.DefaultClient, "GET", url); have.body != string(data) {
		t.Errorf("got %d bytes, want %d", len(have.body), len(data))
	}
	if have := ask(t, http.DefaultClient, "GET", url, "Range", "bytes=12345-"); have.body != string(data[12345:]) {
		t.Errorf("got %d bytes, want %d", len(have.body), len(data)-12345)
	}
}

// A write that got nothing to the kernel in its time goes on if the client took some of what was there, and only then.
func TestPush(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	narrow := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error { // so that it takes little at a time
		return raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 32<<10) })
	}}
	client, err := narrow.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	c := &conn{TCPConn: accepted.(*net.TCPConn), gate: newGate(nil, 1, time.Second)}
	for err == nil { // until the kernel takes no more
		accepted.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		_, err = accepted.Write(make([]byte, 1<<20))
	}
	calls := 0
	_, err = c.push(func() (int64, error) {
		before := c.unsent()
		if calls++; calls > 6 || before == 0 {
			return 1, nil
		}
		for c.unsent() == before {
			if _, err := io.CopyN(io.Discard, client, 16<<10); err != nil {
				t.Fatal(err)
			}
		}
		return 0, os.ErrDeadlineExceeded
	})
	if err != nil || calls < 4 { // the first two say nothing: there was nothing before them to compare with
		t.Errorf("a client that takes some: %v after %d writes", err, calls)
	}
	calls = 0
	n, err := c.push(func() (int64, error) {
		if calls++; calls == 1 {
			return 1, os.ErrDeadlineExceeded // the last that the kernel took
		}
		return 0, os.ErrDeadlineExceeded
	})
	if !errors.Is(err, os.ErrDeadlineExceeded) || calls != 2 || n != 1 {
		t.Errorf("a client that takes nothing: %v after %d writes", err, calls)
	}
	c.SetWriteDeadline(time.Now().Add(-time.Second))
	calls = 0
	if _, err := c.push(func() (int64, error) { calls++; return 1, os.ErrDeadlineExceeded }); err == nil || calls != 1 {
		t.Errorf("the server's own deadline: %v after %d writes", err, calls)
	}
}
