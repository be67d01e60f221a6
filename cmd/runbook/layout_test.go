package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"runbook/runtime"
)

// pages returns every page that people read, by its name, as it is for some columns.
func pages(t *testing.T, width int) map[string]string {
	t.Helper()
	all := map[string]string{}
	page := func(name string, write func(w io.Writer) error) {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = b.String()
	}
	p := newProgram()
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		c.InitDefaultHelpFlag()
		page(c.CommandPath()+" --help", func(w io.Writer) error { return helpPage(w, c, width) })
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(p.rootCommand())
	page("help confine", func(w io.Writer) error { return confineText(w, width) })
	page("help language", func(w io.Writer) error { return languageText(w, width) })
	page("builtins", func(w io.Writer) error { return listBuiltins(w, p.rt.Builtins(), width) })
	for _, b := range withTests().Builtins() {
		page("builtins "+b.Name, func(w io.Writer) error { return describeBuiltin(w, b, width) })
	}
	for _, name := range p.shippedNames() {
		book, err := p.rt.Load(runtime.Library{Shipped: p.shipped}, name, runtime.Inputs{})
		if book == nil {
			t.Fatal(err)
		}
		page("show "+name, func(w io.Writer) error { return showText(w, book, width) })
	}
	if len(all) < 90 {
		t.Fatalf("got %d pages, want all", len(all))
	}
	return all
}

// No line of a page is wider than the page, but for a word that fits on none: a URL, or a digest.
func TestPagesFit(t *testing.T) {
	for _, columns := range []int{fewestColumns, usualColumns, mostColumns} {
		widest := 0
		for name, text := range pages(t, columns) {
			for i, line := range strings.Split(text, "\n") {
				wide := width(line)
				widest = max(widest, wide)
				if wide > columns && (columns >= usualColumns && !strings.HasPrefix(name, "show ") || roomFor(line, columns)) {
					t.Errorf("%s, %d columns: line %d has %d: %s", name, columns, i+1, wide, line)
				}
			}
		}
		if widest < columns-1 {
			t.Errorf("no line has more than %d columns, where %d are", widest, columns)
		}
	}
}

// roomFor reports whether a line that is too wide could have been broken: all its words would fit.
func roomFor(line string, columns int) bool {
	for _, word := range strings.Fields(line) {
		if width(word) > columns/2 {
			return false
		}
	}
	return true
}

// Commands in help are copied: none of them is broken.
func TestExamplesOfHelpFit(t *testing.T) {
	for name, text := range pages(t, usualColumns) {
		_, examples, _ := strings.Cut(text, "\nExamples:\n")
		examples, _, _ = strings.Cut(examples, "\n\n")
		for line := range strings.SplitSeq(examples, "\n") {
			if strings.HasPrefix(line, "   ") {
				t.Errorf("%s: the example is broken at: %s", name, line)
			}
		}
	}
}

// No word is lost where a page is broken.
func TestPagesAreWhole(t *testing.T) {
	narrow := pages(t, fewestColumns)
	for name, text := range pages(t, 10000) {
		have, want := strings.Join(strings.Fields(narrow[name]), " "), strings.Join(strings.Fields(text), " ")
		if have != want {
			t.Errorf("%s: got %s, want %s", name, have, want)
		}
	}
}

// On a terminal messages are broken between words, below their text; elsewhere each is one line, for programs that
// look for it.
func TestMessagesFitTheTerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := `def s():
    require(False, "the disk is too small for what this is about to put on it", fix = "buy another one, or remove what nobody has needed")
step(s)
`
	if err := os.WriteFile(filepath.Join(dir, "b.star"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	k := onTerminal(t, dir, "sh", "-c", "stty cols 50; runbook run b.star; runbook run nowhere.star; runbook run b.star 2>err; echo ENDED")
	k.types("", "ENDED")
	for _, want := range []string{
		`runbook: b.star:2:12: step s: a requirement is not
    met:
  - the disk is too small for what this is about
    to put on it (buy another one, or remove what
    nobody has needed)
`,
		`runbook: no runbook "nowhere.star"
  hint: it is looked for as a path, with .star
        added, then among the shipped:
        install.star media.star mirror.star
        quickstart.star
`,
	} {
		if !strings.Contains(strings.ReplaceAll(k.seen, "\r\n", "\n"), want) {
			t.Errorf("got %s, want %s", k.seen, want)
		}
	}
	const want = "\n  - the disk is too small for what this is about to put on it (buy another one, or remove what nobody has needed)\n"
	text, err := os.ReadFile(filepath.Join(dir, "err"))
	if err != nil || !strings.Contains(string(text), want) {
		t.Errorf("got %s, want %s", text, want)
	}
}

// screen is what stays on a terminal of so many columns, row by row.
func screen(shown string, columns int) (rows []string) {
	for line := range strings.SplitSeq(strings.TrimRight(strings.ReplaceAll(shown, "\r\n", "\n"), "\n"), "\n") {
		line = strings.ReplaceAll(line[strings.LastIndexByte(line, '\r')+1:], "\x1b[K", "")
		for width(line) > columns {
			row := string([]rune(line)[:columns])
			rows, line = append(rows, row), line[len(row):]
		}
		rows = append(rows, line)
	}
	return rows
}

// The quick start fits a page of a terminal. It counts what it does not show, and the trace has it.
func TestQuickstartIsShort(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "tmp.") // as long as that of mktemp -d
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	k := onTerminal(t, dir, "sh", "-c", "stty cols 80; runbook run quickstart.star --var serve=false; echo ENDED")
	k.types("", "ENDED")
	rows := screen(k.seen, 80)
	text := strings.Join(rows, "\n")
	if len(rows) > 40 { // one of them is ENDED
		t.Errorf("got %d rows:\n%s", len(rows)-1, text)
	}
	for _, want := range []string{"/repodata.json  +33 lines, mode 0644\n", " made", "15 changed, 6 already so, 1 step left out\n", ": runbook audit show TRACE\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%s\nwant %q", text, want)
		}
	}
	ops, below := strings.Count(text, "\n  changed  "), strings.Count(text, "\n           ")
	if ops != 15 || below != 1 { // only a note goes on
		t.Errorf("got %d lines of ops, and %d that go on, want 15 and 1:\n%s", ops, below, text)
	}
	traces, err := filepath.Glob(filepath.Join(dir, "state/runbook/traces/*.jsonl"))
	if err != nil || len(traces) != 1 {
		t.Fatal(traces, err)
	}
	k = onTerminal(t, dir, "sh", "-c", "stty cols 80; runbook audit show "+traces[0]+"; echo ENDED")
	k.types("", "ENDED")
	for _, want := range []string{`+      "name": "greeter",`, `"sha256": "e685618b115e69259582a81bf5028922c0cad6e02deb7a93b0ae15ae44663480",`} {
		if !strings.Contains(k.seen, want) {
			t.Errorf("the trace shown lacks %s", want)
		}
	}
}

// While a command runs, the last line of a terminal has its time and what it printed last: no secret, and nothing that
// a terminal obeys.
func TestLiveLineOfACommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	book := `pw = secret("pw")
def s():
    """Wait."""
    run(["sh", "-c", "read x; printf 'with %s \\033[2J\\n' $x; sleep 2; printf '10 %%\\r 90 %%\\r'; sleep 1.5; printf '\\n'"], stdin = pw + "\n")
step(s)
`
	for name, text := range map[string]string{"b.star": book, "pw": "hunter2222\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k := onTerminal(t, dir, "sh", "-c", "stty cols 80; runbook run b.star --secret pw=file:pw; echo ENDED")
	k.types("", "ENDED")
	for _, want := range []string{"…  | with <secret:pw> \\x1b[2J\x1b", "…  1s  | with <secret:pw> \\x1b[2J", "…  3s  |  90 %"} {
		if !strings.Contains(strings.ReplaceAll(k.seen, "\r", "\x1b"), want) {
			t.Errorf("got %q, want %q", k.seen, want)
		}
	}
	if strings.Contains(k.seen, "hunter") || strings.Contains(k.seen, "\x1b[2J") {
		t.Errorf("got %q", k.seen)
	}
	for _, drawn := range strings.Split(k.seen, "\r\x1b[K") {
		if line, _, _ := strings.Cut(drawn, "\r\n"); width(line) > 79 {
			t.Errorf("the live line has %d columns: %q", width(line), line)
		}
	}
}

// A failure is told once: the reason in one place, and the command as often as it is needed to find it.
func TestAFailureIsToldOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body, reason string
		named        string
		times        int // that the thing is named: in the line of the op, and in the error
	}{
		"command":  {`run(["sh", "-c", "echo the disk burns >&2; exit 3"])`, "exit status 3: the disk burns", "exit 3", 2},
		"missing":  {`run(["/nowhere/program", "x"])`, "not found", "/nowhere/program", 3},
		"download": {`download("http://127.0.0.1:1/x", "/tmp/x", retries = 0)`, "refused", "http://127.0.0.1:1/x", 2},
		"write":    {`write("/proc/nowhere/x", "")`, "is missing", "/proc/nowhere/x", 2},
		"fail":     {`fail("no good")`, "no good", "no good", 1},
		"require":  {`require(False, "no good")`, "no good", "no good", 1},
		"person":   {`confirm("Sure?")`, "a person is needed", "Sure?", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			book := "def s():\n    \"\"\"Fail.\"\"\"\n    " + c.body + "\nstep(s)\n"
			if err := os.WriteFile(filepath.Join(dir, "b.star"), []byte(book), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-c", "runbook run b.star --state state 2>&1 </dev/null")
			cmd.Dir = dir
			out, err := cmd.Output()
			text := string(out)
			if err == nil || strings.Count(text, c.reason) != 1 || strings.Count(text, c.named) != c.times {
				t.Errorf("got %v, %q %d times and %q %d times, want once and %d:\n%s", err, c.reason, strings.Count(text, c.reason),
					c.named, strings.Count(text, c.named), c.times, text)
			}
		})
	}
}
