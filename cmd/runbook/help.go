package main

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"runbook/builtins"
)

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND|language]", Short: "What a command does, its flags, examples; the language of runbooks",
		Example: "  runbook help run\n  runbook help audit diff\n  runbook help language",
		ValidArgsFunction: func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return append(subcommands(c.Root()), "language"), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if slices.Equal(args, []string{"language"}) {
				_, err := io.WriteString(c.OutOrStdout(), builtins.Language)
				return err
			}
			about := c.Root()
			for _, name := range args {
				sub := subcommand(about, name)
				if sub == nil {
					return unknown("command", strings.Join(args, " "), subcommands(about),
						"the commands are: "+strings.Join(subcommands(c.Root()), " "))
				}
				about = sub
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

func subcommand(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name {
			return sub
		}
	}
	return nil
}

// subcommands returns the names that may follow c, sorted.
func subcommands(c *cobra.Command) (names []string) {
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}
