package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"

	"runbook/builtins"
	"runbook/runtime"
	"runbook/runtime/trace"
)

// testFlags are the flags of test.
type testFlags struct {
	run, junit string
	verbose    bool
}

func (p *program) testCommand() *cobra.Command {
	var f testFlags
	c := &cobra.Command{
		Use: "test [FILE|DIR...]", Short: "Run tests of runbooks, against simulated machines",
		Long:    testHelp(),
		Example: "  runbook test\n  runbook test install_test.star --run 'port|again'\n  runbook test --junit report.xml",
		Args:    operands(0, -1, ""),
		RunE:    func(c *cobra.Command, args []string) error { return p.test(c.Context(), f, args) },
	}
	c.Flags().StringVar(&f.run, "run", "", "only tests whose names match `REGEXP`")
	c.Flags().StringVar(&f.junit, "junit", "", "also write the results to `FILE`, as JUnit's XML")
	c.Flags().BoolVar(&f.verbose, "verbose", false, "name each test, and show what it prints")
	return c
}

// testHelp is the reference of tests: it comes from the builtins that they can call.
func testHelp() string {
	var b strings.Builder
	b.WriteString(`Run the test_ functions in *_test.star files, below the current directory without
operands. A test runs a runbook, or some of its steps, on a simulated machine as a dry
run does, and looks at what became of it. Nothing of this machine is read or changed,
so tests run anywhere and always end the same way:

    def test_port():
        m = machine(os = "debian 12")
        check.eq(m.run("install.star", vars = {"port": 9080}).outcome, "done")
        check.contains(m.read("/etc/site.conf"), "port: 9080")
        check.same(m.run("install.star", vars = {"port": 9080}))

All tests are run. A failure shows its line and what differs. A test may load
lib/x.star, and sees, besides what only computes:
`)
	for _, x := range builtins.Testing() {
		fmt.Fprintf(&b, "\n  %s\n    will %s.\n", signature(x), sentence(x.Summary))
		for _, a := range x.Params() {
			fmt.Fprintf(&b, "      %s: %s\n", a.Name, a.Help)
		}
		for _, d := range x.Detail {
			fmt.Fprintf(&b, "    %s\n", d)
		}
	}
	b.WriteString("\nExit codes: 0 all passed; 1 a test failed; 2 wrong usage, or a file of tests with mistakes.")
	return b.String()
}

// testEnding ends the names of files of tests.
const testEnding = "_test.star"

// A tested file is a file of tests and what became of them.
type testedFile struct {
	name    string // as the person knows it
	err     error  // why it could not be loaded
	results []testResult
	time    time.Duration
}

// A testResult is one test and what became of it.
type testResult struct {
	name    string
	err     error // nil if it passed
	printed []string
	text    string // of the failure, for people
	time    time.Duration
}

// test runs all tests and shows what failed.
func (p *program) test(ctx context.Context, f testFlags, args []string) error {
	hurry()
	chosen, err := regexp.Compile(f.run)
	if err != nil {
		return mistake("", "--run: %w", err)
	}
	names, err := testFiles(args)
	if err != nil {
		return err
	}
	var files []testedFile
	ran, failed, wrong := 0, 0, 0
	for _, name := range names {
		file := p.testFile(ctx, name, chosen, f.verbose)
		files = append(files, file)
		if file.err != nil {
			report(p.err, file.err)
			wrong++
		}
		for _, r := range file.results {
			if ran++; r.err != nil {
				failed++
			}
		}
	}
	if f.junit != "" {
		if err := writeJUnit(f.junit, files); err != nil {
			return err
		}
	}
	return p.concludeTests(f, len(names), ran, failed, wrong)
}

func (p *program) concludeTests(f testFlags, files, ran, failed, wrong int) error {
	if ran == 0 && wrong == 0 {
		return mistake("runbook test --verbose names them all", "no test matches %q in %s", f.run, counted(files, "file"))
	}
	fmt.Fprintf(p.out, "%s in %s: %d passed, %d failed", counted(ran, "test"), counted(files, "file"), ran-failed, failed)
	if wrong > 0 {
		fmt.Fprintf(p.out, ", %s could not be read", counted(wrong, "file"))
	}
	fmt.Fprintln(p.out)
	switch {
	case wrong > 0:
		return exit(2)
	case failed > 0:
		return exit(1)
	}
	return nil
}

// testFiles returns the operands, and in the place of a directory the files of tests below it.
func testFiles(operands []string) (files []string, err error) {
	if len(operands) == 0 {
		operands = []string{"."}
	}
	for _, o := range operands {
		fi, err := os.Stat(o)
		switch {
		case err != nil:
			return nil, mistake("", "%w", err)
		case !fi.IsDir() && !strings.HasSuffix(o, testEnding):
			return nil, mistake("tests are in files called NAME"+testEnding, "%s is no file of tests", o)
		case !fi.IsDir():
			files = append(files, o)
			continue
		}
		before := len(files)
		err = filepath.WalkDir(o, func(name string, e fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return mistake("", "%w", err)
			case e.IsDir() && name != o && passedOver(e.Name()):
				return filepath.SkipDir
			case !e.IsDir() && strings.HasSuffix(name, testEnding):
				files = append(files, name)
			}
			return nil
		})
		if err == nil && len(files) == before {
			err = mistake("write test_ functions into NAME"+testEnding+"; runbook init writes such a file to start from",
				"no *%s files in %s", testEnding, o)
		}
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// testFile runs the chosen tests of one file.
func (p *program) testFile(ctx context.Context, name string, chosen *regexp.Regexp, verbose bool) (file testedFile) {
	file.name = name
	start := p.now()
	defer func() { file.time = p.now().Sub(start) }()
	dir := filepath.Dir(name)
	lib, err := p.libraryAt(dir, filepath.Base(name))
	if err == nil {
		lib, dir, err = p.fromTop(lib, dir)
	}
	if err != nil {
		file.err = err
		return file
	}
	defer lib.close()
	suite, err := p.rt.LoadSuite(lib.Library, lib.name, builtins.Testing())
	if err != nil {
		file.err = placed(dir, err)
		return file
	}
	for _, t := range suite.Tests {
		if !chosen.MatchString(t.Name) {
			continue
		}
		began := p.now()
		r := testResult{name: t.Name}
		r.printed, r.err = t.Do(ctx)
		r.time = p.now().Sub(began)
		if r.err != nil {
			r.text = p.failure(lib, dir, suite, r)
		}
		p.showTest(name, r, verbose)
		file.results = append(file.results, r)
	}
	return file
}

// placed puts a directory before the positions of errors.
func placed(dir string, err error) error {
	var all runtime.Errors
	var one *runtime.Error
	switch {
	case errors.As(err, &all):
	case errors.As(err, &one):
		all = runtime.Errors{one}
	}
	for _, e := range all {
		if e.Pos != "" {
			e.Pos = filepath.Join(dir, e.Pos)
		}
		for i := range e.From {
			e.From[i] = filepath.Join(dir, e.From[i])
		}
	}
	return err
}

// showTest prints a failure; with verbose also what passed.
func (p *program) showTest(file string, r testResult, verbose bool) {
	switch {
	case r.err != nil:
		fmt.Fprintf(p.out, "%s: %s failed\n", trace.Quote(file), r.name)
	case verbose:
		fmt.Fprintf(p.out, "%s: %s passed\n", trace.Quote(file), r.name)
	}
	if r.err != nil || verbose {
		for line := range strings.Lines(strings.Join(append(r.printed, ""), "\n")) {
			fmt.Fprintln(p.out, "  printed: "+trace.Quote(strings.TrimSuffix(line, "\n")))
		}
	}
	for line := range strings.Lines(r.text) {
		fmt.Fprintln(p.out, "  "+trace.Quote(strings.TrimSuffix(line, "\n")))
	}
	if r.err != nil {
		fmt.Fprintln(p.out)
	}
}

// failure is a text about a failed test: where, why, the line, and what differs.
func (p *program) failure(lib *library, dir string, suite *runtime.Suite, r testResult) string {
	var b strings.Builder
	var e *runtime.Error
	if !errors.As(r.err, &e) {
		return r.err.Error()
	}
	at := func(pos string) string {
		if name, _, _ := strings.Cut(pos, ":"); isFile(lib.Dir, name) {
			return filepath.Join(dir, pos)
		}
		return pos // of a shipped file
	}
	fmt.Fprintf(&b, "%s: %s\n", at(e.Pos), runtime.Readable(e.Err.Error()))
	sourceLine(&b, lib, e.Pos, suite.Hide)
	for _, pos := range e.From {
		fmt.Fprintf(&b, "  called from %s\n", at(pos))
	}
	for _, hint := range hints(e) {
		fmt.Fprintf(&b, "  hint: %s\n", runtime.Readable(hint))
	}
	var unequal builtins.Unequal
	if errors.As(r.err, &unequal) && unequal.Long() {
		b.WriteString(udiff.Unified("have", "want", ended(unequal.Have), ended(unequal.Want)))
	}
	why := suite.LastFailure()
	_, first, _ := strings.Cut(firstLineOf(why), ": ") // behind the name of the runbook
	if why != "" && !strings.Contains(b.String(), first) {
		fmt.Fprintf(&b, "the last run that failed: %s\n", strings.ReplaceAll(why, "\n", "\n  "))
	}
	return b.String()
}

func firstLineOf(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// sourceLine writes the line at a position, and marks the column.
func sourceLine(w io.Writer, lib *library, pos string, hide func(string) string) {
	name, rest, _ := strings.Cut(pos, ":")
	var line, column int
	if n, _ := fmt.Sscanf(rest, "%d:%d", &line, &column); n < 2 {
		return
	}
	text, err := fs.ReadFile(lib.Dir, name)
	if err != nil {
		text, err = fs.ReadFile(lib.Shipped, name)
	}
	lines := strings.Split(string(text), "\n")
	if err != nil || line < 1 || line > len(lines) {
		return
	}
	d := runtime.Diagnostic{Start: runtime.Place{Line: line, Column: column}, Line: hide(lines[line-1])}
	d.End = runtime.Place{Line: line, Column: column + 1}
	excerpt(w, d, longestExcerpt)
}
