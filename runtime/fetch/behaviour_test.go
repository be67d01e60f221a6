package fetch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"runbook/runtime/fetch"
	"runbook/runtime/fetch/fetchtest"
	"runbook/runtime/host/sample"
)

// inTime is what every way to fail must be over in.
const inTime = 20 * time.Second

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	r.Read(b)
	return b
}

func hash(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

// together runs check for each of all, many at once: they mostly wait.
func together[T any](all []T, check func(T)) {
	var wg sync.WaitGroup
	some := make(chan bool, 24)
	for _, x := range all {
		some <- true
		wg.Go(func() { defer func() { <-some }(); check(x) })
	}
	wg.Wait()
}

// download gets what url holds by c as the file "x" of a new directory, and
// returns what that holds in the end; nil if it is not there.
func download(t *testing.T, c *fetch.Client, url string, want fetch.Want) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), inTime)
	defer cancel()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		return nil, err
	}
	defer root.Close()
	_, err = fetch.Download(ctx, c.Get, url, root, "x", want, nil)
	have, _ := root.ReadFile("x")
	if (err == nil) != (have != nil) {
		t.Errorf("%s: got %d bytes, %v", url, len(have), err)
	}
	return have, err
}

// calm is s's client where nothing stalls but the machine that runs the tests.
func calm(t *testing.T, s *fetchtest.Server) *fetch.Client {
	c := s.Client(t)
	c.Stall = time.Minute
	return c
}

// A trial is a behaviour, how often it happens, and whether a first request is
// cut so that it meets one for the rest.
type trial struct {
	fetchtest.Behaviour
	times   int
	cut     bool
	problem string // "" if it is overcome
}

func trials() (all []trial) {
	for _, b := range fetchtest.All() {
		problem := ""
		for start, p := range hopeless() {
			if strings.HasPrefix(b.Name, start) {
				problem = p
			}
		}
		for _, cut := range []bool{false, true} {
			once := ""
			if final(b.Name, cut) {
				once = problem
			}
			all = append(all, trial{b, 1, cut, once}, trial{b, fetchtest.Forever, cut, problem})
		}
	}
	return all
}

// hopeless says, by the start of its name, what is wrong with a file whose server
// behaves so for ever; all other behaviours are overcome.
func hopeless() map[string]string {
	return map[string]string{
		"status": "got status", "redirect": "got more than 5 redirects",
		"page": "HTML page", "JSON error": "got a file of", "zero bytes": "got a file of", "part unasked": "got a part",
		"short by one": "cut short", "long by one": "got a file of", "endless": "got more than", "gzip": "got ", "wrong bytes": "wrong digest",
		"reset": "cut short", "cut without a length": "cut short", "cut within chunks": "cut short", "bad chunk": "cut short",
		"two lengths": "Content-Length", "negative length": "Content-Length", "huge length": "Content-Length",
		"long header": "header", "many headers": "header", "NUL in": "malformed", "no HTTP": "malformed",
		"a byte every":  "got ", // no data, so many bytes or, on a busy machine, no answer
		"stalls within": "got ", "stalls at": "got no ", "stalls before": "got no answer for",
		"old version": "cut short",
	}
}

// final reports whether an answer is believed the first time. What claims to be
// another file is not where the rest of one was wanted.
func final(name string, cut bool) bool {
	switch name {
	case "page", "endless", "gzip", "stalls within the page of status 404":
		return true
	case "JSON error", "zero bytes", "part unasked", "long by one", "wrong bytes", "status 416":
		return !cut
	}
	code, _ := strings.CutPrefix(name, "status ")
	return slices.Contains([]string{"204", "304", "400", "401", "403", "404", "407", "410", "451"}, code)
}

// Whatever a server does, for ever or once, a download ends in time with the
// right bytes or with an error that says what was wrong and with no file.
func TestBehaviours(t *testing.T) {
	t.Parallel()
	data := noise(40 << 10)
	traits := func(x trial) []string { return []string{x.Name, fmt.Sprint(x.times, x.cut)} }
	all := trials()
	if testing.Short() { // which take six seconds
		all = slices.DeleteFunc(all, func(x trial) bool { return strings.HasPrefix(x.Name, "a byte") })
	}
	together(sample.Every(t, 3, all, traits), func(x trial) {
		name := fmt.Sprintf("%s, %d times, cut %v", x.Name, x.times, x.cut)
		s := fetchtest.New(t, nil)
		s.Set("f", data)
		if x.cut {
			s.Fault("f", fetchtest.Reset(), 1)
		}
		s.Fault("f", x.Behaviour, x.times)
		c := calm(t, s)
		if silent := strings.HasPrefix(x.Name, "stalls") || strings.HasPrefix(x.Name, "a byte"); silent && x.times == 1 {
			c.Stall = 4 * fetchtest.Stall // a busy machine must not look like a bad server
		} else if silent {
			c.Stall = fetchtest.Stall
		}
		have, err := download(t, c, s.URL+"/f", fetch.Want{SHA256: hash(data), Size: int64(len(data))})
		if err == nil && (x.problem != "" || !bytes.Equal(have, data)) || err != nil && (x.problem == "" || !strings.Contains(err.Error(), x.problem)) {
			t.Errorf("%s: got %d bytes, %v, want %q", name, len(have), err, x.problem)
		}
	})
}
