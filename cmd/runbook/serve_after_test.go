package main

import (
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// At a terminal the quick start ends with a page that can be opened and a channel, until Ctrl-C; on another port if 8080
// is taken. A second run changes nothing and serves again.
func TestQuickstartServes(t *testing.T) {
	if l, err := net.Listen("tcp", "127.0.0.1:8080"); err == nil { // from here on nobody else can have it
		defer l.Close()
	}
	dir := t.TempDir()
	for _, want := range []string{"15 changed", "quickstart.star done"} {
		k := onTerminal(t, dir, "runbook", "run", "quickstart.star")
		k.types("", want)
		k.types("", "Ctrl-C ends it")
		url := regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(k.seen)
		if url == "" || strings.Contains(url, ":8080/") {
			t.Fatalf("served at %q: %s", url, k.seen)
		}
		for path, has := range map[string]string{
			"": ">anaconda</a>", "anaconda/": ">greeter</a>", "anaconda/-/greeter/0.4.0": "hello-data",
			"anaconda/noarch/repodata.json": "hello-1.0-0.tar.bz2", "anaconda/linux-64/greeter-0.4.0-0.tar.bz2": "BZh",
		} {
			res, err := http.Get(url + path)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != http.StatusOK || !strings.Contains(string(text), has) {
				t.Errorf("/%s: got %d %.200q, want %q", path, res.StatusCode, text, has)
			}
		}
		k.types("\x03", "^C")
		if err := k.cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	k := onTerminal(t, dir, "runbook", "run", "quickstart.star", "--var", "serve=false")
	k.types("", "quickstart.star done")
	if err := k.cmd.Wait(); err != nil {
		t.Error(err)
	}
	k = onTerminal(t, dir, "runbook", "run", "quickstart.star", "--dry-run")
	k.types("", "quickstart.star dry run done")
	if err := k.cmd.Wait(); err != nil {
		t.Error(err)
	}
}
