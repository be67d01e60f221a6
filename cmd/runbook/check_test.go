package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"runbook/builtins"
	"runbook/runbooks"
	"runbook/runtime"
)

// checked runs check with a format and returns what it prints.
func checked(t *testing.T, args ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	p := newProgram()
	p.out = &stdout{file: f}
	root := p.rootCommand()
	root.SetArgs(append([]string{"check"}, args...))
	if err := root.Execute(); err != nil && exitCode(err) != 2 {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestBroken checks each file in testdata/broken against the golden beside it. No file goes untested, none is without a
// mistake or a warning, and each of those has a rule and says what to do.
func TestBroken(t *testing.T) {
	t.Chdir("testdata/broken")
	files, err := filepath.Glob("*.star")
	if err != nil || len(files) < 60 {
		t.Fatal(len(files), err)
	}
	goldens, _ := filepath.Glob("*.golden")
	if len(goldens) != len(files) && !*update {
		t.Errorf("%d files, %d goldens", len(files), len(goldens))
	}
	met := map[string]bool{}
	for _, name := range files {
		golden := strings.TrimSuffix(name, ".star") + ".golden"
		got := checked(t, name)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || got != string(want) {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, got, want)
		}
		lib := runtime.Library{Dir: os.DirFS("."), Shipped: runbooks.FS}
		found := newProgram().rt.Diagnose(lib, name)
		if len(found) == 0 {
			t.Errorf("%s: nothing is found", name)
		}
		for _, d := range found {
			met[d.Rule] = true
			if d.Cure == "" && !strings.Contains(d.Message, "want ") {
				t.Errorf("%s: no cure: %s", name, d.Message)
			}
		}
	}
	for _, r := range runtime.Rules() {
		if !met[r.ID] && !slices.Contains([]string{"unreadable", "loading", "unknown-step", "unknown-var", "unused-step"}, r.ID) {
			t.Errorf("no broken runbook is about the rule %s", r.ID)
		}
	}
}

// Each diagnostic ends behind where it starts, in a line that there is, and follows the one before it.
func TestBrokenPlaces(t *testing.T) {
	files, _ := filepath.Glob("testdata/broken/*.star")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		lib := runtime.Library{Dir: os.DirFS("testdata/broken"), Shipped: runbooks.FS}
		base := filepath.Base(name)
		all := newProgram().rt.Diagnose(lib, base)
		if !slices.IsSortedFunc(all, runtime.Diagnostic.Compare) {
			t.Errorf("%s: not in order", name)
		}
		for _, d := range all {
			if d.File != base {
				continue
			}
			ends := d.End.Line > d.Start.Line || d.End.Line == d.Start.Line && d.End.Column >= d.Start.Column
			if d.Start.Line < 1 || d.End.Line > len(lines) || !ends || d.Line != strings.TrimSuffix(lines[d.Start.Line-1], "\r") {
				t.Errorf("%s: %+v", name, d)
			}
		}
		saved := runtime.Overlaid(nil, map[string]string{"lib/helpers.star": "def helper(name, size = 1): pass\n",
			"lib/port.star": "def show():\n    log(str(port))\n", base: string(text)})
		unsaved := runtime.New(builtins.All()...).Diagnose(runtime.Library{Dir: saved, Shipped: runbooks.FS}, base)
		if len(unsaved) != len(all) {
			t.Errorf("%s: %d diagnostics from memory, %d from files", name, len(unsaved), len(all))
		}
	}
}

func TestCheckJSON(t *testing.T) {
	var all []map[string]any
	text := checked(t, "--format", "json", "testdata/broken/typo_argument.star")
	if err := json.Unmarshal([]byte(text), &all); err != nil || len(all) != 2 {
		t.Fatal(err, text)
	}
	for field, want := range map[string]any{
		"file": "testdata/broken/typo_argument.star", "line": 2., "column": 23., "end_line": 2., "end_column": 29.,
		"rule": "unknown-argument", "severity": "error", "message": `mkdir: no argument "owners"`, "cure": `did you mean "owner"?`,
	} {
		if all[0][field] != want {
			t.Errorf("%s: got %v, want %v", field, all[0][field], want)
		}
	}
	if text := checked(t, "--format", "json", "quickstart.star"); text != "[]\n" {
		t.Errorf("no mistakes: got %q", text)
	}
}

// sarifLog is what SARIF 2.1.0 requires of a log, and what code hosts require of it.
type sarifLog struct {
	Schema  string `json:"$schema"`
	Version string `json:"version"`
	Runs    []struct {
		ColumnKind string `json:"columnKind"`
		Tool       struct {
			Driver struct {
				Name, Version string
				Rules         []struct {
					ID                   string
					ShortDescription     struct{ Text string }
					DefaultConfiguration struct{ Level string }
				}
			}
		}
		Results []struct {
			RuleID    string
			RuleIndex int
			Level     string
			Message   struct{ Text string }
			Locations []struct {
				PhysicalLocation struct {
					ArtifactLocation struct{ URI string }
					Region           *struct{ StartLine, StartColumn, EndLine, EndColumn int }
				}
			}
		}
	} `json:"runs"`
}

func TestCheckSARIF(t *testing.T) {
	for _, args := range [][]string{{"quickstart.star"}, {"testdata/broken/unused.star", "testdata/broken/wide_characters.star"}} {
		text := checked(t, append([]string{"--format", "sarif"}, args...)...)
		var log sarifLog
		d := json.NewDecoder(bytes.NewReader([]byte(text)))
		if err := d.Decode(&log); err != nil {
			t.Fatal(err)
		}
		if log.Version != "2.1.0" || !strings.HasSuffix(log.Schema, "sarif-2.1.0.json") || len(log.Runs) != 1 {
			t.Fatalf("got %+v", log)
		}
		run := log.Runs[0]
		rules := run.Tool.Driver.Rules
		if run.ColumnKind != "unicodeCodePoints" || run.Tool.Driver.Name != "runbook" || len(rules) != len(runtime.Rules()) ||
			!strings.Contains(text, `"results"`) || (len(run.Results) > 0) != (len(args) > 1) {
			t.Errorf("%v: got %s", args, text)
		}
		for _, r := range run.Results {
			where := r.Locations[0].PhysicalLocation
			if rules[r.RuleIndex].ID != r.RuleID || rules[r.RuleIndex].DefaultConfiguration.Level != r.Level ||
				r.Message.Text == "" || !strings.HasPrefix(where.ArtifactLocation.URI, "testdata/broken/") ||
				where.Region.StartLine < 1 || where.Region.EndColumn < where.Region.StartColumn {
				t.Errorf("got %+v", r)
			}
		}
	}
	if uri := fileURI("/a b/é:1.star"); uri != "file:///a%20b/%C3%A9:1.star" {
		t.Errorf("got %s", uri)
	}
	if uri := fileURI("a:b.star"); uri != "./a:b.star" {
		t.Errorf("got %s", uri)
	}
}

func TestExcerpt(t *testing.T) {
	at := func(line string, from, to int) string {
		var b strings.Builder
		excerpt(&b, runtime.Diagnostic{Line: line, Start: runtime.Place{Line: 1, Column: from}, End: runtime.Place{Line: 1, Column: to}}, longestExcerpt)
		return b.String()
	}
	long := strings.Repeat("x", 150)
	for _, c := range []struct{ got, want string }{
		{at("\tlog(x)", 6, 7), "  |     log(x)\n  |         ^\n"},
		{at("f(\"日本\", x)", 9, 10), "  | f(\"日本\", x)\n  |           ^\n"},
		{at("f(\"e\u0301\", x)", 9, 10), "  | f(\"e\u0301\", x)\n  |        ^\n"},
		{at("f(\x1b[1m, x)", 9, 10), "  | f(\\x1b[1m, x)\n  |            ^\n"},
		{at("x = 1", 99, 99), "  | x = 1\n  |      ^\n"},
		{at(long+"y", 151, 152), "  | ..." + strings.Repeat("x", 25) + "y\n  | " + strings.Repeat(" ", 28) + "^\n"},
		{at("y"+long, 1, 2), "  | y" + strings.Repeat("x", 96) + "...\n  | ^\n"},
		{at("", 1, 1), ""},
	} {
		if c.got != c.want {
			t.Errorf("got\n%swant\n%s", c.got, c.want)
		}
	}
}

// BenchmarkCheck looks for mistakes in the largest shipped runbook, without the start of a process.
func BenchmarkCheck(b *testing.B) {
	p := newProgram()
	for b.Loop() {
		if all := p.rt.Diagnose(runtime.Library{Shipped: p.shipped}, "install.star"); len(all) > 0 {
			b.Fatal(all)
		}
	}
}

// FuzzDiagnose looks for mistakes in any bytes: no crash, and each place is in the text.
func FuzzDiagnose(f *testing.F) {
	for _, text := range []string{"", "\x00", "\ufeffx = 1", "x = \u201ca\u201d", "x =\u00a01\r\n", "\xff\xfe", "def s():\r\n\tlog(", `"""`,
		strings.Repeat("(", 5000), "x = " + strings.Repeat("1+", 20000) + "1", "# check: allow run-every-time", "f(*a, **b)[:]",
		"def s():\n    run([\"a\", p], env = {\"A\": 1}, *x)\np = secret(\"p\")\nstep(s)", "lambda: (yield)", "x = {1: 2, 1: 3}"} {
		f.Add(text)
	}
	names, err := filepath.Glob("testdata/broken/*.star")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	rt := newProgram().rt
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range []string{"t.star", "runbook.star", "lib/t.star"} {
			lib := runtime.Library{Dir: runtime.Overlaid(nil, map[string]string{name: text}), Shipped: runbooks.FS}
			for _, d := range rt.Diagnose(lib, name) {
				lines := strings.Count(text, "\n") + 1
				if d.Rule == "" || d.Severity == "" || d.Message == "" || d.File == name && d.Start.Line > lines {
					t.Errorf("%+v", d)
				}
				excerpt(io.Discard, d, longestExcerpt)
			}
		}
	})
}
