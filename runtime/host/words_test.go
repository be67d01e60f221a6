package host

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// The outputs are those of real programs, shortened.
func TestLastWords(t *testing.T) {
	const bar = "Building graph of deps:   0%|          | 0/7 [00:00<?, ?it/s]\rExamining six:  86%|████████▌ | 6/7 [00:00<00:00, 8232.20it/s]\r"
	for _, c := range []struct{ stderr, stdout, want string }{
		{"", "", ""},
		{"a\nb\n\nc\nd\n", "x", ": b\nc\nd"},
		{"", "x\ny\r\n", ": x\ny"},
		{"\nPackagesNotFoundError: The following packages are not available from current channels:\n\n  - zlib[version='>=9']\n\nCurrent channels:\n\n  - file:///x/linux-64\n  - file:///x/noarch\n\nTo search for alternate channels\n", "Collecting package metadata: ...working... done\n",
			": PackagesNotFoundError: The following packages are not available from current channels:\n  - zlib[version='>=9']\nCurrent channels:\n  - file:///x/linux-64\n  - file:///x/noarch\nTo search for alternate channels"},
		{bar + "        \r" + bar + "failed\n\nUnsatisfiableError: \n\n  - six\n", "", ": UnsatisfiableError:\n  - six"},
		{bar, "Solving environment: ...working...", ": Solving environment: ...working..."},
		{"no space\n" + bar + "\n", "", ": no space"},
		{"zlib-1.2.8-3.t 100% |###############################| Time: 0:00:00 122.10 kB/s\nmd5 differs\n", "", ": md5 differs"},
		{"a.rpm   10% [==        ] 1.1 MB/s\r                       \rError: Nothing to do\n", "", ": Error: Nothing to do"},
		{"warning: old\n", "Traceback (most recent call last):\n  File x\nconda.exceptions.CondaHTTPError: HTTP 000 CONNECTION FAILED\nElapsed: -\n", ": conda.exceptions.CondaHTTPError: HTTP 000 CONNECTION FAILED\nElapsed: -"},
		{"KeyError: 'a'\n\nDuring handling:\nValueError: b\n", "", ": ValueError: b"},
		{"the disk is 95% full, see the Error: list\n", "", ": the disk is 95% full, see the Error: list"},
		{"cut \xe2\x96", "", ": cut \uFFFD"},
	} {
		if got := lastWords(Process{}, Result{Stderr: []byte(c.stderr), Stdout: []byte(c.stdout)}); got != c.want {
			t.Errorf("%q, %q:\n got %q\nwant %q", c.stderr, c.stdout, got, c.want)
		}
	}
	for _, first := range []string{"", "XError: "} {
		got := lastWords(Process{}, Result{Stderr: []byte(first + strings.Repeat("█x", 9000))})
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > mostWords+10 || strings.ContainsRune(got, utf8.RuneError) {
			t.Errorf("got %d characters: %q", utf8.RuneCountInString(got), got)
		}
	}
	if got := lastWords(Process{}, Result{Stderr: []byte("BigError: 1\n" + strings.Repeat("more\n", 40))}); strings.Count(got, "\n") != errorLines-1 || !strings.HasSuffix(got, "more...") {
		t.Errorf("got %q", got)
	}
}
