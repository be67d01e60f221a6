package main

import (
	"bytes"
	"io"
	"os"
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
