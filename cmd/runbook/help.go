package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"runbook/builtins"
)

func (p *program) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND|language|confine]", Short: "What a command does, its flags, examples; the language of runbooks; run --confine",
		Example: "  runbook help run\n  runbook help audit diff\n  runbook help language",
		ValidArgsFunction: func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return append(subcommands(c.Root()), "confine", "language"), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case slices.Equal(args, []string{"language"}):
				return languageText(p.out, columnsOf(p.out.file))
			case slices.Equal(args, []string{"confine"}):
				return confineText(p.out, columnsOf(p.out.file))
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

// showHelp prints the help page of a command.
func (p *program) showHelp(c *cobra.Command, _ []string) {
	_ = helpPage(p.out, c, columnsOf(p.out.file))
} // p.out remembers

// helpPage writes what a command does, how it is called, its subcommands and its flags.
func helpPage(w io.Writer, c *cobra.Command, width int) error {
	fmt.Fprintln(w, paragraphs(strings.TrimSpace(cmp.Or(c.Long, c.Short)), width)+"\n\nUsage:")
	if c.Runnable() {
		fmt.Fprintln(w, paragraphs("  "+c.UseLine(), width))
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintln(w, "  "+c.CommandPath()+" [command]")
	}
	if c.HasExample() {
		fmt.Fprintln(w, "\nExamples:\n"+paragraphs(c.Example, width))
	}
	var commands, flags [][]string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			commands = append(commands, []string{sub.Name(), sub.Short})
		}
	}
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			flags = append(flags, flagRow(f))
		}
	})
	err := errors.Join(table(w, "\nAvailable Commands:\n", commands, width), table(w, "\nFlags:\n", flags, width))
	if c.HasAvailableSubCommands() {
		more := "Use \"" + c.CommandPath() + " [command] --help\" for more information about a command."
		fmt.Fprintf(w, "\n%s\n", paragraphs(more, width))
	}
	return err
}

// flagRow returns a flag as it is written, and what it means.
func flagRow(f *pflag.Flag) []string {
	value, usage := pflag.UnquoteUsage(f)
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	switch {
	case value != "" && f.NoOptDefVal != "":
		name += "[=" + value + "]"
	case value != "":
		name += " " + value
	}
	switch f.DefValue {
	case "", "0", "0s", "false", "[]":
	default:
		usage += " (default " + f.DefValue + ")"
	}
	return []string{name, usage}
}

var (
	link = regexp.MustCompile(`\[([^\]]+)\]\([^)]+\)`)
	rule = regexp.MustCompile(`^\|[ |-]+\|$`)
)

// languageText writes the page about the language: Markdown whose lines fit the page, and whose links are words.
func languageText(w io.Writer, width int) error {
	var b strings.Builder
	var rows [][]string
	text, code := "", false
	flush := func() {
		b.WriteString(paragraphs(text, width))
		_ = table(&b, "", rows, width) // a Builder takes all
		text, rows = "", nil
	}
	for line := range strings.Lines(link.ReplaceAllString(builtins.Language, "$1")) {
		bare := strings.TrimSpace(line)
		row := strings.HasPrefix(bare, "|")
		if row != (len(rows) > 0) || strings.HasPrefix(bare, "```") {
			flush()
		}
		switch {
		case strings.HasPrefix(bare, "```"):
			code = !code
			if _, name, _ := strings.Cut(bare, " "); name != "" && name != "wrong" {
				b.WriteString(name + ":\n")
			}
		case code && bare == "":
			b.WriteString("\n")
		case code:
			b.WriteString(paragraphs("    "+line, width))
		case strings.HasPrefix(bare, "<!--"), rule.MatchString(bare):
		case row:
			cells := strings.Split(strings.Trim(bare, "| "), " | ")
			rows = append(rows, cells)
		default:
			text += line
		}
	}
	flush()
	_, err := io.WriteString(w, b.String())
	return err
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
