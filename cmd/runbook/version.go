package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this program",
		Args: operands(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(p.out, "runbook %s, %s %s/%s, sha256 %s\n",
				version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, p.digest())
			return err
		},
	}
}
