package trace

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"runbook/runtime/host"
)

func TestTerminalGolden(t *testing.T) {
	for name, opts := range map[string]Options{
		"run.txt":     {},
		"quiet.txt":   {Quiet: true},
		"verbose.txt": {Verbose: true},
		"colour.txt":  {Color: true},
	} {
		golden(t, name, shown(t, sample(RealRun), opts))
	}
	golden(t, "dryrun.txt", shown(t, sample(DryRun)[:18], Options{}))
	golden(t, "live.txt", shown(t, sample(RealRun)[:8], Options{Live: true, Width: 50}))
}

// shown plays a run, whose commands print something, to a Terminal.
func shown(t *testing.T, events []Event, opts Options) []byte {
	t.Helper()
	var b bytes.Buffer
	term := NewTerminal(&b, opts)
	for _, e := range events {
		emit(t, term, []Event{e})
		if e.Kind == Effect && e.Call == "exec" {
			term.Progress("2 of 3")
			term.Tail("Collecting package metadata: done\r\n", true)
			term.Tail("PackagesNotFoundError", true)
		}
	}
	return b.Bytes()
}

// Standard output that is no terminal gets no escape sequence, whatever the
// environment says; with colour there is one even where NO_COLOR is set.
func TestColourIsOnlyWhatOptionsSay(t *testing.T) {
	for _, env := range []string{"", "1"} {
		t.Setenv("NO_COLOR", env)
		if bytes.ContainsRune(shown(t, sample(RealRun), Options{}), '\x1b') {
			t.Errorf("NO_COLOR=%q: colour although none is wanted", env)
		}
		if !bytes.Contains(shown(t, sample(RealRun), Options{Color: true}), []byte("\x1b[33mchanged\x1b[0m")) {
			t.Errorf("NO_COLOR=%q: no colour", env)
		}
	}
}

func TestNoFormatLetsTextActOnATerminal(t *testing.T) {
	for _, hostile := range []string{
		"\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\u009b31m", "a\rb", "a\bb", "\x00", "\x7f", "\u202eevil", "\u2066x\u2069", "\u200b", "\ufeff",
		"\u2028", "\u2029", "\u0085", "\xff\xfe", "\xc0\x80", "\xed\xa0\x80", "\U000e0041", "\ue000", "\v\f", "\x1bc", "\x1b(0", "\u061c", "\u00ad",
		"x\nforged", "'; rm -rf /; '", "$(reboot)", "`reboot`", "</pre><script>", "<secret:x>\x1b[2J", "EOF\nEOF\n\x1b",
	} {
		events := poisoned(hostile)
		for _, format := range Formats() {
			var b bytes.Buffer
			if err := Show(&b, events, format, 0); err != nil {
				t.Fatal(err)
			}
			harmless(t, fmt.Sprintf("%s of %q", format, hostile), b.String())
		}
		harmless(t, fmt.Sprintf("verbose of %q", hostile), string(shown(t, events, Options{Verbose: true})))
		harmless(t, "difference", Diff(events, sample(RealRun)).String())
		if r, err := Verify(strings.NewReader(hostile + "\n" + hostile)); err != nil || r.OK() {
			t.Errorf("%q: got %v, %v", hostile, r, err)
		} else {
			harmless(t, "report", r.String())
		}
		if r := verify(t, written(t, events)); len(r.Broken) > 0 {
			t.Errorf("%q: the trace is %s", hostile, r)
		}
	}
}

// poisoned is a run with s in every text that comes from outside.
func poisoned(s string) []Event {
	events := sample(RealRun)
	for i := range events {
		e := &events[i]
		for _, p := range []*string{&e.Step, &e.Title, &e.Text, &e.Why, &e.Target, &e.Pos, &e.User, &e.Path, &e.Stdin, &e.URL, &e.Error, &e.Hint, &e.Op} {
			*p += s
		}
		e.Argv, e.Assumed = append(e.Argv, s), append(e.Assumed, s)
		if len(e.Changes) > 0 {
			e.Changes = append(e.Changes, host.Change{What: s, From: s, To: s}, host.Change{What: s, From: s + "\n", To: "a\n" + s + "\n"})
		}
		e.Args, e.Sets = map[string]any{s: s}, map[string]string{s: s}
		if e.Kind == Effect {
			e.Detail = map[string]any{"mode": "0644", "owner": s, "cwd": s, "target": s, "env": map[string]string{"A": s}}
		}
		if e.Run != nil {
			e.Run.Runbook, e.Run.Ticket, e.Run.Host.Hostname, e.Run.Vars = s, s, s, []Var{{s, s, s}}
			e.Run.Sources = []Source{{s, s, s}}
		}
	}
	return events
}

func harmless(t *testing.T, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s is not UTF-8", what)
	}
	for i, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%s has %q: %q", what, r, text[max(0, i-40):min(len(text), i+40)])
			return
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"plain ä 漢":                       "plain ä 漢",
		"a\tb":                            "a    b",
		"a\nb":                            `a\nb`,
		"\x1b[0m":                         `\x1b[0m`,
		"\u202e\U000e0041":                `\u202e\U000e0041`,
		"\xff":                            `\xff`,
		"\u009b":                          `\u009b`,
		`back\slash "quote"`:              `back\slash "quote"`,
		"\u3164\uffa0\u115f":              `\u3164\uffa0\u115f`, // letters that are blank
		"\u2800\u26a0\ufe0f\ufe01":        `\u2800` + "\u26a0\ufe0f" + `\ufe01`,
		"e\u0301o\u0302\u0301":            "e\u0301o\u0302\u0301",
		"e" + strings.Repeat("\u0301", 4): "e\u0301\u0301" + `\u0301\u0301`,
	} {
		if have := Quote(in); have != want {
			t.Errorf("%q: got %s, want %s", in, have, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"漢字漢", 5, "漢字…"}, {"漢字", 4, "漢字"}, {"", 3, ""},
	} {
		if have := cut(c.in, c.width); have != c.want {
			t.Errorf("%q, %d: got %q, want %q", c.in, c.width, have, c.want)
		}
	}
}

func TestTerminalFromManyGoroutines(t *testing.T) {
	var b bytes.Buffer
	term := NewTerminal(&b, Options{Live: true})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				term.Tail("x", true)
				term.Progress("y")
			}
		})
	}
	emit(t, term, sample(RealRun))
	wg.Wait()
	if !strings.Contains(b.String(), "install.star failed in 1m45s") {
		t.Error("the summary is missing")
	}
}

// A log file gets a line of progress now and then, not one for each step.
func TestProgressWithoutATerminal(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(0, 0)
	term := NewTerminal(&b, Options{Now: func() time.Time { return now }})
	emit(t, term, []Event{{Kind: Op, Op: "mirror", Target: "/srv/pkgs"}})
	for i := range 100 {
		now = now.Add(time.Second)
		term.Progress(fmt.Sprintf("%d of 100", i+1))
	}
	want := "  ...      mirror     /srv/pkgs  30 of 100\n  ...      mirror     /srv/pkgs  60 of 100\n  ...      mirror     /srv/pkgs  90 of 100\n"
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

// What a dry run asks for the runbook is listed and counted, and whether it was confined.
func TestQuestionsOfADryRun(t *testing.T) {
	events := []Event{
		{Kind: Run, Run: &RunInfo{Mode: DryRun, Runbook: "b.star"}},
		{Kind: Step, Step: "s", State: Begin},
		{Kind: Probe, Step: "s", Argv: []string{"rpm", "-q", "x"}, Code: 1},
		{Kind: Probe, Step: "s", Argv: []string{"cat", "a\x1bb"}, User: "ann", Code: 2, Asker: "query"},
		{Kind: Probe, Step: "s", URL: "http://localhost/", Code: 200, Asker: "wait_for", Why: "not confined: only root can"},
		{Kind: Probe, Step: "s", Argv: []string{"left", "out"}, Asker: "unless", Assumed: []string{"not asked"}},
		{Kind: End, Outcome: Done},
	}
	text := shown(t, events, Options{})
	var md bytes.Buffer
	if err := Show(&md, events, "md", 0); err != nil {
		t.Fatal(err)
	}
	for have, wants := range map[string][]string{
		string(text): {"  asks:    cat a\\x1bb  as ann = 2\n", "http://localhost/ = 200  not confined: only root can\n", ": 2 asked\n"},
		md.String():  {"- asks: `cat a\\x1bb` = 2, as ann\n", " = 200 **not confined: only root can**\n", "done: 2 asked."},
	} {
		for _, want := range wants {
			if !strings.Contains(have, want) {
				t.Errorf("got %s, want %q", have, want)
			}
		}
		if strings.Contains(have, "rpm") || strings.Contains(have, "left") {
			t.Errorf("got what is a builtin's own, or was not asked:\n%s", have)
		}
	}
}
