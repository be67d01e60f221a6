package main

import (
	"strings"
	"testing"

	"runbook/cmd/runbook/internal/lab"
)

// What can be known beforehand fails in the dry run, with the words of the run.
func TestWhatADryRunForesees(t *testing.T) {
	t.Parallel()
	s := bareSite(t, lab.Options{})
	s.Must("mkdir /srv/tmp /srv/ro /srv/dir && mount -t tmpfs x /srv/tmp && mount -t tmpfs -o ro x /srv/ro && " +
		"echo text >/srv/file && mkdir /srv/moved")
	for call, want := range map[string]string{
		`move("/srv/file", "/srv/tmp/file")`:                                                   "invalid cross-device link",
		`move("/srv/moved", "/srv/tmp/moved")`:                                                 "invalid cross-device link",
		"write('/srv/new', 'x')\n    move('/srv/new', '/srv/tmp/new')":                         "invalid cross-device link",
		`write("/srv/ro/x", "x")`:                                                              "read-only file system",
		`mkdir("/srv/ro/x/y")`:                                                                 "read-only file system",
		`symlink("/srv/ro/x", "y")`:                                                            "read-only file system",
		`run("no-such-program x")`:                                                             "executable file not found",
		`run("/srv/no-such-program x")`:                                                        "executable file not found",
		`run("/srv/file")`:                                                                     "is not an executable file",
		`run("/srv/dir")`:                                                                      "is not an executable file",
		"write('/srv/a.sh', 'true')\n    run('/srv/a.sh')":                                     "is not an executable file",
		"write('/srv/b.sh', '#!/no/sh\\n', mode = 0o755)\n    run('/srv/b.sh')":                "its interpreter or loader is missing",
		"mkdir('/srv/w')\n    move('/usr/bin/seq', '/usr/bin/qes')\n    run('seq 1')":          "executable file not found",
		`run("true", cwd = "/srv/none")`:                                                       "chdir /srv/none: no such file or directory",
		`run("true", cwd = "/srv/file")`:                                                       "chdir /srv/file: not a directory",
		`run(["true", "a\0b"])`:                                                                "word 2: got a NUL byte in it",
		`run(["true", "a" * 200000])`:                                                          "word 2: got 200000 bytes",
		`run(["true"] + ["a" * 100000] * 30)`:                                                  "bytes of words and variables",
		`run("true", env = {"A": "a\0b"})`:                                                     "env A: got a NUL byte in it",
		`run("true", env = {"A\0": "b"})`:                                                      `got the name "A\x00"`,
		`run("true", env = {"A=B": "b"})`:                                                      `got the name "A=B"`,
		`symlink("/srv/l", "a\0b")`:                                                            "symlink /srv/l: invalid argument",
		`symlink("/srv/l", "a" * 4096)`:                                                        "symlink /srv/l: file name too long",
		`iptables("INPUT", protocol = "tcp", dport = 80, jump = "NOSUCH")`:                     "has no target and no chain NOSUCH",
		`iptables("INPUT", protocol = "tcp", dport = 80, jump = "REDIRECT")`:                   "table filter has no target and no chain REDIRECT",
		"run('true', cwd = '/srv/dir')\n    symlink('/srv/l', 'a' * 4095)\n    run('nothing')": "executable file not found",
	} {
		s.put("/root/f.star", "def f():\n    "+call+"\nstep(f)\n")
		if strings.HasSuffix(call, "run('nothing')") { // an earlier command may have brought it
			if got := s.run(0, "run", "/root/f.star", "--dry-run"); !strings.Contains(got, "assumed: nothing is there") {
				t.Errorf("%s: got %s", call, got)
			}
		} else if got := s.run(1, "run", "/root/f.star", "--dry-run"); !strings.Contains(got, want) {
			t.Errorf("%s, dry run: got %s, want %s", call, got, want)
		}
		if got := s.run(1, "run", "/root/f.star"); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", call, got, want)
		}
	}
}
