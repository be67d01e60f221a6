package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"runbook/runtime"
)

func (p *program) docCommand() *cobra.Command {
	var f inputFlags
	c := &cobra.Command{
		Use: "doc FILE", Short: "Print the manual that a runbook replaces, as Markdown",
		Long:    "Print the manual that a runbook replaces, as Markdown, from its docstrings, vars and steps.\nNothing is run and nothing of this machine is read.",
		Example: "  runbook doc install.star >install.md\n  runbook doc install.star --var airgap=true",
		Args:    operands(1, 1, "FILE"), ValidArgsFunction: p.completeRunbook,
		RunE: func(_ *cobra.Command, args []string) error {
			book, err := p.declared(args[0], f)
			if err != nil {
				return err
			}
			return writeManual(p.out, book)
		},
	}
	f.add(c, p)
	return c
}

func writeManual(w io.Writer, book *runtime.Runbook) error {
	var b strings.Builder
	title, text, _ := strings.Cut(strings.TrimSpace(book.Doc), "\n")
	if title == "" {
		title = book.Name
	}
	fmt.Fprintf(&b, "# %s\n", strings.TrimSuffix(title, "."))
	paragraph(&b, text)
	if len(book.Vars) > 0 {
		b.WriteString("\n## What can be set\n\nGive each with `--var NAME=VALUE`.\n\n" +
			"| name | type | default | meaning |\n| --- | --- | --- | --- |\n")
	}
	for _, v := range book.Vars {
		def := code(plain(v.Default))
		if v.Required {
			def = "required"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", v.Name, v.Type, def, cell(help(v.Help, v.Choices, v.Pattern)))
	}
	if len(book.Secrets) > 0 {
		b.WriteString("\n## Secrets\n\nEach is asked for when it is needed, or given with `--secret NAME=file:PATH`.\n\n" +
			"| name | meaning |\n| --- | --- |\n")
	}
	for _, s := range book.Secrets {
		fmt.Fprintf(&b, "| `%s` | %s |\n", s.Name, cell(help(s.Help, nil, s.Pattern)))
	}
	if len(book.Steps) > 0 {
		b.WriteString("\n## Steps\n")
	}
	for i, s := range book.Steps {
		writeStep(&b, i+1, s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeStep(b *strings.Builder, n int, s runtime.Step) {
	title := s.Title
	if title == "" {
		title = s.Name
	}
	fmt.Fprintf(b, "\n### %d. %s\n\nStep `%s`", n, title, s.Name)
	for _, note := range notes(s) {
		b.WriteString("; " + note)
	}
	b.WriteString(".\n")
	paragraph(b, s.Doc)
}

func paragraph(b *strings.Builder, text string) {
	if text = strings.TrimSpace(text); text != "" {
		b.WriteString("\n" + shown(text) + "\n")
	}
}

// cell returns text in a form that does not end a cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(shown(text), "\n", " "), "|", `\|`)
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + cell(text) + "`"
}
