// Command runbook runs installation manuals that are programs.
//
// Each subcommand is a file; run also uses execute and the files named for what a
// run needs: selection, inputs, secrets, person, state, record, signals. Two things
// to know: whether a run is a dry run is chosen here, in execute.go, and nowhere
// below; and errors are printed in one place, report.go.
//
// It calls builtins, runbooks and the runtime packages; nothing calls it.
package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"runbook/builtins"
	"runbook/runbooks"
	"runbook/runtime"
	"runbook/runtime/host"
)

func main() {
	host.MaybeConfine()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // hosts are small, and little is allocated in large runs
	}
	quietly()
	os.Exit(newProgram().main(os.Args[1:]))
}

// A program is what the subcommands share.
type program struct {
	in        *os.File
	out       *stdout
	err       io.Writer
	argv      []string // as the kernel knows it; see setTitle
	now       func() time.Time
	rt        *runtime.Runtime
	shipped   fs.FS
	rootState string        // state directory of root
	syslog    string        // socket of the system's log
	digest    func() string // of the program's file; it is computed once
}

// hurry lets memory grow in a command that is over soon: there is little to gain from collecting it.
func hurry() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

func newProgram() *program {
	p := &program{
		in: os.Stdin, out: &stdout{file: os.Stdout}, err: printable{os.Stderr, terminalColumns(os.Stderr)}, argv: os.Args,
		now: time.Now, rt: runtime.New(builtins.All()...), shipped: runbooks.FS,
		rootState: "/var/lib/runbook", syslog: "/dev/log",
		digest: sync.OnceValue(programDigest),
	}
	p.rt.GiveUp = func(err error) {
		report(p.err, err)
		os.Exit(exitCode(err))
	}
	return p
}

// main runs a command line and returns the exit code.
func (p *program) main(args []string) (code int) {
	defer func() {
		if v := recover(); v != nil {
			report(p.err, runtime.Internal(v))
			code = 1
		}
	}()
	own := []string{} // which setTitle does not reach
	for _, a := range args {
		own = append(own, strings.Clone(a))
	}
	root := p.rootCommand()
	root.SetArgs(own)
	err := root.ExecuteContext(context.Background())
	lost := p.out.lost()
	if lost != nil && errors.Is(err, p.out.err) {
		err = nil // it says the same
	}
	report(p.err, err)
	report(p.err, lost)
	if code := exitCode(err); lost == nil || code != 0 && code != changesToMake {
		return code
	}
	return exitCode(lost)
}

func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "runbook",
		Short:         "Run installation manuals that are programs",
		Long:          "runbook runs installation manuals that are programs: every step is checked first, and only what differs is changed.",
		Example:       "  runbook run install.star --dry-run          what would be changed here\n  runbook run install.star                    change it\n  runbook show install.star                   what can be set, and the steps\n  runbook help language                       how runbooks are written",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          subcommandOnly,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetOut(p.out)
	root.SetErr(p.err)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(p.runCommand(), p.showCommand(), p.docCommand(), p.checkCommand(), p.fmtCommand(),
		p.testCommand(), p.initCommand(), p.diffCommand(), p.builtinsCommand(), p.lspCommand(), p.replCommand(),
		p.auditCommand(), p.undoCommand(), p.confirmCommand(), p.awaitCommand(), p.whyCommand(), p.factsCommand(),
		p.serveCommand(), p.versionCommand())
	root.SetHelpFunc(p.showHelp)
	root.SetHelpCommand(p.helpCommand())
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args, c.RunE = subcommandOnly, func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
	return root
}
