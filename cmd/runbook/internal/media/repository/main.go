// Command repository stands in for the programs of Anaconda Repository on test media. Its first argument says which:
// config, create-user, db-setup, sync-conda or serve; the packages hold a script for each under the vendor's name.
//
// Two things to know: it keeps its state where the real ones do (config.yaml, the database, the package storage); and
// it refuses what they refuse: a configuration that exists, a user that exists, a database that nobody runs.
package main

import (
	"flag"
	"fmt"
	"os"
)

// configFile is where the commands look unless told otherwise.
const configFile = "/etc/anaconda-server/config.yaml"

// Exit codes: 0 done, 1 refused, 2 wrong usage.
func main() {
	commands := map[string]func([]string) error{
		"config": configure, "create-user": createUser, "db-setup": setUpDatabase, "sync-conda": syncConda, "serve": serve,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: anaconda-server {config|create-user|db-setup|sync-conda|serve} ...")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// newFlags is for a command line that ends the program with 2 when it is wrong, or holds more than flags.
func newFlags(name string) (flags *flag.FlagSet, parse func([]string)) {
	flags = flag.NewFlagSet("anaconda-server-"+name, flag.ExitOnError)
	return flags, func(args []string) {
		flags.Parse(args)
		if flags.NArg() > 0 {
			fmt.Fprintf(os.Stderr, "unrecognized arguments: %s\n", flags.Arg(0))
			os.Exit(2)
		}
	}
}
