package serve

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// A small package is read once; what is withdrawn, replaced or changed in its place is so for all who ask from then on.
// What is kept has its limit.
func TestWarm(t *testing.T) {
	dir := channel(t)
	s := start(t, Options{Dir: dir, Now: later}, 0)
	const path = "/free/linux-64/b-1-0.conda"
	get := func(path string) got { return ask(t, http.DefaultClient, "GET", s.url+path) }
	was := get(path)
	if again := get(path); again.body != was.body || again.header.Get("ETag") != was.header.Get("ETag") || s.warm.files[path[1:]] == nil {
		t.Errorf("got %v, then %v", was, again)
	}
	if err := os.Remove(dir + path); err != nil {
		t.Fatal(err)
	}
	if a := get(path); a.code != http.StatusNotFound {
		t.Errorf("got %d of what was withdrawn", a.code)
	}
	put(t, dir+path, "another")
	if a := get(path); a.body != "another" {
		t.Errorf("got %q of what was replaced", a.body)
	}
	f, err := os.OpenFile(dir+path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("A")
		f.Close()
	}
	if a := get(path); err != nil || a.body != "Another" {
		t.Errorf("got %q of what was changed, %v", a.body, err)
	}
	if a := get(path + "/"); a.code != http.StatusNotFound {
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
