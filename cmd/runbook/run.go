package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"runbook/runtime"
	"runbook/runtime/fetch"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// runFlags are the flags of run.
type runFlags struct {
	inputFlags
	selection
	secrets, acks                 []string
	trace, follow, format, ticket string
	state, policy, metrics        string
	host, hosts                   string
	dryRun, exitCode, yes, edited bool
	noProbes, again, byHand       bool
	confine                       confining
	approvals                     count
	confirmWithin                 time.Duration
	signers                       signersAt
	noColor, quiet, verbose       bool
}

const runHelp = `Run the steps of a runbook on this machine.

Each step is checked first, and only what differs is changed: a second run changes
nothing, and a run that failed or was interrupted can be started again. FILE is
looked up as a path, then with .star added, then among the shipped runbooks.

Vars, first found wins: --var, RUNBOOK_VAR_NAME in the environment, --vars, the
default. A secret comes from --secret, from a --vars file that only you can read,
or is asked for on the terminal; a dry run never asks.

With --follow the runbook's files, vars and host must be those of the approved trace,
and a dry run must equal it, what is read from local files included; then each effect
is compared before it happens. With --approvals N it must have been approved by N people
whose keys --signers lists (runbook help audit approve). A plan that was followed to its
end is not followed again without --again.

With --dry-run --host SNAPSHOT the plan is made for another machine, from what that
answered (runbook help facts), and can be followed there; with --hosts DIR for each in
a directory: those with one plan are told together.

A real run ends with the head of its trace in short, which it also gives to syslog:
kept elsewhere, it shows later that nobody has written another trace.

With --confine the kernel keeps the plan: see runbook help confine.

With --by-hand a person makes the changes: each is shown as commands to be typed in
another terminal, and the run looks at what they left before it shows the next one.

What an op changed is told in a line. What that leaves out is counted, and is in the
trace: runbook audit show TRACE. A dry run and --verbose tell all of it.

What a run changes is kept as it was, and can be put back: runbook help undo. With
--confirm-within it is put back unless somebody says runbook confirm in time.

Interrupt (Ctrl-C) ends the command under way, then the run; a package manager is
waited for. A terminal that goes away does not end a run.

Exit codes: 0 done; 1 a step failed; 2 wrong usage, or a runbook with mistakes;
3 vars missing or wrong, or preflight checks not met; 4 a person is needed;
5 the run differs from the trace it follows; 10 (--exit-code) there are changes to
make; 130 interrupted.`

const runExample = `  runbook run install.star --dry-run --trace plan.jsonl
  runbook run install.star --follow plan.jsonl --ticket CHG-4711
  runbook run install.star --follow plan.jsonl --approvals 2 --signers signers
  runbook run install.star --secret superuser_password=file:/root/pw
  runbook run install.star --from mongodb --skip port80`

func (p *program) runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use: "run FILE", Short: "Run a runbook on this machine", Long: runHelp, Example: runExample,
		Args: operands(1, 1, "FILE"), ValidArgsFunction: p.completeRunbook,
		RunE: func(c *cobra.Command, args []string) error { return p.run(c.Context(), f, args[0]) },
	}
	f.add(c, p)
	return c
}

// add adds the flags to those of c.
func (f *runFlags) add(c *cobra.Command, p *program) {
	f.inputFlags.add(c, p)
	f.selection.add(c)
	fl := c.Flags()
	fl.StringArrayVar(&f.secrets, "secret", nil,
		"where a secret comes from: `NAME=file:PATH`, NAME=env:VARIABLE or NAME=cmd:COMMAND; repeatable")
	fl.BoolVar(&f.dryRun, "dry-run", false, "change nothing, tell what would be changed")
	fl.BoolVar(&f.exitCode, "exit-code", false, "with --dry-run: exit with 10 if there are changes to make")
	fl.BoolVar(&f.noProbes, "no-probes", false, "with --dry-run: run nothing that the runbook asks; assume= answers")
	fl.StringVar(&f.host, "host", "",
		"with --dry-run: plan for the machine of `SNAPSHOT`, which runbook facts made there, and read nothing of this one")
	fl.StringVar(&f.hosts, "hosts", "",
		"with --dry-run: plan for the machine of each snapshot in `DIR`, and show which plans are alike")
	fl.StringVar(&f.trace, "trace", "", "write the trace to `FILE`, which must not exist")
	fl.StringVar(&f.follow, "follow", "", "do what the approved `TRACE` has, and nothing else")
	fl.Var(&f.approvals, "approvals",
		"with --follow: the plan must have `N` valid approvals; see: runbook help audit approve")
	fl.BoolVar(&f.again, "again", false, "with --follow: the plan may have been followed to its end before")
	f.signers.add(c, "with --approvals: whose approval counts")
	fl.BoolVar(&f.edited, "accept-sources", false,
		"with --follow: the runbook's files may differ from those of the approved trace")
	fl.StringVar(&f.policy, "policy", "",
		"`FILE` of functions that allow, deny or want approval of ops and effects; see: runbook help audit check")
	fl.StringVar(&f.metrics, "metrics", "",
		"write how the run ended to `FILE`, for node_exporter's textfile collector; a dry run does, too; "+
			"give each check a FILE of its own, also those of one runbook with other vars")
	fl.StringVar(&f.format, "format", "text", "standard output: `text`, json (the events) or sh (a shell transcript)")
	fl.BoolVar(&f.byHand, "by-hand", false,
		"show each change as commands for a person, and look at what they left before the next one")
	fl.DurationVar(&f.confirmWithin, "confirm-within", 0,
		"undo the run unless somebody says runbook confirm within this `DURATION` of its end, such as 10m; "+
			"see: runbook help confirm")
	f.confine.add(fl)
	fl.BoolVar(&f.yes, "yes", false, "answer every confirmation with yes")
	fl.StringSliceVar(&f.acks, "ack", nil, "say that the manual step `NAME` is done; repeatable, or with commas")
	fl.StringVar(&f.ticket, "ticket", "", "change ticket or reason, kept in the trace")
	fl.StringVar(&f.state, "state", "",
		"`DIR` for lock, markers and traces (default "+p.rootState+" for root, else below ~/.local/state)")
	fl.BoolVar(&f.noColor, "no-color", false, "no colours; so do NO_COLOR and output that is no terminal")
	fl.BoolVar(&f.quiet, "quiet", false, "show only what changes or fails, and the summary")
	fl.BoolVar(&f.verbose, "verbose", false, "show also manual texts, effects, all that changes and what commands print")
}

// check refuses flags that do not go together.
func (f runFlags) check() error {
	var problems []error
	if !contains([]string{"text", "json", "sh"}, f.format) {
		problems = append(problems,
			unknown("format", f.format, []string{"text", "json", "sh"}, "want text, json or sh"))
	}
	if f.exitCode && !f.dryRun {
		problems = append(problems,
			mistake("a real run makes the changes: its exit code is 0 then", "--exit-code needs --dry-run"))
	}
	if f.edited && f.follow == "" {
		problems = append(problems, mistake("name the approved trace: --follow TRACE", "--accept-sources needs --follow"))
	}
	if f.again && f.follow == "" {
		problems = append(problems, mistake("name the approved trace: --follow TRACE", "--again needs --follow"))
	}
	problems = append(problems, f.checkApprovals())
	if f.confirmWithin != 0 && f.confirmWithin < time.Second {
		problems = append(problems, mistake("write --confirm-within 10m",
			"--confirm-within %s: nobody can confirm within that", f.confirmWithin))
	}
	if f.byHand && f.dryRun {
		problems = append(problems,
			mistake("leave one of them out", "--by-hand goes with a real run: a dry run changes nothing"))
	}
	if f.byHand && f.confine != "" {
		problems = append(problems,
			mistake("leave one of them out", "--by-hand runs no commands that --confine could confine"))
	}
	if f.noProbes && !f.dryRun {
		problems = append(problems, mistake("a real run needs the answers", "--no-probes needs --dry-run"))
	}
	problems = append(problems, f.checkHosts())
	if f.quiet && f.verbose {
		problems = append(problems, mistake("give one of them", "--quiet and --verbose contradict each other"))
	}
	return errors.Join(problems...)
}

// run executes a runbook, writes down how that ended, and serves what the run asked for.
func (p *program) run(ctx context.Context, f runFlags, file string) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.hosts != "" {
		return p.planAll(ctx, f, file)
	}
	m, err := p.newMetrics(f, file)
	if err != nil {
		return err
	}
	s, err := p.prepare(f, file)
	switch {
	case err != nil:
	case f.dryRun:
		err = s.dryRun(ctx)
	default:
		err = s.realRun(ctx)
	}
	report(p.err, m.write(s, err))
	if err != nil || f.dryRun {
		return err
	}
	return s.serveAfter(ctx)
}

// prepare loads the runbook and checks the whole command line against it.
func (p *program) prepare(f runFlags, file string) (*session, error) {
	l, err := p.loadWith(file, f)
	return p.prepareLoaded(f, file, l, err)
}

// prepareLoaded is prepare for a runbook that was loaded, perhaps with an error.
func (p *program) prepareLoaded(f runFlags, file string, l loaded, err error) (*session, error) {
	go p.digest() // the first event waits for it
	if err != nil && (l.book == nil || runtime.ClassOf(err) != runtime.Input) {
		return nil, err
	}
	sources, serr := secretSources(f.secrets, l.book)
	if err := errors.Join(serr, f.selection.check(l.book), checkAcks(f.acks, l.book), err); err != nil {
		return nil, err // names that are unknown come before vars that are missing
	}
	if len(l.book.Steps) == 0 {
		return nil, mistake("make its functions steps: step(install)",
			"%s declares no step: there is nothing to do", l.book.Name)
	}
	var plan *plan
	if f.follow != "" {
		if plan, err = readPlan(f.follow, "--follow"); err != nil {
			return nil, err
		}
	}
	var police *policing
	if f.policy != "" {
		policy, err := p.policyAt(f.policy)
		if err != nil {
			return nil, err
		}
		police = &policing{policy: policy, dry: f.dryRun}
	}
	dir, err := p.stateAt(f.state)
	if err != nil {
		return nil, err
	}
	var there *planned
	if f.host != "" {
		if there, err = readPlanned(&host.Shelf{}, f.host); err != nil {
			return nil, err
		}
	}
	setTitle(p.argv, p.argv[0]+" run "+file)
	return &session{
		program: p, flags: f, loaded: l, sources: sources, plan: plan, state: dir, local: newLocal(), police: police,
		console: newConsole(p.in, p.err), digests: &host.Digests{}, planned: there,
	}, nil
}

// newLocal returns this machine.
func newLocal() *host.Local {
	local := host.NewLocal("/")
	local.Net, local.Helper = fetch.New().Get, "/proc/self/exe"
	return local
}

func checkAcks(acks []string, book *runtime.Runbook) error {
	var names []string
	for _, s := range book.Steps {
		if s.Manual {
			names = append(names, s.Name)
		}
	}
	var problems []error
	for _, a := range acks {
		if !contains(names, a) {
			problems = append(problems, unknown("manual step", a, names, "the manual steps are: "+strings.Join(names, " ")))
		}
	}
	return errors.Join(problems...)
}

func verify(name string) (trace.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return trace.Report{}, mistake("", "trace: %w", err)
	}
	defer f.Close()
	return trace.Verify(f)
}
