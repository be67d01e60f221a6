package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"runbook/cmd/runbook/internal/browser"
	"runbook/runtime/host/sample"
)

// Reports in a real browser: they fit a phone and a desk, by day and by night, ask nothing of anybody, and axe-core finds
// nothing wrong with them.
func TestReportPages(t *testing.T) {
	sample.Slow(t, "it runs a browser")
	pages := map[string][]byte{}
	v := browser.Visit{Pages: map[string]string{}, Pictures: os.Getenv("RUNBOOK_TEST_PICTURES"), Whole: true}
	const traces = "../../runtime/trace/review/testdata/"
	for name, args := range map[string][]string{"plan": {traces + "plan.jsonl"}, "both": {traces + "plan.jsonl", traces + "run.jsonl"}} {
		out := t.TempDir() + "/report.html"
		err := newProgram().writeReport(args, "html", out, nil)
		if err == nil {
			pages["/"+name+".html"], err = os.ReadFile(out)
		}
		if err != nil {
			t.Fatal(err)
		}
		v.Pages[name] = "/" + name + ".html"
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
