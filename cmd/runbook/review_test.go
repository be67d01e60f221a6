package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"runbook/cmd/runbook/internal/browser"
	"runbook/runtime/host/sample"
	"runbook/runtime/trace/review"
)

// Reports in a real browser: they fit a phone and a desk, by day and by night, ask nothing of anybody, and axe-core finds
// nothing wrong with them.
func TestReportPages(t *testing.T) {
	sample.Slow(t, "it runs a browser")
	pages := map[string][]byte{}
	v := browser.Visit{Pages: map[string]string{}, Pictures: os.Getenv("RUNBOOK_TEST_PICTURES"), Whole: true}
	for _, name := range []string{"plan", "run"} {
		f, err := os.Open("../../runtime/trace/review/testdata/" + name + ".jsonl")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := review.Read(f)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		if err := r.Write(w, "html"); err != nil {
			t.Fatal(err)
		}
		pages["/"+name+".html"], v.Pages[name] = w.Body.Bytes(), "/"+name+".html"
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pages[r.URL.Path] == nil {
			w.WriteHeader(http.StatusNoContent) // the browser asks for an icon
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(pages[r.URL.Path])
	}))
	defer server.Close()
	v.URL = server.URL + "/"
	if tried := browser.Try(t, v); tried < 4*len(pages) {
		t.Errorf("tried only %d things", tried)
	}
}
