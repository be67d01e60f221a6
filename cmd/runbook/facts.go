package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"runbook/builtins"
	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// factsFlags are the flags of facts.
type factsFlags struct {
	inputFlags
	out, state string
	include    []string
	quiet      bool
}

const factsHelp = `Write down what this machine answers to runbooks, for planning elsewhere.

Dry runs of each FILE, without FILE of all shipped runbooks, are made, also with
other values of vars that have choices and of each step by itself. What they ask
of the machine and what it answers becomes one file, with accounts, packages,
services, crontabs, firewall, ports and disk space in any case. Nothing is
changed, and no other machine is asked. Elsewhere

  runbook run FILE --dry-run --host SNAPSHOT

makes the same plan as a dry run here, and reads nothing of the machine it is
made on. A plan from there can be followed here.

The snapshot is for you only (0600). It does not have what files hold that others may
not read, unless --include names them, nor tokens in URLs; what was left out is
listed. What commands answered, such as crontabs, is in it as it is. Its name may end in .gz.`

func (p *program) factsCommand() *cobra.Command {
	f := factsFlags{}
	c := &cobra.Command{
		Use: "facts [FILE...]", Short: "Write a snapshot of this machine, for planning elsewhere", Long: factsHelp,
		Example: "  runbook facts -o web01.facts\n  runbook facts install.star --var airgap=true -o web01.facts.gz",
		RunE: func(c *cobra.Command, args []string) error {
			return p.facts(c.Context(), f, args)
		},
	}
	f.inputFlags.add(c, p)
	c.Flags().StringVarP(&f.out, "output", "o", "", "write to `FILE`, which is replaced, instead of standard output")
	c.Flags().StringVar(&f.state, "state", "",
		"`DIR` for lock, markers and traces (default "+p.rootState+" for root, else below ~/.local/state)")
	c.Flags().StringArrayVar(&f.include, "include", nil,
		"keep also what files at or below `PATH` hold that others may not read; repeatable; never keys and /etc/shadow")
	c.Flags().BoolVar(&f.quiet, "quiet", false, "do not say what was left out")
	return c
}

// facts writes a snapshot of this machine.
func (p *program) facts(ctx context.Context, f factsFlags, files []string) error {
	dir, err := p.stateAt(f.state)
	if err != nil {
		return err
	}
	began := p.now()
	s := &survey{
		session: &session{program: p, state: dir, local: newLocal(), digests: &host.Digests{}}, inputs: f.inputFlags,
	}
	s.recorder = host.NewRecorder(s.local, dir.made())
	s.recorder.Include = f.include
	ctx, stop := s.interruptible(ctx, false)
	defer stop()
	builtins.Survey(ctx, s.recorder)
	for _, file := range files {
		if err := s.explore(ctx, file); err != nil {
			return err
		}
	}
	if len(files) == 0 {
		for _, file := range p.shippedNames() {
			_ = s.explore(ctx, file) // one that wants more vars cannot be planned for without
		}
	}
	if err := s.recorder.Ports(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	about := facts{
		Time: began.UTC().Format(time.RFC3339), Version: version(), Host: machine(), State: string(dir), Previous: dir.head(),
		User: trace.Person{Name: userName(), SudoUser: os.Getenv("SUDO_USER")}, Runbooks: s.names, LeftOut: s.recorder.LeftOut(),
	}
	if err := p.writeFacts(f.out, func(w io.Writer) error { return s.recorder.Write(w, about) }); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if !f.quiet {
		tellLeftOut(p.err, about.LeftOut)
	}
	return nil
}

func tellLeftOut(w io.Writer, all []string) {
	const shown = 20
	for i, l := range all {
		if i == shown {
			fmt.Fprintf(w, "runbook: left out: %d more, see left_out in the first line\n", len(all)-shown)
			return
		}
		fmt.Fprintln(w, "runbook: left out: "+trace.Quote(l))
	}
}

// writeFacts has write write to a file that only its owner can read, and that gets its name when it is whole.
func (p *program) writeFacts(name string, write func(io.Writer) error) error {
	if name == "" {
		return write(p.out)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if strings.HasSuffix(name, ".gz") {
		z := gzip.NewWriter(f)
		err = errors.Join(write(z), z.Close())
	} else {
		err = write(f)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// A survey is the work of facts.
type survey struct {
	*session
	inputs   inputFlags
	recorder *host.Recorder
	names    []string // of runbooks
}

// mostVariants is how many other choices of vars are tried for a runbook.
const mostVariants = 60

// explore has the machine asked all that dry runs of a runbook come to.
func (s *survey) explore(ctx context.Context, file string) error {
	l, err := s.load(file, s.inputs)
	if err != nil {
		return err
	}
	s.names = append(s.names, l.book.Name)
	s.dryRuns(ctx, l.book)
	for _, vars := range variants(l.book.Vars) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		with := s.inputs
		with.vars = slices.Concat(with.vars, vars)
		if l, err := s.load(file, with); err == nil {
			s.dryRuns(ctx, l.book)
		}
	}
	return nil
}

// variants returns other values of vars that have few: each by itself, then each two of different vars.
func variants(vars []runtime.Var) (all [][]string) {
	others := map[string][]string{}
	for _, v := range vars {
		choices := v.Choices
		if v.Type == "bool" {
			choices = []string{"true", "false"}
		}
		for _, c := range choices {
			if v.From == "default" && c != fmt.Sprint(v.Value) {
				others[v.Name] = append(others[v.Name], v.Name+"="+c)
			}
		}
	}
	names := slices.Sorted(maps.Keys(others))
	for _, n := range names {
		for _, o := range others[n] {
			all = append(all, []string{o})
		}
	}
	for i, n := range names {
		for _, m := range names[:i] {
			all = append(all, []string{others[n][0], others[m][0]})
		}
	}
	return all[:min(len(all), mostVariants)]
}

// dryRuns plans a runbook, then each of its steps as if there were no other. How these end is not asked: what was read
// until then is kept. A run that has secrets reads more: it looks for them in what it reads. No command gets those that
// are made up here.
func (s *survey) dryRuns(ctx context.Context, book *runtime.Runbook) {
	o := s.options(trace.DryRun)
	run := func(only string) {
		o.Select = func(step runtime.Step) (bool, string) { return only == "" || step.Name == only, "not now" }
		ctx, free := context.WithCancel(ctx)
		defer free()
		new(session).keeper(&o, nil) // a plan asks what it could put back, too
		_ = runtime.Planned(s.recorder, o).Do(ctx, book)
	}
	run("")
	o.Secrets = map[string]string{}
	for _, d := range book.Secrets {
		if d.Asked {
			o.Secrets[d.Name] = "made-up-for-facts-" + d.Name
		}
	}
	if len(o.Secrets) > 0 {
		run("")
	}
	for _, step := range book.Steps {
		run(step.Name)
	}
}
