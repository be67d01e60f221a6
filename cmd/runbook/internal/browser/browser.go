// Package browser reads pages in a real browser, Chromium, as people do: with and without script, by keyboard, on a
// phone and on a desk, by day and by night, and lets axe-core judge whether all people can.
//
// Two things to know: playwright-core drives the browser below node, since it needs no other package; and a test whose
// tools are absent is left out, except in CI (see lab.Skip).
// Tests of cmd/runbook call it; it calls packages lab and npm.
package browser

import (
	"bytes"
	"embed"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"runbook/cmd/runbook/internal/lab"
	"runbook/cmd/runbook/internal/npm"
)

//go:embed npm
var files embed.FS

// A Visit is what is looked at. URLs of pages, by the kind of page, are below URL; "channel", "package" and "404" must
// be among them.
type Visit struct {
	Chromium string            `json:"chromium"`
	URL      string            `json:"url"`
	Pages    map[string]string `json:"pages"`
	Search   string            `json:"search"`             // a package that is alone with its name
	Version  string            `json:"version"`            // one of its versions
	Widths   []int             `json:"widths,omitempty"`   // in pixels; 360 and 1280 unless given
	Schemes  []string          `json:"schemes,omitempty"`  // "light" and "dark" unless given
	Pictures string            `json:"pictures,omitempty"` // directory of a screenshot of each page
	Whole    bool              `json:"whole,omitempty"`    // they show the page to its end
}

// Try tries all that people do, each as a test, and returns how many things it tried.
func Try(t *testing.T, v Visit) (tried int) {
	t.Helper()
	var err error
	if v.Chromium, err = exec.LookPath("chromium"); err != nil {
		lab.Skip(t, "no browser: "+err.Error()+" (Debian's chromium)")
	}
	dir := npm.Install(t, "page-reader", files)
	ask, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("node", filepath.Join(dir, "read.cjs"))
	var out, complaint bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(ask), &out, &complaint
	if err := c.Run(); err != nil {
		t.Fatalf("read.cjs: %v\n%s", err, complaint.Bytes())
	}
	for d := json.NewDecoder(&out); d.More(); tried++ {
		var told struct{ Name, Wrong string }
		if err := d.Decode(&told); err != nil {
			t.Fatal(err)
		}
		t.Run(told.Name, func(t *testing.T) {
			if told.Wrong != "" {
				t.Error(told.Wrong)
			}
		})
	}
	return tried
}
