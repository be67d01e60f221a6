package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"runbook/runtime"
	"runbook/runtime/trace"
	"runbook/runtime/trace/review"
)

func (p *program) auditCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "audit", Short: "Verify, show, compare, sign and judge traces", Long: "Verify, show, compare, sign and judge traces of runs and dry runs.",
		Args: subcommandOnly, RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(p.auditVerify(), p.auditShow(), p.auditDiff(), p.auditCheck(), p.auditRecheck(),
		p.auditSign(), p.auditApprove(), p.auditReport(), p.auditSchema())
	return c
}

func (p *program) auditVerify() *cobra.Command {
	var head string
	var at signersAt
	c := &cobra.Command{
		Use: "verify TRACE", Short: "Is a trace whole and unaltered; what is proved and what is not",
		Long: "Compute anew all that a trace says of itself, and say what that proves and what it cannot. A signature\n" +
			"beside it, TRACE.sig, and approvals in TRACE.approvals/ are checked. The exit code is 1 unless the trace is whole\n" +
			"and unaltered; with --signers, if nobody of that file has signed or approved it; with --head, if its head is another.",
		Example: "  runbook audit verify plan.jsonl\n  runbook audit verify run.jsonl --signers allowed_signers\n" +
			"  runbook audit verify run.jsonl --head 3f2a-91bc-77de-0a44-91c3",
		Args: operands(1, 1, "TRACE"),
		RunE: func(_ *cobra.Command, args []string) error {
			report, err := verify(args[0])
			if err != nil {
				return err
			}
			err = p.witnesses(&report, args[0], head, at)
			fmt.Fprint(p.out, report.String())
			if err == nil && !report.OK() {
				return exit(1)
			}
			return err
		},
	}
	c.Flags().StringVar(&head, "head", "", "the head that was kept elsewhere, `HEX`, or in short as a run shows it")
	at.add(c, "whose signature beside the trace is accepted")
	return c
}

func (p *program) auditShow() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "show TRACE", Short: "Print a trace for people",
		Long: "Print a trace. As text and md, what is relevant to security, assumed or unknown stands before the steps; sh is a\n" +
			"script of the same commands, json the lines of the trace.",
		Example: "  runbook audit show plan.jsonl\n  runbook audit show plan.jsonl --format md >plan.md",
		Args:    operands(1, 1, "TRACE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if !contains(trace.Formats(), format) {
				return unknown("format", format, trace.Formats(), "the formats are: "+strings.Join(trace.Formats(), " "))
			}
			events, verified, bad, err := readVerified(args[0])
			if err != nil {
				return err
			}
			trouble := troubleOf(verified, bad)
			if err := p.show(events, verified, trouble, format); err != nil || trouble.broken {
				return errors.Join(err, trouble.err(args[0]))
			}
			report(p.err, trouble.err(args[0]))
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", "text", "`text`, sh, json or md")
	return c
}

// show prints a trace. What is wrong with it stands at the beginning of what people
// read, or at the end of a script.
func (p *program) show(events []trace.Event, verified trace.Report, t trouble, format string) error {
	columns := terminalColumns(p.out.file)
	if format != "text" && format != "md" {
		err := trace.Show(p.out, events, format, columns)
		if t.text != "" && format == "sh" {
			fmt.Fprintf(p.out, "# %s\n", t.text)
		}
		return err
	}
	told, err := review.Of(events, verified)
	if err != nil {
		return err
	}
	told.Trouble = t.text
	if format == "md" {
		return told.Write(p.out, format)
	}
	if t.text != "" {
		fmt.Fprintf(p.out, "%s\n\n", t.text)
	}
	return told.Text(p.out, columns)
}

// A trouble is why a trace is not to be relied on; text is "" if it is.
type trouble struct {
	text   string
	broken bool // not only incomplete
}

// err returns what is wrong with the trace called name, nil if nothing is.
func (t trouble) err(name string) error {
	if t.text == "" {
		return nil
	}
	return runtime.Hint(fmt.Errorf("trace %s: %s", name, t.text), "see: runbook audit verify "+name)
}

// readTrace returns the events of a trace, up to the first line that is none, and what
// is wrong with it.
func readTrace(name string) ([]trace.Event, trouble, error) {
	events, report, bad, err := readVerified(name)
	return events, troubleOf(report, bad), err
}

// troubleOf says what is wrong with a trace. bad is nil, or says which line is no event.
func troubleOf(report trace.Report, bad error) trouble {
	t := trouble{report.Trouble(), len(report.Broken) > 0}
	if bad != nil {
		t.text += ", and nothing is shown from there: " + bad.Error()
	}
	return t
}

// readVerified returns the events of a trace, what it proves of itself, and why there may be lines behind the last
// event. It reads the file once: it may be a pipe, and what was verified is what is returned.
func readVerified(name string) (events []trace.Event, report trace.Report, bad, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, report, nil, mistake("", "trace: %w", err)
	}
	defer f.Close()
	var text bytes.Buffer
	if report, err = trace.Verify(io.TeeReader(f, &text)); err != nil {
		return nil, report, nil, err
	}
	events, bad = trace.ReadAll(&text)
	return events, report, bad, nil
}

func (p *program) auditDiff() *cobra.Command {
	verbose := false
	c := &cobra.Command{
		Use: "diff A B", Short: "Compare two traces effect by effect",
		Long: "Compare two traces by their steps, ops, effects and results, and show the first difference.\n" +
			"Times, positions, and what was only observed or assumed, are left out. The exit code is 1 if they differ,\n" +
			"or if one of them is broken or without an end.",
		Example: "  runbook audit diff plan.jsonl run.jsonl\n  runbook audit diff --verbose plan.jsonl run.jsonl",
		Args:    operands(2, 2, "a TRACE"),
		RunE: func(_ *cobra.Command, args []string) error {
			a, troubleA, err := readTrace(args[0])
			if err != nil {
				return err
			}
			b, troubleB, err := readTrace(args[1])
			if err != nil {
				return err
			}
			d := trace.Diff(a, b)
			text := d.String()
			if verbose {
				text = d.Explained()
			}
			troubled := false
			for i, t := range []trouble{troubleA, troubleB} {
				if t.text != "" {
					troubled = true
					fmt.Fprintf(p.out, "%c  %s; see: runbook audit verify %s\n", 'A'+i, trace.Quote(t.text), trace.Quote(args[i]))
				}
			}
			if d.Equal && troubled {
				text = "as far as they go, they are alike"
			}
			fmt.Fprintln(p.out, text)
			if !d.Equal {
				for _, l := range trace.ReadOtherwise(a, b) {
					fmt.Fprintln(p.out, "  B read "+l)
				}
			}
			if !d.Equal || troubled {
				return exit(1)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&verbose, "verbose", false, "also list what differs as it may, because the dry run had assumed it")
	return c
}
