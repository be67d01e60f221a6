package serve

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A small package is read once in lookAgain; what is withdrawn or replaced is so for all who ask later. Neither an index
// nor what is large, or has just been written, is kept, and all that is kept has its limit.
func TestWarm(t *testing.T) {
	dir, _, _ := large(t, 3*small)
	var ahead atomic.Int64
	s := start(t, Options{Dir: dir, Now: func() time.Time { return later().Add(time.Duration(ahead.Load())) }}, 0)
	const package1, index, big = "/free/linux-64/b-1-0.conda", "/free/linux-64/repodata.json", "/free/linux-64/large-1-0.conda"
	get := func(path string) got { return ask(t, http.DefaultClient, "GET", s.url+path) }
	was := get(package1)
	for _, path := range []string{package1, index, big} {
		get(path)
		if err := os.Remove(dir + path); err != nil {
			t.Fatal(err)
		}
		want := http.StatusNotFound
		if path == package1 {
			want = http.StatusOK
		}
		if a := get(path); a.code != want || want == http.StatusOK && (a.body != was.body || a.header.Get("ETag") != was.header.Get("ETag")) {
			t.Errorf("%s: got %d %q, want %d", path, a.code, a.body, want)
		}
	}
	ahead.Store(int64(lookAgain))
	if a := get(package1); a.code != http.StatusNotFound {
		t.Errorf("got %d of what was withdrawn", a.code)
	}
	put(t, dir+package1, "another")
	if a := get(package1); a.body != "another" {
		t.Errorf("got %q of what was replaced", a.body)
	}
	if a := get(package1 + "/"); a.code != http.StatusNotFound {
		t.Errorf("got %d of a directory that is a file", a.code)
	}
	for i := range 3 * warmest / small / 2 {
		name := fmt.Sprintf("/free/linux-64/n%d-1-0.conda", i)
		put(t, dir+name, strings.Repeat("x", small))
		get(name)
	}
	if w := &s.warm; w.bytes > warmest || w.bytes < small {
		t.Errorf("%d bytes are kept of %d files", w.bytes, len(w.files))
	}
}
