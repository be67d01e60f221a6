package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"runbook/runtime/host"
	"runbook/runtime/host/tree"
)

// A partial file is gone on with: only the rest is read from the source.
func TestResume(t *testing.T) {
	r := newRig(t)
	r.channel("/src", "noarch", "a", "b", "c")
	text := r.get("/src/noarch/a-1.0-0.tar.bz2")
	half := len(text) / 2
	r.put("/dst/acc/noarch/.a-1.0-0.tar.bz2.part", text[:half])
	r.put("/dst/acc/noarch/.b-1.0-0.tar.bz2.part", r.get("/src/noarch/b-1.0-0.tar.bz2"))
	r.put("/dst/acc/noarch/.c-1.0-0.tar.bz2.part", text[:half]) // another's
	reads := &reading{Local: r.local(), bytes: map[string]int{}}
	if _, err := r.run(r.mirror(), reads); err != nil {
		t.Fatal(err)
	}
	if n := r.complete("noarch"); n != 3 {
		t.Error(n)
	}
	const dir, ext = "/src/noarch/", "-1.0-0.tar.bz2"
	if a, b, c := reads.bytes[dir+"a"+ext], reads.bytes[dir+"b"+ext], reads.bytes[dir+"c"+ext]; a != len(text)-half ||
		b != 0 || c != 2*len(text)-half {
		t.Errorf("read %d, %d and %d bytes", a, b, c)
	}
}

// reading counts what is read; at, if set, is called for each Read.
type reading struct {
	*host.Local
	mu    sync.Mutex
	bytes map[string]int
	at    func(name string) error
}

func (r *reading) Content(name string) (host.Content, error) {
	c, err := r.Local.Content(name)
	return host.Content{Open: func() (host.File, error) {
		f, err := c.Reader()
		return readFile{f, r, name}, err
	}}, err
}

type readFile struct {
	host.File
	r    *reading
	name string
}

func (f readFile) Read(p []byte) (int, error) {
	if f.r.at != nil {
		if err := f.r.at(f.name); err != nil {
			return 0, err
		}
	}
	n, err := f.File.Read(p)
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	f.r.bytes[f.name] += n
	return n, err
}

// A source that stumbles once is read again; one that stays broken is a bad package.
func TestReadErrors(t *testing.T) {
	for times, want := range map[int64]bool{1: true, 2: false} {
		r := newRig(t)
		r.channel("/src", "noarch", "a")
		var n atomic.Int64
		h := &reading{Local: r.local(), bytes: map[string]int{}, at: func(name string) error {
			if strings.HasSuffix(name, ".tar.bz2") && n.Add(1) <= times {
				return fmt.Errorf("input/output error")
			}
			return nil
		}}
		p, err := r.mirror().Plan(context.Background(), h)
		if err != nil {
			t.Fatal(err)
		}
		p.testOnlyPause = func(int) {}
		if err := p.Apply(context.Background(), h); (err == nil) != want {
			t.Errorf("%d errors: got %v", times, err)
		}
	}
}

// Who interrupts a run loses nothing that was complete.
func TestInterrupt(t *testing.T) {
	r := newRig(t)
	r.channel("/src", "noarch", "a", "b", "c", "d", "e", "f")
	m := r.mirror()
	ctx, cancel := context.WithCancel(context.Background())
	var n atomic.Int64
	h := &reading{Local: r.local(), bytes: map[string]int{}, at: func(name string) error {
		if strings.HasSuffix(name, ".tar.bz2") && n.Add(1) == 10 { // two for each package
			cancel()
		}
		return nil
	}}
	p, err := m.Plan(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(ctx, r.local()); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	p, err = m.Plan(context.Background(), r.local())
	if err != nil || p.Report.Kept < 3 || p.Report.Kept == 6 || r.has("/dst/acc/noarch/repodata.json") {
		t.Errorf("got %+v, %v", p.Report, err)
	}
	r.must(m)
}

// Whoever reads while the mirror publishes sees a complete channel at any time.
func TestReadersSeeCompleteChannels(t *testing.T) {
	r := newRig(t)
	names := []string{"p0"}
	r.channel("/src", "linux-64", names...)
	m := r.mirror()
	r.must(m)
	stop := make(chan bool)
	var seen atomic.Int64
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				if _, err := complete(r.path("/dst/acc/linux-64")); err != nil {
					t.Error(err)
					return
				}
				seen.Add(1)
			}
		})
	}
	for i := 1; i <= 15; i++ {
		names = append(names, fmt.Sprint("p", i))
		r.channel("/src", "linux-64", names[i/2:]...)
		if _, err := r.run(m, r.local()); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	readers.Wait()
	if seen.Load() < 15 {
		t.Errorf("only %d looks", seen.Load())
	}
}

// A full disk is not the package's fault, and ends the run with the file's name.
func TestStorageErrors(t *testing.T) {
	r := newRig(t)
	r.channel("/src", "noarch", "a", "b")
	r.put("/dst/acc/noarch/.a-1.0-0.tar.bz2.part/x", "") // cleared away
	m := r.mirror()
	p, err := m.Plan(context.Background(), r.local())
	if err != nil {
		t.Fatal(err)
	}
	p.testOnlyFault = func(name string) error {
		if strings.HasPrefix(name, "noarch/b") {
			return &os.PathError{Op: "write", Path: "tmp", Err: io.ErrShortWrite}
		}
		return nil
	}
	var s *tree.Error
	if err := p.Apply(context.Background(), r.local()); !errors.As(err, &s) ||
		err.Error() != "noarch/b-1.0-0.tar.bz2: short write" {
		t.Errorf("got %v", err)
	}
	r.must(m)
}
