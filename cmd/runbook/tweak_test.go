package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tweak returns what the runbook.star of init offers under a number, with its comment signs taken off and nothing else
// done to it.
func tweak(t testing.TB, number int) string {
	t.Helper()
	heading := regexp.MustCompile(fmt.Sprintf(`^# %d\. .*:\n`, number))
	for block := range strings.SplitSeq(siteTemplate, "\n\n") {
		at := heading.FindStringIndex(block)
		if at == nil {
			continue
		}
		var code strings.Builder
		for line := range strings.Lines(strings.TrimSuffix(block[at[1]:], "\n") + "\n") {
			text, ok := strings.CutPrefix(line, "#")
			if !ok {
				t.Fatalf("tweak %d has a line without a comment sign: %q", number, line)
			}
			code.WriteString(strings.TrimPrefix(text, " "))
		}
		return code.String() + "\n"
	}
	t.Fatalf("there is no tweak %d", number)
	return ""
}

// tweaked writes a runbook.star with some of the tweaks beside the runbooks that init writes, and returns the runbook to
// run there.
func (s site) tweaked(code string, numbers ...int) string {
	s.t.Helper()
	const dir = "/root/site"
	if s.Run(0, 0, "test", "-d", dir).Code != 0 {
		s.run(0, "init", dir)
	}
	for _, n := range numbers {
		code += tweak(s.t, n)
	}
	if err := s.WriteFile(dir+"/runbook.star", []byte(code), 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.run(0, "check", dir)
	return dir + "/install.star"
}

// A host that is installed with the tweaks, all that media allow: dry, for real and again.
func TestTweaks(t *testing.T) {
	t.Parallel()
	s := newSite(t, expandedMedia(t))
	s.becomes(1, 2, 3, 5, 7, 8)
	s.becomes(1, 2, 3, 5, 6, 7, 8) // one more, on the running server
}

// becomes runs dry, for real and again with some of the tweaks, and looks for each on the server.
func (s site) becomes(numbers ...int) {
	s.t.Helper()
	book := s.tweaked("defaults(airgap = True)\n\n", numbers...)
	flags := []string{"run", book, "--secret", "superuser_password=file:/root/password", "--ack", "licence"}
	s.Must("rm -rf /root/*.jsonl*")
	s.run(0, append(flags, "--dry-run", "--trace", "/root/dry.jsonl")...)
	s.run(0, append(flags, "--trace", "/root/real.jsonl")...)
	if diff := s.run(0, "audit", "diff", "/root/dry.jsonl", "/root/real.jsonl"); !strings.HasPrefix(diff, "equal") {
		s.t.Errorf("%v: got %s", numbers, diff)
	}
	for number, check := range map[int]string{
		1: `test $(su condasrv -c 'cd; miniconda2/bin/supervisorctl -c miniconda2/etc/supervisord.conf status' | grep -c RUNNING) = 11 && ! id anaconda-server`,
		2: `curl -fsS http://127.0.0.1:9080/ && ! curl -fs http://127.0.0.1:8080/`,
		3: `test $(stat -c %U /data/conda/packages/anaconda) = condasrv && test ! -e /opt/anaconda-server/package-storage`,
		5: `! iptables-save | grep REDIRECT`,
		6: `test -f /data/conda/packages/r-channel/linux-64/repodata.json`,
		7: `printf 'port=9080\nstorage=/data/conda/packages\n' | cmp - /etc/conda-server`,
		8: `grep -q 64000 /etc/security/limits.d/mongod.conf && service mongod status`,
	} {
		if !slices.Contains(numbers, number) {
			check = "! { " + check + "; }"
		}
		if r := s.Run(0, 0, "bash", "-c", "{ "+check+"; } 2>&1"); r.Code != 0 {
			s.t.Errorf("tweak %d: %s: exit %d\n%s", number, check, r.Code, r.Out)
		}
	}
	if again := s.run(0, flags...); strings.Contains(again, "\n  changed ") {
		s.t.Errorf("the second run changed something:\n%s", again)
	}
}
