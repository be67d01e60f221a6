package main

import (
	"github.com/spf13/cobra"

	"runbook/runtime/trace"
)

func (p *program) auditSchema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "The JSON Schema of a trace",
		Long: "Print the JSON Schema (draft 2020-12) of a line of a trace: what each key means, which are always there, and what\n" +
			"they hold. It is made from the types that the program writes traces from. What a schema cannot say, the hashes,\n" +
			"counts and order of lines, is what audit verify computes.",
		Example: "  runbook audit schema >trace.schema.json",
		Args:    operands(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			_, err := p.out.Write(trace.Schema())
			return err
		},
	}
}
