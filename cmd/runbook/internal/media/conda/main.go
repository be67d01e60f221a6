// Command conda stands in for conda 4.1 on test media: `conda --version`, `list`, `config` and `install`, with the
// options, files, output and refusals that unattended installation meets. It is PREFIX/bin/conda of the prefix that
// it manages.
//
// Two things to know: it reads repodata.json and .tar.bz2 packages only, from file and http URLs; and its solver
// takes the newest match of each specification without ever going back, which is enough for channels without conflicts.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Exit codes are conda's: 1 for whatever went wrong, 2 for a wrong command line.
func main() {
	exe, err := os.Executable()
	if err == nil {
		err = run(filepath.Dir(filepath.Dir(exe)), os.Args[1:])
	}
	var usage usageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "usage: conda [-h] [-V] command ...\nconda: error: %s\n", usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// version is that of the manual's time.
const version = "4.1.11"

type usageError string

func (e usageError) Error() string { return string(e) }

func run(prefix string, args []string) error {
	if len(args) == 0 {
		return usageError("too few arguments")
	}
	switch args[0] {
	case "-V", "--version":
		fmt.Fprintln(os.Stderr, "conda "+version) // to standard error, as Python 2's argparse does
		return nil
	case "list":
		return list(prefix, args[1:])
	case "config":
		return config(prefix, args[1:])
	case "install":
		return install(prefix, args[1:])
	}
	return usageError(fmt.Sprintf("invalid choice: '%s'", args[0]))
}

// options sorts args: names maps each option, long or short, to one name; those in values take a value.
func options(args []string, names map[string]string,
	values string) (set map[string][]string, rest []string, err error) {
	set = map[string][]string{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if !strings.HasPrefix(arg, "-") {
			rest = append(rest, arg)
			continue
		}
		option, value, inline := strings.Cut(arg, "=")
		name, known := names[option]
		if !known {
			return nil, nil, usageError("unrecognized arguments: " + arg)
		}
		if strings.Contains(values, " "+name+" ") && !inline {
			if len(args) == 0 {
				return nil, nil, usageError("argument " + option + ": expected one argument")
			}
			value, args = args[0], args[1:]
		}
		set[name] = append(set[name], value)
	}
	return set, rest, nil
}
