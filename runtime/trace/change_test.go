package trace

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"runbook/runtime/host"
)

func TestChangeLines(t *testing.T) {
	abc := "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n"
	for _, c := range []struct{ from, to, want string }{
		{"a\nb\nc\n", "a\nx\nc\n", "x|@@ -1,3 +1,3 @@| a|-b|+x| c"},
		{"", "a\nb\n", "x|+a|+b"},
		{"a\nb\n", "", "x|-a|-b"},
		{"a\nb\n", "(empty)", "x, to (empty)|-a|-b"},
		{"(empty)", "a\n", "x, from (empty)|+a"},
		{"12 bytes that others may not read", "a\nb\n", "x, from 12 bytes that others may not read|+a|+b"},
		{"a\n", "a\nb\n", "x|@@ -1,1 +1,2 @@| a|+b"},
		{"a\nb\n", "a\nb", `x|@@ -1,2 +1,2 @@| a|-b|+b|\ No newline at end of file`},
		{abc, strings.NewReplacer("a", "A", "j", "J").Replace(abc), "x|@@ -1,4 +1,4 @@|-a|+A| b| c| d|@@ -7,4 +7,4 @@| g| h| i|-j|+J"},
		{"s\ns\ns\ns\ns\ns\ns\ns\ns\ns\n", "s\n1\ns\ns\ns\ns\ns\ns\ns\ns", `x|@@ -1,4 +1,5 @@| s|+1| s| s| s|@@ -6,5 +7,4 @@| s| s| s|-s|-s|+s|\ No newline at end of file`},
		{"old", "new", "x  old -> new"},
		{"", "a\n\x00\x1b\n", `x|+a|+\x00\x1b`},
		{"", "+++ b\n@@ -1 +1 @@\n", "x|++++ b|+@@ -1 +1 @@"},
	} {
		var have []string
		for _, l := range changeLines([]host.Change{{What: "x", From: c.from, To: c.to}}, 0, "") {
			have = append(have, l.text)
		}
		if text := strings.Join(have, "|"); text != c.want {
			t.Errorf("%q to %q: got\n%s, want\n%s", c.from, c.to, text, c.want)
		}
	}
}

// shownIn returns a run that writes a text, in every form that people read.
func shownIn(t *testing.T, dry bool, change host.Change, whole ...string) map[string]string {
	t.Helper()
	mode := map[bool]string{true: DryRun, false: RealRun}[dry]
	events := []Event{{Kind: Run, Run: &RunInfo{Mode: mode, User: Person{Name: "root"}}}, {Kind: Step, Step: "s", State: Begin},
		{Kind: Op, Step: "s", Op: "write", Target: "/etc/x", User: "root", Changes: []host.Change{change}, Whole: whole},
		{Kind: Effect, Step: "s", Call: "write", Path: "/etc/x", User: "root", Inputs: []Input{{Path: "/src", SHA256: "ab12"}}, Detail: map[string]any{"mode": "0640", "owner": "ann", "group": "ops"}},
		{Kind: Result, Step: "s", Op: "write", Target: "/etc/x", Outcome: Changed}, {Kind: End, Outcome: Done}}
	all := map[string]string{"run": string(shown(t, events, Options{})), "verbose": string(shown(t, events, Options{Verbose: true}))}
	for _, format := range []string{"text", "md"} {
		var b bytes.Buffer
		if err := Show(&b, read(t, written(t, events)), format, 0); err != nil {
			t.Fatal(err)
		}
		all[format] = b.String()
	}
	return all
}

func TestEveryLineThatIsAddedIsShown(t *testing.T) {
	lines := strings.Split(strings.Repeat("same\n", 300), "\n")
	added := slices.Clone(lines)
	added[3], added[250] = "first evil", "second evil"
	for form, text := range shownIn(t, false, host.Change{What: "content", From: strings.Join(lines, "\n"), To: strings.Join(added, "\n")}) {
		if form == "run" {
			counted(t, text, "  changed  write      /etc/x  +2 -2 lines, 1 more\n", "not shown: 1 fact, 4 lines of text: runbook audit show TRACE\n")
		} else if !strings.Contains(text, "+first evil\n") || !strings.Contains(text, "+second evil\n") {
			t.Errorf("%s: a line is missing:\n%s", form, text)
		}
	}
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf("line %d.", i)
	}
	change := host.Change{What: "content", To: strings.Join(many, "\n") + "\n"}
	for form, text := range shownIn(t, false, change) {
		if form == "run" {
			counted(t, text, "  changed  write      /etc/x  +300 lines, 1 more\n", "not shown: 1 fact, 300 lines of text:")
		} else if !strings.Contains(text, "+line 150.") || !strings.Contains(text, "+line 299.") {
			t.Errorf("%s: a line is missing:\n%s", form, text)
		}
	}
	for form, text := range shownIn(t, true, change) {
		if !strings.Contains(text, "+line 150.\n") {
			t.Errorf("%s of a dry run: a line is missing:\n%s", form, text)
		}
	}
}

// Of an op that failed a run shows head and tail of what is long, and says where the rest is.
func TestLongTextOfAFailedOp(t *testing.T) {
	text := string(shown(t, []Event{
		{Kind: Run, Run: &RunInfo{Mode: RealRun}},
		{Kind: Op, Op: "write", Target: "/etc/x", Changes: []host.Change{{What: "content", To: strings.Repeat("line\n", 299) + "last\n"}}},
		{Kind: Result, Op: "write", Target: "/etc/x", Outcome: Failed, Error: "no space"},
	}, Options{}))
	counted(t, text, "+line\n", "+last\n", "(260 lines left out: 260 added, 0 removed; --verbose shows them)")
}

func counted(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%s, want %q", text, want)
		}
	}
}

// Lines are cut on a screen only, where it is said, and in what a run says in brief.
func TestLongLines(t *testing.T) {
	rule := strings.Repeat("-s 10.0.0.0/8 ", 300) + "-j ACCEPT"
	change := host.Change{What: "rule", To: rule}
	for form, text := range shownIn(t, false, change) {
		if form == "run" {
			counted(t, text, "rule -s 10.0.0.0/8 -s", "…, 1 more\n", "not shown: 2 facts:")
		} else if !strings.Contains(text, rule) {
			t.Errorf("%s: the rule is cut", form)
		}
	}
	events := []Event{{Kind: Op, Op: "iptables", Target: "INPUT", Changes: []host.Change{change}}, {Kind: Result, Op: "iptables", Target: "INPUT", Outcome: Changed}}
	words := func(opts Options) string { return strings.Join(strings.Fields(string(shown(t, events, opts))), " ") }
	if text := words(Options{Live: true, Width: 80}); !strings.Contains(text, " more characters; --verbose shows them)") {
		t.Errorf("got %s", text)
	}
	if text := words(Options{Live: true, Width: 80, Verbose: true}); !strings.Contains(text, rule) {
		t.Errorf("verbose: got %s", text)
	}
}

func TestModeOwnerAndAccountAreShown(t *testing.T) {
	for form, text := range shownIn(t, false, host.Change{What: "content", From: "1", To: "2"}) {
		if form == "run" {
			counted(t, text, "content 1 -> 2, 1 more\n", "not shown: 1 fact:")
		} else if !strings.Contains(text, "mode 0640, owner ann, group ops") || !strings.Contains(text, "reads /src, sha256 ab12") {
			t.Errorf("%s: got\n%s", form, text)
		}
	}
	events := []Event{{Kind: Op, Op: "db", Target: "accounts", User: "root", Args: map[string]any{"stdin": "one\nevil\n"}, Changes: []host.Change{{What: "accounts", To: "made"}}},
		{Kind: Effect, Call: "exec", User: "mongod", Argv: []string{"mongo", "pw"}, Stdin: "<secret:pw>",
			Detail: map[string]any{"cwd": "/srv", "env": map[string]string{"LD_PRELOAD": "/x.so"}, "argv_exposed": []string{"pw", "key"}}},
		{Kind: Result, Op: "db", Target: "accounts", Outcome: Changed}}
	var script bytes.Buffer
	if err := Show(&script, events, "sh", 0); err != nil || !strings.Contains(script.String(), "# argv_exposed: while it runs, every account can see the secret pw, key") {
		t.Errorf("sh: got %s, %v", script.String(), err)
	}
	var md, text bytes.Buffer
	for format, w := range map[string]*bytes.Buffer{"md": &md, "text": &text} {
		if err := Show(w, read(t, written(t, events)), format, 0); err != nil {
			t.Fatal(err)
		}
	}
	for form, text := range map[string]string{
		"run": string(shown(t, events, Options{})), "verbose": string(shown(t, events, Options{Verbose: true})),
		"text": text.String(), "md": strings.ReplaceAll(md.String(), `\`, ""),
	} {
		for _, want := range []string{"as mongod, in /srv, LD_PRELOAD=/x.so, input <secret:pw>", "argv_exposed: while it runs, every account can see the secret pw, key", "+one", "+evil"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: lacks %q:\n%s", form, want, text)
			}
		}
	}
}

// What would be wrong is not said of a requirement that is met.
func TestMetRequirementsDoNotSayWhatWouldBeWrong(t *testing.T) {
	const message = "there is no memory"
	require := func(o Outcome) []Event {
		return []Event{{Kind: Op, Op: "require", Target: message, Pos: "a.star:3:5"}, {Kind: Result, Op: "require", Target: message, Outcome: o}}
	}
	for _, o := range []Outcome{Same, Failed} {
		for name, opts := range map[string]Options{"run": {}, "verbose": {Verbose: true}, "whole": {Whole: true}, "live": {Live: true}} {
			text := string(shown(t, require(o), opts))
			if strings.Contains(text, message) != (o == Failed) {
				t.Errorf("%s, %s: got %s", name, o, text)
			}
		}
		var md bytes.Buffer
		if err := Show(&md, require(o), "md", 0); err != nil || strings.Contains(md.String(), message) != (o == Failed) {
			t.Errorf("md, %s: got %s, %v", o, md.String(), err)
		}
	}
}

func TestLongTextsAreShortened(t *testing.T) {
	long := "head evil\n" + strings.Repeat("ä", maxText) + "\ntail evil\n"
	c := host.Change{What: "content", From: "x\n", To: long}
	sum := Shorten(&c)
	if sum != hash([]byte(long)) || len(c.To) > 3*keptText || !strings.HasPrefix(c.To, "head evil\n") || !strings.HasSuffix(c.To, "\ntail evil\n") || c.From != "x\n" {
		t.Errorf("got %d bytes", len(c.To))
	}
	for form, text := range shownIn(t, false, c, sum) {
		text = strings.ReplaceAll(text, `\`, "")
		if form == "run" {
			counted(t, text, "  changed  write      /etc/x  +", " lines of text: runbook audit show TRACE")
		} else if !strings.Contains(text, "head evil") || !strings.Contains(text, "tail evil") || !strings.Contains(text, "bytes left out") ||
			!strings.Contains(text, "TRACE.blobs/"+hash([]byte(long))) {
			t.Errorf("%s does not say where the whole is", form)
		}
	}
	short := host.Change{From: long[:maxText], To: "x"}
	if before := short; Shorten(&short) != "" || short != before {
		t.Error("a text that fits is cut")
	}
}
