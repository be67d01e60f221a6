package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
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

// replaceFile gives a file, which a link may lead to, another text in one moment; it keeps its mode.
func replaceFile(name string, text []byte) error {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Dir(real))
	if err != nil {
		return err
	}
	defer root.Close()
	return replaceBelow(root, filepath.Base(real), text)
}

// replaceBelow gives a file below root a text in one moment. It keeps the mode of one that is there. Processes that do
// so in one directory, or with one file, at the same time are not in each other's way.
func replaceBelow(root *os.Root, name string, text []byte) error {
	mode := fs.FileMode(0o644)
	if fi, err := root.Lstat(name); err == nil && fi.Mode().IsRegular() {
		mode = fi.Mode().Perm()
	}
	part := filepath.Join(filepath.Dir(name), fmt.Sprintf(".%s.%d.runbook-part", filepath.Base(name), os.Getpid()))
	if err := root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) { // of one with this number that was killed
		return err
	}
	f, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = root.Rename(part, name)
	}
	if err != nil {
		err = errors.Join(err, root.Remove(part))
	}
	return err
}
