package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"runbook/runtime/trace"
)

func (p *program) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check [FILE|DIR...]", Short: "Find mistakes in runbooks, without running anything",
		Long: "Find mistakes in runbooks without running anything: syntax, unknown names and arguments, unused loads\n" +
			"and vars, functions that are no step. What a runbook itself asks this machine\n" +
			"is listed: query, unless= and wait_for act in a dry run too. Without operands all *.star files below the\n" +
			"current directory are checked. The exit code is 2 if there are any.",
		Example: "  runbook check\n  runbook check install.star lib/",
		Args:    operands(0, -1, ""), ValidArgsFunction: p.completeRunbook,
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := starFiles(args)
			if err != nil {
				return err
			}
			found := 0
			for _, name := range files {
				n, err := p.check(name)
				if err != nil {
					return err
				}
				found += n
			}
			if found > 0 {
				return exit(2)
			}
			fmt.Fprintln(p.out, counted(len(files), "file")+", no mistakes")
			return nil
		},
	}
}

// check prints the mistakes in a file, and returns their number.
func (p *program) check(operand string) (found int, err error) {
	lib, err := p.findWithSite(operand, "")
	if err != nil {
		return 0, err
	}
	dir := ""
	if lib.Dir != nil {
		lib, dir, err = p.fromTop(lib, filepath.Dir(operand))
	}
	if err != nil {
		return 0, err
	}
	defer lib.close()
	return p.checkIn(lib, dir), nil
}

// starFiles returns the operands, and in the place of a directory the runbooks below it: all *.star files but those of
// tests, of hidden directories, module caches and test data. Without operands it is the current directory.
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
		err := filepath.WalkDir(o, func(name string, e fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return mistake("", "%w", err)
			case e.IsDir() && name != o && passedOver(e.Name()):
				return filepath.SkipDir
			case !e.IsDir() && filepath.Ext(name) == ".star" && !strings.HasSuffix(name, "_test.star"):
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

// passedOver says which directories hold nothing that a person writes as a runbook.
func passedOver(dir string) bool {
	return strings.HasPrefix(dir, ".") || dir == "testdata" || dir == "node_modules" || dir == "vendor"
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

func (p *program) checkIn(lib *library, dir string) int {
	for _, q := range p.rt.Questions(lib.Library, lib.name) {
		fmt.Fprintln(p.out, trace.Quote(filepath.Join(dir, q.Pos)+": asks: "+q.Asker+" "+q.Text))
	}
	problems := p.rt.Check(lib.Library, lib.name)
	for _, e := range problems {
		line := filepath.Join(dir, e.Pos) + ": " + e.Err.Error()
		if hint := e.Hint(); hint != "" {
			line += " (" + hint + ")"
		}
		fmt.Fprintln(p.out, trace.Quote(line))
	}
	return len(problems)
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
