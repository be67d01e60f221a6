package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"runbook/runtime/trace"
)

func (p *program) auditCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "audit", Short: "Verify, show and compare traces", Long: "Verify, show and compare traces of runs and dry runs.",
		Args: subcommandOnly, RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(p.auditVerify(), p.auditShow(), p.auditDiff())
	return c
}

func (p *program) auditVerify() *cobra.Command {
	return &cobra.Command{
		Use: "verify TRACE", Short: "Is a trace whole and unaltered; what is proved and what is not",
		Long:    "Compute anew all that a trace says of itself, and say what that proves and what it cannot.\nThe exit code is 1 unless the trace is whole and unaltered.",
		Example: "  runbook audit verify plan.jsonl",
		Args:    operands(1, 1, "TRACE"),
		RunE: func(_ *cobra.Command, args []string) error {
			report, err := verify(args[0])
			if err != nil {
				return err
			}
			fmt.Fprint(p.out, report.String())
			if !report.OK() {
				return exit(1)
			}
			return nil
		},
	}
}

func (p *program) auditShow() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "show TRACE", Short: "Print a trace for people",
		Example: "  runbook audit show plan.jsonl\n  runbook audit show plan.jsonl --format md >plan.md",
		Args:    operands(1, 1, "TRACE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if !contains(trace.Formats(), format) {
				return unknown("format", format, trace.Formats(), "the formats are: "+strings.Join(trace.Formats(), " "))
			}
			events, err := readTrace(args[0])
			if err != nil {
				return err
			}
			return trace.Show(p.out, events, format)
		},
	}
	c.Flags().StringVar(&format, "format", "text", "`text`, sh, json or md")
	return c
}

func (p *program) auditDiff() *cobra.Command {
	verbose := false
	c := &cobra.Command{
		Use: "diff A B", Short: "Compare two traces effect by effect",
		Long: "Compare two traces by their steps, ops, effects and results, and show the first difference.\n" +
			"Times, positions, and what was only observed or assumed, are left out. The exit code is 1 if they differ.",
		Example: "  runbook audit diff plan.jsonl run.jsonl\n  runbook audit diff --verbose plan.jsonl run.jsonl",
		Args:    operands(2, 2, "a TRACE"),
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := readTrace(args[0])
			if err != nil {
				return err
			}
			b, err := readTrace(args[1])
			if err != nil {
				return err
			}
			d := trace.Diff(a, b)
			text := d.String()
			if verbose {
				text = d.Explained()
			}
			fmt.Fprintln(p.out, text)
			if !d.Equal {
				return exit(1)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&verbose, "verbose", false, "also list what differs as it may, because the dry run had assumed it")
	return c
}
