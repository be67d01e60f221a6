package main

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"runbook/cmd/runbook/internal/browser"
	"runbook/runtime/host/sample"
)

// A shelfOf is the source of a mirror whose pages show all that there is: more packages than a page has rows, several
// versions, dependencies that are here and that are not, licences, one that was removed, and names that are long.
func shelfOf(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	index := map[string]map[string]any{"packages": {}, "packages.conda": {}}
	add := func(kind, ending, name, version string, more map[string]any) {
		file, text := fmt.Sprintf("%s-%s-0%s", name, version, ending), []byte(name+version)
		record := map[string]any{"name": name, "version": version, "build": "0", "build_number": 0, "depends": []string{"zlib >=1.2", "not-here"}, "subdir": "linux-64", "size": len(text),
			"license": "BSD-3-Clause", "license_family": "BSD", "md5": fmt.Sprintf("%x", md5.Sum(text)), "sha256": fmt.Sprintf("%x", sha256.Sum256(text)), "timestamp": 1480000000000}
		maps.Copy(record, more)
		index[kind][file] = record
		lay(t, dir+"/linux-64/"+file, string(text))
	}
	for i := range 120 {
		add("packages", ".tar.bz2", fmt.Sprintf("package%03d", i), "1.0", nil)
	}
	for _, version := range []string{"1.2.8", "1.2.11", "1.3"} {
		add("packages.conda", ".conda", "zlib", version, map[string]any{"depends": []string{}, "constrains": []string{"package000 <1"}})
	}
	add("packages.conda", ".conda", "a-package-whose-name-is-as-long-as-those-that-some-people-give-to-what-others-must-read", "2026.11.30.post1.dev0+gdeadbeefcafe", nil)
	delete(index["packages.conda"], "zlib-1.2.8-0.conda")
	text, err := json.Marshal(map[string]any{"info": map[string]string{"subdir": "linux-64"}, "packages": index["packages"], "packages.conda": index["packages.conda"],
		"removed": []string{"zlib-1.2.8-0.conda"}})
	if err != nil {
		t.Fatal(err)
	}
	lay(t, dir+"/linux-64/repodata.json", string(text))
	return dir
}

func lay(t testing.TB, name, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The pages of what was mirrored, in a real browser: people find a package, open it, copy the command that installs it,
// also without script and without a mouse; pages fit a phone and a desk, by day and by night; nothing is asked of others.
func TestServePages(t *testing.T) {
	sample.Slow(t, "it runs a browser")
	for name, c := range map[string]struct {
		source, search, version, absent string
		widths                          []int
		tries                           int
	}{
		"generated": {shelfOf(t), "zlib", "1.2.11", "not-here", nil, 40},
		"real":      {"../../../shared/data/channels/conda-forge-2016", "readline", "6.2", "python", []int{360}, 25},
	} {
		t.Run(name, func(t *testing.T) {
			source, err := filepath.Abs(c.source)
			if err == nil {
				_, err = os.Stat(source)
			}
			if err != nil {
				t.Skip("NOT TESTED: no conda data: ", err)
			}
			m := publish(t, 0, []string{source}, []string{source})
			v := browser.Visit{URL: serving(t, filepath.Dir(m.dir)), Search: c.search, Version: c.version, Widths: c.widths, Pictures: os.Getenv("RUNBOOK_TEST_PICTURES"), Whole: true,
				Pages: map[string]string{"accounts": "/", "channel": "/acc/", "nothing found": "/acc/?q=there+is+none", "package": "/acc/-/" + c.search,
					"version": "/acc/-/" + c.search + "/" + c.version, "absent": "/acc/-/" + c.absent, "files": "/acc/linux-64/", "404": "/none/such"}}
			if tried := browser.Try(t, v); tried < c.tries {
				t.Errorf("tried only %d things", tried)
			}
		})
	}
}
