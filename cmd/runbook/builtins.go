package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"runbook/builtins"
	"runbook/runtime"
	"runbook/runtime/trace"
)

func (p *program) builtinsCommand() *cobra.Command {
	var asJSON, stubs bool
	c := &cobra.Command{
		Use: "builtins [NAME]", Short: "What a builtin does, its arguments, an example",
		Long: "List what a runbook can call, or say all about one of them. --json has all that is known of each, for other\n" +
			"programs; --stubs is for editors that read Python: a builtins.pyi. Both have what tests can call, too.",
		Example: "  runbook builtins\n  runbook builtins yum\n  runbook builtins --stubs >builtins.pyi",
		Args:    operands(0, 1, "NAME"),
		ValidArgsFunction: func(_ *cobra.Command, _ []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			for _, b := range p.rt.Builtins() {
				names = append(names, b.Name+"\t"+b.Summary)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			columns := columnsOf(p.out.file)
			all := p.rt.Builtins()
			write := func(w io.Writer, all []*runtime.Builtin) error { return listBuiltins(w, all, columns) }
			if asJSON || stubs {
				all = withTests().Builtins()
			}
			switch {
			case asJSON && stubs:
				return mistake("give one of them", "--json and --stubs are two outputs")
			case asJSON:
				write = builtinsJSON
			case stubs:
				write = writeStubs
			}
			if len(args) == 0 {
				return write(p.out, all)
			}
			b, err := withTests().Builtin(args[0])
			if err != nil {
				hint := runtime.HintOf(err)
				if hint == "" {
					hint = "all are listed by: runbook builtins"
				}
				return mistake(hint, "no builtin %q", args[0])
			}
			if asJSON || stubs {
				return write(p.out, []*runtime.Builtin{b})
			}
			return describeBuiltin(p.out, b, columns)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print all that is known of each, as JSON")
	c.Flags().BoolVar(&stubs, "stubs", false, "print their signatures and documents as a .pyi file of Python")
	return c
}

// withTests returns a runtime that knows what tests can call, too.
func withTests() *runtime.Runtime {
	return runtime.New(slices.Concat(builtins.All(), builtins.Testing())...)
}

func listBuiltins(w io.Writer, all []*runtime.Builtin, width int) error {
	var rows [][]string
	for _, b := range all {
		rows = append(rows, []string{b.Name, b.Summary})
	}
	return table(w, "", rows, width)
}

func describeBuiltin(w io.Writer, b *runtime.Builtin, width int) error {
	folded := func(text string, hang int) string { return strings.Join(trace.Wrap(text, width, hang), "\n") }
	fmt.Fprintf(w, "%s\n\n", folded(signature(b), 4))
	for _, s := range append([]string{b.Name + " will " + sentence(b.Summary) + "."}, details(b)...) {
		fmt.Fprintln(w, folded(s, 2))
	}
	var rows [][]string
	for _, a := range b.Params() {
		rows = append(rows, []string{a.Name, a.Type, defaultText(a), a.Help})
	}
	err := table(w, "\nArguments\n", rows, width)
	example := "  " + strings.ReplaceAll(strings.TrimSpace(b.Example), "\n", "\n  ")
	fmt.Fprintf(w, "\nExample\n%s\n", paragraphs(example, width))
	return err
}

// details are what is to be known of b besides its summary.
func details(b *runtime.Builtin) []string {
	if len(b.Secrets) == 0 {
		return b.Detail
	}
	return append(slices.Clone(b.Detail), "Secrets may stand in "+strings.Join(b.Secrets, ", ")+".")
}

// sentence returns a summary without the dots that may end it.
func sentence(summary string) string { return strings.TrimRight(summary, ". ") }

func defaultText(a runtime.Arg) string {
	if a.Default == "" {
		return "required"
	}
	return "= " + a.Default
}

// signature returns b as it is called: arguments that may be left out have their
// default; those that the runtime adds come after the star.
func signature(b *runtime.Builtin) string {
	if b.Property {
		return b.Name
	}
	var parts []string
	for i, a := range b.Params() {
		if i == len(b.Args) || i > 0 && i == b.Positional {
			parts = append(parts, "*")
		}
		switch {
		case a.Default == "":
			parts = append(parts, a.Name)
		case strings.ContainsAny(a.Default, " '"): // words, not a value
			parts = append(parts, a.Name+"=")
		default:
			parts = append(parts, a.Name+"="+a.Default)
		}
	}
	return b.Name + "(" + strings.Join(parts, ", ") + ")"
}
