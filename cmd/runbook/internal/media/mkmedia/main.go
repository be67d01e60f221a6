// Command mkmedia writes test media into a directory, to try an installation by hand: the archives, and below
// installer/ the expanded full archive.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"runbook/cmd/runbook/internal/media"
)

func main() {
	var o media.Options
	flag.BoolVar(&o.Full, "full", false, "the full archive too")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: mkmedia [-full] OUT")
		os.Exit(2)
	}
	m, err := media.Build(flag.Arg(0), o)
	if err == nil {
		err = media.Expanded(filepath.Join(flag.Arg(0), "installer"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mkmedia:", err)
		os.Exit(1)
	}
	fmt.Println(m.Archives)
}
