package review

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// hostile are texts that would act on a terminal, forge a line, or be markup.
func hostile() []string {
	return []string{
		"\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\u009b31m", "a\rb", "a\bb", "\x00", "\x7f", "\u202eevil", "\u2066x\u2069", "\u200b", "\ufeff", "\u2028", "\u2029",
		"\u0085", "\xff\xfe", "\xc0\x80", "\xed\xa0\x80", "\U000e0041", "\ue000", "\v\f", "\u061c", "\u00ad",
		"x\n# forged", "x\n- **forged**: done", "x\r\n## forged", "<script>forged()</script>", "</pre></main><h1>forged</h1>", "</style><b>forged</b>", "<!-- forged", "]]><forged/>",
		"&lt;forged&gt;&#60;b&#62;", `" onclick="forged()`, `' autofocus onfocus='forged()`, "javascript:forged()", "{{.Forged}}", "*forged* `forged` [forged](javascript:x) | forged |",
		`","forged":"`, `\","forged":"`, "~~~\n```\n# forged", "<img src=https://forged.example/x>", "\u0430\u0301\u0301\u0301\u0301", "%s%n%!d(forged)",
	}
}

// poisoned is a run with s in every text that comes from outside.
func poisoned(mode, s string) []trace.Event {
	events := sample(mode)
	for i := range events {
		e := &events[i]
		for _, p := range []*string{&e.Step, &e.Title, &e.Text, &e.Why, &e.Site, &e.Target, &e.Pos, &e.User, &e.Path, &e.URL, &e.Error, &e.Hint, &e.Op} {
			*p += s
		}
		e.Argv, e.Assumed = append(slices.Clone(e.Argv), s), append(slices.Clone(e.Assumed), s)
		if len(e.Changes) > 0 {
			e.Changes = append(slices.Clone(e.Changes), host.Change{What: s, From: s, To: s}, host.Change{What: s, From: s + "\n", To: "a\n" + s + "\n"})
		}
		e.Args, e.Sets = map[string]any{s: s, "url": s, "sha256": s}, map[string]string{s: s, "port:" + s: s, "enabled:" + s: s, "user:" + s: s}
		if e.Kind == trace.Step {
			e.Controls = []string{s}
		}
		if e.Kind == trace.Effect {
			e.Detail = map[string]any{"mode": "4777", "owner": s, "group": s, "cwd": s, "target": s, "file": s, "env": map[string]string{"A": s}, "touches": []string{s}, "argv_exposed": []string{s}}
			e.Inputs = []trace.Input{{Path: s, SHA256: s}}
		}
		if r := e.Run; r != nil {
			r.Runbook, r.Ticket, r.Follows, r.Previous, r.Host, r.User, r.Binary = s, s, s, s, trace.Machine{Hostname: s, OS: s, Kernel: s, Machine: s}, trace.Person{Name: s, SudoUser: s}, trace.Binary{Version: s, SHA256: s}
			r.Sources, r.Vars = []trace.Source{{Name: s, SHA256: s, Origin: s}}, []trace.Var{{Name: s, Value: s, From: s}, {Name: s, Value: []any{s}, From: s}}
			r.Policy = r.Sources
			r.Approvals = []trace.Approval{{By: s, Key: s, Given: s, Until: s, Ticket: s}}
		}
	}
	return events
}

var tag = regexp.MustCompile(`<[^>]*>`)

// No text of a trace gets into a report as anything but text: looked at as bytes, in each format.
func TestNoTextIsMarkup(t *testing.T) {
	if n := len(hostile()); n < 40 {
		t.Fatalf("only %d texts", n)
	}
	for _, mode := range []string{trace.DryRun, trace.RealRun} {
		for _, s := range hostile() {
			file := written(t, poisoned(mode, s))
			for _, format := range Formats() {
				have := string(reported(t, file, format))
				name := fmt.Sprintf("%s of %s with %q", format, mode, s)
				printable(t, name, have)
				switch format {
				case "html":
					sameTags(t, name, have, string(reported(t, written(t, poisoned(mode, tame(s))), format)))
				case "md":
					noForgedLine(t, name, have)
				}
			}
		}
	}
}

// tame is a text of as many lines as s that nothing could take for more.
func tame(s string) string {
	if strings.Contains(s, "https://") { // what is fetched is told
		return "https://x"
	}
	lines := strings.Split(strings.Trim(s, " \t\r\n"), "\n")
	return strings.Repeat("x\n", len(lines)-1) + "x"
}

func printable(t *testing.T, name, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s is not UTF-8", name)
	}
	for i, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Fatalf("%s has %q: %q", name, r, text[max(0, i-40):min(len(text), i+40)])
		}
	}
}

// sameTags wants a page to have the markup of one without hostile texts.
func sameTags(t *testing.T, name, have, want string) {
	t.Helper()
	lines := strings.NewReplacer("<span>", "", "</span>", "") // long commands go over more of them
	a, b := tag.FindAllString(lines.Replace(have), -1), tag.FindAllString(lines.Replace(want), -1)
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Fatalf("%s: tag %d of %d and %d is %q", name, i, len(a), len(b), a[min(i, len(a)-1)])
		}
	}
}

// noForgedLine wants no line of a document to begin as a heading, an item or a fence that a text has made.
func noForgedLine(t *testing.T, name, text string) {
	t.Helper()
	fence := ""
	for line := range strings.SplitSeq(text, "\n") {
		trimmed := strings.TrimLeft(line, " >")
		marks := trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "`"))]
		switch {
		case fence == "" && len(marks) >= 3:
			fence = marks
		case fence != "" && trimmed == fence:
			fence = ""
		case fence == "" && (strings.HasPrefix(trimmed, "# forged") || strings.HasPrefix(trimmed, "## forged") || strings.HasPrefix(trimmed, "- **forged")):
			t.Fatalf("%s: forged line %q", name, line)
		}
	}
	if fence != "" {
		t.Errorf("%s: a fence is left open", name)
	}
}

// Beside a plan, too, no text is markup.
func TestNoTextOfAPlanIsMarkup(t *testing.T) {
	compared := func(plan, run []trace.Event, format string) string {
		t.Helper()
		file := written(t, run)
		r, err := Read(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		v, err := trace.Verify(bytes.NewReader(written(t, plan)))
		if err != nil {
			t.Fatal(err)
		}
		r.Compare(plan, run, v)
		var b bytes.Buffer
		if err := r.Write(&b, format); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, s := range hostile() {
		other := poisoned(trace.RealRun, s)[3:]
		for _, format := range []string{"html", "md"} {
			name := fmt.Sprintf("%s of %q", format, s)
			have := compared(poisoned(trace.DryRun, s), other, format)
			printable(t, name, have)
			if format == "md" {
				noForgedLine(t, name, have)
				continue
			}
			sameTags(t, name, have, compared(poisoned(trace.DryRun, tame(s)), poisoned(trace.RealRun, tame(s))[3:], format))
		}
	}
	text := compared(sample(trace.DryRun), sample(trace.RealRun), "html")
	for _, want := range []string{"The run differs from the plan.", "not planned", "not done", "21 more are equal"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not told", want)
		}
	}
	if text := compared(sample(trace.DryRun), sample(trace.DryRun), "html"); !strings.Contains(text, "The run did what was planned.") {
		t.Error("nothing says that the run did what was planned")
	}
}
