package trace

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runbook/runtime/host"
)

func TestShellGolden(t *testing.T) {
	events := sample(RealRun)
	for _, e := range []Event{
		{Call: "mkdir", Path: "/srv/a b", Detail: map[string]any{"mode": "0750", "owner": "anaconda", "group": "staff"}},
		{Call: "symlink", Path: "/srv/link", Detail: map[string]any{"target": "../x", "owner": "anaconda"}},
		{Call: "meta", Path: "/srv/a", Detail: map[string]any{"mode": "0700", "owner": "anaconda"}},
		{Call: "meta", Path: "/srv/a", Detail: map[string]any{"files": 12, "owner": "anaconda", "group": "staff"}},
		{Call: "move", Path: "/srv/new", Detail: map[string]any{"from": "/srv/old"}},
		{Call: "remove", Path: "/srv/$HOME", Detail: map[string]any{"files": 3}},
		{Call: "write", Path: "/srv/unknown", Detail: map[string]any{"mode": "0600"}},
		{Call: "exec", Argv: []string{"if", "a'b", "", "--x=y", "-é", "x=<secret:path>"}},
	} {
		e.Kind = Effect
		events = append(events[:len(events)-1:len(events)-1], e, events[len(events)-1])
	}
	for name, evs := range map[string][]Event{"run.sh": events, "dryrun.sh": sample(DryRun)[:10]} {
		var b bytes.Buffer
		if err := Show(&b, evs, "sh", 0); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
		sh(t, "-n", b.String())
	}
}

// sh runs a script and returns what it printed.
func sh(t *testing.T, flag, script string) string {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "script")
	if err := os.WriteFile(name, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p, err := os.StartProcess("/bin/sh", []string{"sh", flag, name}, &os.ProcAttr{Dir: dir, Env: []string{"PATH=/usr/bin:/bin", "PAGER=0800 $1"}, Files: []*os.File{nil, out, out}})
	if err != nil {
		t.Skipf("NOT TESTED: there is no /bin/sh: %v", err)
	}
	state, err := p.Wait()
	printed, rerr := os.ReadFile(out.Name())
	if err != nil || rerr != nil || !state.Success() {
		t.Errorf("sh %s: %v %v %v %s\n%s", flag, err, rerr, state, printed, script)
	}
	return string(printed)
}

func hostileTexts() []string {
	return []string{
		"", "plain", "a b", "it's", `"`, `\`, `\\n`, "$HOME", "`id`", "$(id)", "a\nb", "\n", "a\n\n", "\x1b[2J", "\r", "tab\t", "ä漢", "\u202e", "\xff\xfe",
		"*", "~", "#x", "-n", "--", "a;b", "a&b", "a|b", ">x", "!x", "{a,b}", "%s", "%%", "if", "x=y", "=", "'\\''", "''", "\x01\n\x02\n",
	}
}

// A shell takes from a transcript exactly the words that the trace has.
func TestShellWordsAreExact(t *testing.T) {
	argv := append([]string{"printf", `%s\000`}, hostileTexts()...)
	want := strings.Join(hostileTexts(), "\x00") + "\x00"
	if have := sh(t, "-u", shellWords(argv)+"\n"); have != want {
		t.Errorf("got %q\nwant %q", have, want)
	}
	for _, s := range []string{"<secret:pager>", "a<secret:pager>'b$<secret:pager>"} {
		want := strings.ReplaceAll(s, "<secret:pager>", "0800 $1")
		if have := sh(t, "-u", shellWords([]string{"printf", "%s", s})+"\n"); have != want {
			t.Errorf("%s: got %q, want %q", s, have, want)
		}
	}
}

// The program's own name is never taken for a word of the shell.
func TestShellProgramNamesAreNoSyntax(t *testing.T) {
	for _, name := range hostileTexts() {
		sh(t, "-n", shellWords([]string{name, "x"})+"\n")
	}
}

// A file written by the transcript holds what the trace says.
func TestShellWritesExactContents(t *testing.T) {
	for _, text := range append(hostileTexts(), "EOF\n", "a\nEOF\nEOF_\n", "$x `y` \\\n", "<secret:pager>\n$x \\ `y`\n", motd) {
		dir := t.TempDir()
		name := filepath.Join(dir, "a file")
		sum := hash([]byte(text))
		var b bytes.Buffer
		emit(t, NewShell(&b), []Event{
			{Kind: Run, Run: &RunInfo{}},
			{Kind: Op, Changes: []host.Change{{What: "content", From: "x", To: text}}},
			{Kind: Effect, Call: "write", Path: name, Detail: map[string]any{"mode": "0600", "sha256": sum}},
			{Kind: End},
		})
		sh(t, "-u", b.String())
		have, err := os.ReadFile(name)
		if want := strings.ReplaceAll(text, "<secret:pager>", "0800 $1"); err != nil || string(have) != want {
			t.Errorf("%q: got %q, %v\n%s", text, have, err, b.String())
		}
	}
}

func TestHostileTranscriptsAreValidShell(t *testing.T) {
	for _, s := range append(hostileTexts(), "<secret:a-b>", "<secret:>", "<secret:0>", "<secret:x") {
		var b bytes.Buffer
		if err := Show(&b, poisoned(s), "sh", 0); err != nil {
			t.Fatal(err)
		}
		sh(t, "-n", b.String())
	}
}
