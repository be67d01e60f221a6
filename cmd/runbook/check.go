package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"runbook/runtime"
	"runbook/runtime/trace"
)

func (p *program) checkCommand() *cobra.Command {
	var format string
	var strict bool
	c := &cobra.Command{
		Use: "check [FILE|DIR...]", Short: "Find mistakes in runbooks, without running anything",
		Long: "Find mistakes in runbooks without running anything: syntax, unknown names and arguments, values that are not\n" +
			"taken, unused loads and vars, functions that are no step. What a runbook itself asks this machine is listed:\n" +
			"query, unless= and wait_for act in a dry run too. Without operands all *.star files below the current directory\n" +
			"are checked, but those in hidden directories, vendor, node_modules and testdata.\n\n" +
			"The exit code is 2 if there are mistakes. A warning is about what runs and is probably not meant: it changes the\n" +
			"exit code only with --strict, and a comment \"# check: allow RULE\" at the end of its line, or above it, says that\n" +
			"it is meant.\n\n" +
			"--format json prints an array of objects with the fields file, line, column, end_line, end_column (from 1, in\n" +
			"characters, the end is behind the last one; all 0: the file as a whole), rule, severity (error or warning),\n" +
			"message and cure. --format sarif prints SARIF 2.1.0, which code hosts show beside the lines.",
		Example: "  runbook check\n  runbook check install.star lib/\n  runbook check --strict --format sarif > check.sarif",
		Args:    operands(0, -1, ""), ValidArgsFunction: p.completeRunbook,
		RunE: func(_ *cobra.Command, args []string) error {
			write, ok := diagnosticFormats[format]
			if !ok {
				return unknown("format", format, []string{"text", "json", "sarif"}, "the formats are: text json sarif")
			}
			hurry()
			files, err := starFiles(args)
			if err != nil {
				return err
			}
			all, err := p.diagnose(files, format == "text")
			if err != nil {
				return err
			}
			err = write(p, all, len(files))
			if slices.ContainsFunc(all, func(d runtime.Diagnostic) bool { return strict || d.Severity == runtime.Wrong }) {
				return exit(2)
			}
			return err
		},
	}
	c.Flags().StringVar(&format, "format", "text", "how to print what is found: text, json or sarif")
	c.Flags().BoolVar(&strict, "strict", false, "exit with 2 if there are warnings, too")
	return c
}

var diagnosticFormats = map[string]func(p *program, all []runtime.Diagnostic, files int) error{
	"text": (*program).diagnosticsText, "json": (*program).diagnosticsJSON, "sarif": (*program).diagnosticsSARIF,
}

// diagnose returns what is wrong with files, in order, each once: several may load the same. It may tell what they ask.
func (p *program) diagnose(files []string, asks bool) (all []runtime.Diagnostic, err error) {
	var found []runtime.Diagnostic // in files of sites, which are held against the runbooks that they can be for
	own := map[string]bool{}
	for _, name := range files {
		lib, dir, err := p.toCheck(name)
		if fi, lerr := os.Lstat(name); err != nil && lerr == nil && fi.Mode()&fs.ModeSymlink != 0 {
			all = append(all, runtime.Diagnostic{File: name, Rule: "unreadable", Severity: runtime.Wrong,
				Message: "a symbolic link that leads nowhere", Cure: "remove it, or make what it names"})
			continue
		}
		if err != nil {
			return nil, err
		}
		if asks {
			p.asks(lib, dir)
		}
		rt := p.rt
		if strings.HasSuffix(name, testEnding) {
			rt = withTests()
		}
		for _, d := range rt.Diagnose(lib.Library, lib.name) {
			d.File, d.From = filepath.Join(dir, d.File), joined(dir, d.From)
			if filepath.Base(name) == siteName && d.File == filepath.Clean(name) {
				own[d.File] = true
				found = append(found, d)
				continue
			}
			all = append(all, d)
		}
		lib.close()
	}
	all = slices.DeleteFunc(all, func(d runtime.Diagnostic) bool { return own[d.File] }) // found with each runbook again
	all = append(all, found...)
	slices.SortFunc(all, runtime.Diagnostic.Compare)
	return slices.CompactFunc(all, func(a, b runtime.Diagnostic) bool { return a.Compare(b) == 0 }), nil
}

// joined returns positions, with commas, as seen from the directory above dir.
func joined(dir, positions string) string {
	if positions == "" {
		return ""
	}
	all := strings.Split(positions, ", ")
	for i, pos := range all {
		all[i] = filepath.Join(dir, pos)
	}
	return strings.Join(all, ", ")
}

// toCheck returns the library of a file, as the runbooks that load it see it, and its directory.
func (p *program) toCheck(operand string) (lib *library, dir string, err error) {
	if fi, serr := os.Stat(operand); serr == nil && !fi.IsDir() && strings.HasSuffix(operand, testEnding) {
		lib, err = p.libraryAt(filepath.Dir(operand), filepath.Base(operand))
	} else {
		lib, err = p.findWithSite(operand, "")
	}
	if err != nil || lib.Dir == nil {
		return lib, "", err
	}
	return p.fromTop(lib, filepath.Dir(operand))
}

func (p *program) asks(lib *library, dir string) {
	for _, q := range p.rt.Questions(lib.Library, lib.name) {
		fmt.Fprintln(p.out, trace.Quote(filepath.Join(dir, q.Pos)+": asks: "+q.Asker+" "+q.Text))
	}
}

// diagnosticsText prints diagnostics for people, with the lines that they are about.
func (p *program) diagnosticsText(all []runtime.Diagnostic, files int) error {
	count := map[runtime.Severity]int{}
	columns := terminalColumns(p.out.file)
	w, most := printable{p.out, columns}, longestExcerpt
	if columns > 0 {
		most = min(most, columnsOf(p.out.file)-4)
	}
	for _, d := range all {
		count[d.Severity]++
		text := placeText(d) + ": " + d.Message
		if d.Severity == runtime.Doubtful {
			text = fmt.Sprintf("%s: warning: %s [%s]", placeText(d), d.Message, d.Rule)
		}
		fmt.Fprintln(w, trace.Quote(text))
		excerpt(p.out, d, most)
		if d.From != "" {
			fmt.Fprintln(w, "  called from "+trace.Quote(d.From))
		}
		if d.Cure != "" {
			fmt.Fprintln(w, "  hint: "+trace.Quote(d.Cure))
		}
	}
	var parts []string
	if n := count[runtime.Wrong]; n > 0 {
		parts = append(parts, counted(n, "mistake"))
	} else {
		parts = append(parts, "no mistakes")
	}
	if n := count[runtime.Doubtful]; n > 0 {
		parts = append(parts, counted(n, "warning"))
	}
	_, err := fmt.Fprintln(p.out, counted(files, "file")+", "+strings.Join(parts, ", "))
	return err
}

func placeText(d runtime.Diagnostic) string {
	if d.Start.Line == 0 {
		return d.File
	}
	return fmt.Sprintf("%s:%d:%d", d.File, d.Start.Line, d.Start.Column)
}

// diagnosticsJSON prints diagnostics for programs.
func (p *program) diagnosticsJSON(all []runtime.Diagnostic, _ int) error {
	type object struct {
		File      string           `json:"file"`
		Line      int              `json:"line"`
		Column    int              `json:"column"`
		EndLine   int              `json:"end_line"`
		EndColumn int              `json:"end_column"`
		Rule      string           `json:"rule"`
		Severity  runtime.Severity `json:"severity"`
		Message   string           `json:"message"`
		Cure      string           `json:"cure"`
	}
	objects := []object{}
	for _, d := range all {
		objects = append(objects, object{d.File, d.Start.Line, d.Start.Column, d.End.Line, d.End.Column,
			d.Rule, d.Severity, d.Message, d.Cure})
	}
	return p.writeJSON(objects)
}

// writeJSON prints a value for programs, with its lines set in.
func (p *program) writeJSON(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, trace.Escape(text), "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = b.WriteTo(p.out)
	return err
}

// starFiles returns the operands, and in the place of a directory the runbooks below it: all *.star files but those of
// hidden directories, module caches and test data. Without operands it is the current directory.
func starFiles(operands []string) (files []string, err error) {
	if len(operands) == 0 {
		operands = []string{"."}
	}
	for _, o := range operands {
		if fi, err := os.Stat(o); err != nil || !fi.IsDir() {
			files = append(files, o) // perhaps the name of a shipped one
			continue
		}
		before := len(files)
		top := o + string(filepath.Separator) + "." // also where o is a link
		err := filepath.WalkDir(top, func(name string, e fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return mistake("", "%w", err)
			case e.IsDir() && name != top && passedOver(name):
				return filepath.SkipDir
			case !e.IsDir() && filepath.Ext(name) == ".star":
				files = append(files, name)
			}
			return nil
		})
		if err == nil && len(files) == before {
			err = mistake("", "no .star files in %s", o)
		}
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// passedOver says which directories hold nothing that a person writes as a runbook: hidden ones, test data, and what
// tools keep for themselves.
func passedOver(dir string) bool {
	base := filepath.Base(dir)
	if strings.HasPrefix(base, ".") || slices.Contains(strings.Fields("testdata node_modules vendor __pycache__"), base) ||
		strings.HasSuffix(filepath.ToSlash(dir), "pkg/mod") {
		return true
	}
	_, err := os.Lstat(filepath.Join(dir, "CACHEDIR.TAG"))
	return err == nil
}

// fromTop returns the library of the directory above lib/ for a file in lib/,
// because the runbooks that load it see it from there. It also returns the directory.
func (p *program) fromTop(lib *library, dir string) (*library, string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil || filepath.Base(abs) != "lib" {
		return lib, dir, err
	}
	lib.close()
	top := filepath.Join(dir, "..")
	lib, err = p.libraryAt(top, "lib/"+lib.name)
	return lib, top, err
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
