package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"runbook/builtins"
	"runbook/cmd/runbook/internal/recheck"
	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

const recheckHelp = `Ask this machine again whether what a run made still holds: packages, accounts, services,
ports, crontab lines, rules of the firewall, files with mode, owner and content, trees.

The runbook is not needed and nothing is changed: the same probes ask that the run asked.
What a later effect of the same trace sets counts, what it removed must be absent. Of a
file that line() changed only its lines count. What cannot be asked is listed with the
reason: text of secrets, what the trace does not have, what only root may see. What an
op found as it should be is no effect, so it is not asked: take the trace of the run that
made it.

Trees are compared by the list that the run keeps in TRACE.blobs: names, types, modes,
links, sizes and times, or with --deep digests; where the run knew neither, as of a mirror whose
index has only MD5, that is said: mirror.verify() compares such files with the index.

The exit code is 0, whatever was found; with --exit-code it is 10 if something has drifted: as
of a dry run that means that there are changes to make. A trace that is broken, or of a dry
run, is refused.`

func (p *program) auditRecheck() *cobra.Command {
	var exitCode, asJSON, deep bool
	c := &cobra.Command{
		Use: "recheck TRACE", Short: "Does what a run made still hold? Ask again, without the script",
		Long: recheckHelp,
		Example: "  runbook audit recheck run.jsonl\n  runbook audit recheck run.jsonl --exit-code\n" +
			"  runbook audit recheck run.jsonl --deep --json",
		Args: operands(1, 1, "TRACE"),
		RunE: func(c *cobra.Command, args []string) error {
			hurry()
			r, err := p.recheck(c.Context(), args[0], deep)
			if err != nil {
				return err
			}
			if asJSON {
				err = recheckJSON(p.out, r)
			} else {
				err = recheckText(p.out, r)
			}
			if err == nil && exitCode && len(r.Drifted) > 0 {
				return exit(changesToMake)
			}
			return err
		},
	}
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 10 if something has drifted")
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	c.Flags().BoolVar(&deep, "deep", false, "read the files of trees, too, where the trace has their digests")
	return c
}

// recheck asks this machine whether the claims of the trace called name hold.
func (p *program) recheck(ctx context.Context, name string, deep bool) (r recheck.Report, err error) {
	events, report, bad, err := readVerified(name)
	switch {
	case err != nil:
		return r, err
	case len(report.Broken) > 0 || bad != nil || len(events) == 0 || events[0].Run == nil:
		return r, mistake("see what is wrong: runbook audit verify "+trace.Spaced([]string{name}),
			"trace %s: it is not as it was written, so it cannot tell what to ask", name)
	case events[0].Run.Mode != trace.RealRun:
		return r, mistake("take the trace of a real run; what a plan would change here now is told by runbook run --dry-run",
			"trace %s: a %s has made nothing that could be asked again", name, events[0].Run.Mode)
	}
	if t := report.Trouble(); t != "" { // it ended in the middle
		fmt.Fprintln(p.err, "runbook: trace "+trace.Quote(name)+": "+trace.Quote(t))
	}
	if here, _ := os.Hostname(); events[0].Run.Host.Hostname != here {
		fmt.Fprintf(p.err, "runbook: the run was on a machine called %s; this one is called %s\n",
			trace.Quote(events[0].Run.Host.Hostname), trace.Quote(here))
	}
	return recheckClaims(ctx, name, trace.ClaimsOf(events), deep)
}

// recheckClaims asks this machine for what the trace called name claims.
func recheckClaims(ctx context.Context, name string, claims *trace.Claims, deep bool) (recheck.Report, error) {
	c := recheck.Checker{
		Host: func() host.Reader { return newLocal() }, Fact: builtins.FactCalled, Listing: listings(name), Deep: deep,
	}
	return c.Check(ctx, claims)
}

// listings reads what a run keeps beside its trace of the trees that it made.
func listings(name string) func(digest string) ([]host.Entry, error) {
	return func(digest string) ([]host.Entry, error) {
		text, err := os.ReadFile(filepath.Join(name+".blobs", filepath.Base(digest)))
		if err != nil {
			return nil, err
		}
		list, err := host.ParseList(string(text), digest)
		if err != nil {
			err = runtime.Hint(fmt.Errorf("the list of its files in %s.blobs: %w", name, err), "see who writes there")
		}
		return list, err
	}
}

// recheckText writes a report for people.
func recheckText(w io.Writer, r recheck.Report) error {
	if r.Held+len(r.Drifted)+len(r.Unasked) == 0 {
		_, err := fmt.Fprintln(w, "the run changed nothing, so there is nothing to ask again")
		return err
	}
	fmt.Fprintf(w, "%s, %d drifted, %d could not be asked again\n", countedHeld(r.Held), len(r.Drifted), len(r.Unasked))
	if r.Unread > 0 {
		fmt.Fprintf(w, "of %s in trees only the size was compared: --deep reads them\n", counted(r.Unread, "file"))
	}
	if r.Sized > 0 {
		fmt.Fprintf(w, "of %s in trees only the size could be compared: the trace has no digest of them\n",
			counted(r.Sized, "file"))
	}
	if len(r.Drifted) > 0 {
		fmt.Fprintln(w, "\ndrifted")
	}
	for _, f := range r.Drifted {
		fmt.Fprintln(w, "  "+thing(f))
		fmt.Fprintln(w, "    want "+brief(f.Want))
		fmt.Fprintln(w, "    have "+brief(f.Have))
		fmt.Fprintln(w, "    from "+f.By.String())
	}
	if len(r.Unasked) > 0 {
		fmt.Fprintln(w, "\ncould not be asked again")
	}
	for _, f := range r.Unasked {
		fmt.Fprintln(w, "  "+thing(f)+": "+trace.Quote(f.Why))
	}
	return nil
}

func countedHeld(n int) string {
	if n == 1 {
		return "1 thing holds"
	}
	return fmt.Sprintf("%d things hold", n)
}

// thing is what a finding is about.
func thing(f recheck.Finding) string {
	if f.Attribute == "" {
		return trace.Brief(f.What)
	}
	return trace.Brief(f.What) + "  " + f.Attribute
}

// brief is a value as people see it.
func brief(value string) string {
	if value == "" {
		return "(none)"
	}
	return trace.Brief(value)
}

// recheckJSON writes a report as one JSON object.
func recheckJSON(w io.Writer, r recheck.Report) error {
	type finding struct {
		What      string `json:"what"`
		Attribute string `json:"attribute,omitempty"`
		Want      string `json:"want"`
		Have      string `json:"have"`
		Why       string `json:"why,omitempty"`
		Step      string `json:"step"`
		Op        string `json:"op"`
		Target    string `json:"target"`
		Pos       string `json:"pos"`
	}
	list := func(all []recheck.Finding) []finding {
		out := []finding{}
		for _, f := range all {
			out = append(out, finding{f.What, f.Attribute, f.Want, f.Have, f.Why, f.By.Step, f.By.Op, f.By.Target, f.By.Pos})
		}
		return out
	}
	return writeJSON(w, struct {
		Held    int       `json:"held"`
		Unread  int       `json:"unread"`
		Sized   int       `json:"sized"`
		Drifted []finding `json:"drifted"`
		Unasked []finding `json:"unasked"`
	}{r.Held, r.Unread, r.Sized, list(r.Drifted), list(r.Unasked)})
}
