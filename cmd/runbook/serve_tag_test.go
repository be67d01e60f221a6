package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What the mirror has verified has its digest as tag, and others may keep it for good. What was damaged in its place has
// neither, even with its time put back, and is not taken for what somebody had.
func TestServeTags(t *testing.T) {
	source := shelfOf(t)
	m := publish(t, 0, []string{source}, []string{source})
	name := m.dir + "/linux-64/zlib-1.3-0.conda"
	old := time.Now().Add(-time.Hour)
	ask := func(url, tag string) *http.Response {
		t.Helper()
		r, err := http.NewRequest("GET", url+"/acc/linux-64/"+filepath.Base(name), nil)
		if err != nil {
			t.Fatal(err)
		}
		if tag != "" {
			r.Header.Set("If-None-Match", tag)
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		return a
	}
	url := serving(t, filepath.Dir(m.dir))
	was := ask(url, "")
	tag := was.Header.Get("ETag")
	if !strings.HasPrefix(tag, `"sha256-`) || !strings.Contains(was.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("got %v of what was verified", was.Header)
	}
	if again := ask(url, tag); again.StatusCode != http.StatusNotModified {
		t.Errorf("got %s of what the client has", again.Status)
	}
	fi, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(fi.ModTime().Add(3 * time.Second))) // what changes in the seconds of the mirror is not told apart
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("Z"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.Chtimes(name, old, fi.ModTime()); err != nil {
		t.Fatal(err)
	}
	now := ask(url, tag)
	if now.StatusCode != http.StatusOK || now.Header.Get("ETag") == tag || strings.Contains(now.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("got %s %v of what was damaged, with its time put back", now.Status, now.Header)
	}
}
