package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aymanbagabas/go-udiff"
	"github.com/bazelbuild/buildtools/build"
	"github.com/spf13/cobra"

	"runbook/runtime"
	"runbook/runtime/trace"
)

func (p *program) fmtCommand() *cobra.Command {
	var diff, only bool
	c := &cobra.Command{
		Use: "fmt [FILE|DIR...]", Short: "Format runbooks, as buildifier does",
		Long: "Write runbooks in the usual layout, as buildifier does: indentation, blanks, quotes, the order of loads. Nothing\n" +
			"else changes. Without operands all *.star files below the current directory are formatted.",
		Example: "  runbook fmt\n  runbook fmt -d runbook.star\n  runbook fmt --check .",
		Args:    operands(0, -1, ""),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := starFiles(args)
			if err != nil {
				return err
			}
			differ := 0
			for _, name := range files {
				changed, err := p.format(name, diff, only)
				if err != nil {
					return err
				}
				if changed {
					differ++
				}
			}
			if only && differ > 0 {
				return exit(1)
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&diff, "diff", "d", false, "show what would change, and write nothing")
	c.Flags().BoolVar(&only, "check", false, "only tell which files would change, and exit with 1 if there are any")
	return c
}

// format formats a file, or tells what would change in it.
func (p *program) format(name string, diff, only bool) (changed bool, err error) {
	fi, err := os.Stat(name)
	if err != nil {
		return false, mistake("", "%w", err)
	}
	if err := runtime.TextFile(fi, longestBook); err != nil {
		return false, mistake("", "%s: %w", name, err)
	}
	old, err := os.ReadFile(name)
	if err != nil {
		return false, mistake("", "%w", err)
	}
	text, err := formatted(name, old)
	if err != nil || bytes.Equal(old, text) {
		return false, err
	}
	switch {
	case diff:
		fmt.Fprint(p.out, udiff.Unified(name, name+" formatted", string(old), string(text)))
	case only:
		fmt.Fprintln(p.out, trace.Quote(name))
	default:
		fmt.Fprintln(p.out, trace.Quote(name))
		return true, replaceFile(name, text)
	}
	return true, nil
}

// formatted returns the text of a runbook in the usual layout.
func formatted(name string, text []byte) ([]byte, error) {
	f, err := build.ParseDefault(name, text)
	if err != nil {
		return nil, mistake("see: runbook check "+name, "%w", err)
	}
	return build.Format(f), nil
}

// replaceFile gives a file another text in one moment; it keeps its mode.
func replaceFile(name string, text []byte) error {
	fi, err := os.Stat(name)
	if err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".runbook-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	for _, then := range []func() error{func() error { return f.Chmod(fi.Mode().Perm()) }, f.Sync, f.Close} {
		if e := then(); err == nil {
			err = e
		}
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
