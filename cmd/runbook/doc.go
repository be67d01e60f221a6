package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"runbook/runtime"
	"runbook/runtime/trace"
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
	fmt.Fprintf(&b, "# %s\n", oneLine(strings.TrimSuffix(title, ".")))
	paragraph(&b, text)
	if len(book.Vars) > 0 {
		b.WriteString("\n## What can be set\n\nGive each with `--var NAME=VALUE`.\n\n" +
			"| name | type | default | meaning |\n| --- | --- | --- | --- |\n")
	}
	for _, v := range book.Vars {
		def := trace.Cell(plain(v.Default))
		if v.Required {
			def = "required"
		}
		meaning := cell(help(v.Help, v.Choices, v.Pattern))
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", v.Name, v.Type, def, meaning)
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
	fmt.Fprintf(b, "\n### %d. %s\n\nStep %s", n, oneLine(title), trace.CodeSpan(s.Name))
	for _, note := range notes(s) {
		b.WriteString("; " + oneLine(note))
	}
	b.WriteString(".\n")
	paragraph(b, s.Doc)
}

// oneLine returns text as a line without HTML and links.
func oneLine(text string) string {
	return plainLine(trace.Quote(strings.Join(strings.Fields(text), " ")))
}

// cell returns text as oneLine does, in a form that does not end a cell of a table.
func cell(text string) string { return strings.ReplaceAll(oneLine(text), "|", `\|`) }

// paragraph writes a docstring. Its lists, emphasis and code stay as they are; what
// would be HTML, a link, a picture, a heading or the beginning of a block of code is
// text: nobody can forge a step or hide what follows.
func paragraph(b *strings.Builder, text string) {
	if text = strings.TrimSpace(text); text == "" {
		return
	}
	b.WriteByte('\n')
	for line := range strings.SplitSeq(text, "\n") {
		line = plainLine(trace.Quote(line))
		rule := strings.TrimLeft(line, " >")
		body := strings.TrimLeft(line, " >-+*.)0123456789")
		switch {
		case strings.HasPrefix(body, "#") || strings.HasPrefix(body, "~~~"):
			line = line[:len(line)-len(body)] + `\` + body
		case rule != "" && strings.Trim(rule, "=- ") == "":
			line = line[:len(line)-len(rule)] + `\` + rule
		}
		b.WriteString(line + "\n")
	}
}

// plainLine escapes what a line has of HTML and links outside of code. Marks of code
// that do not end in the same line are no marks.
func plainLine(line string) string {
	escape := strings.NewReplacer("<", `\<`, "](", `]\(`, "]:", `]\:`)
	parts := strings.Split(line, "`")
	if len(parts)%2 == 0 || strings.Contains(line, "``") || strings.Contains(line, "\\`") {
		return strings.ReplaceAll(escape.Replace(line), "`", "\\`")
	}
	for i := 0; i < len(parts); i += 2 {
		parts[i] = escape.Replace(parts[i])
	}
	return strings.Join(parts, "`")
}
