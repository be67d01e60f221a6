package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"runbook/runtime"
	"runbook/runtime/host"
	"runbook/runtime/trace"
)

func (p *program) docCommand() *cobra.Command {
	var f inputFlags
	var asHTML bool
	var file string
	c := &cobra.Command{
		Use: "doc FILE", Short: "Print the manual that a runbook replaces, as Markdown or HTML",
		Long:    docHelp,
		Example: "  runbook doc install.star >install.md\n  runbook doc install.star --var airgap=true\n  runbook doc install.star --html -o install.html",
		Args:    operands(1, 1, "FILE"), ValidArgsFunction: p.completeRunbook,
		RunE: func(c *cobra.Command, args []string) error {
			book, err := p.declared(args[0], f)
			if err != nil {
				return err
			}
			hurry()
			m := manual{book: book}
			if m.ways, err = p.ways(c.Context(), args[0], f, book); err != nil {
				return err
			}
			if step, why := m.ends(); step != "" {
				text := "runbook: no commands are shown after step " + step + ", where the simulated run ends: " + why
				fmt.Fprintln(p.err, trace.Quote(text))
			}
			text := m.markdown()
			if asHTML {
				if text, err = webPage(text); err != nil {
					return err
				}
			}
			return p.deliver(file, text)
		},
	}
	f.add(c, p)
	c.Flags().BoolVar(&asHTML, "html", false, "one HTML file that needs nothing else")
	c.Flags().StringVarP(&file, "output", "o", "", "write to `FILE` instead of standard output")
	return c
}

const docHelp = `Print the manual that a runbook replaces, as Markdown or HTML, from its docstrings, vars and steps,
with the commands of each step out of a run on a simulated machine. Nothing is run and nothing of this machine is read.

In a docstring "== Title" at the margin is a heading, and "=== Title" one below it; an indented paragraph is code.

The machines are said in NAME.doc.yaml beside NAME.star, a list of ways to do it. Without it there is one, on a
bare machine.

    - way: Air gap                     # its title
      vars: {airgap: true}             # what makes it this way
      also: {mirror_r: true}           # what is shown, too, unless it is given otherwise
      os: centos 6.5
      files: {"${media}/index": text}  # by path; ${NAME} is the value of a var
      unread: [/srv/x.rpm]             # files that are there, and whose content nobody knows
      web: {"https://site/x": text}    # what servers answer`

// deliver writes text to a file, or to standard output where none is named.
func (p *program) deliver(file, text string) error {
	if file == "" {
		_, err := io.WriteString(p.out, text)
		return err
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return mistake("name a file in a directory that is there and that you may write to", "-o: %w", err)
	}
	return nil
}

// A manual is a runbook for people.
type manual struct {
	book *runtime.Runbook
	ways []way
}

// A way is one of the ways in which a runbook is done, with the commands of each step.
type way struct {
	title string
	flags []string
	steps map[string]trace.Typed
}

// ends returns the step in which all ways end before they are done, and why; "" if one is done.
func (m manual) ends() (step, why string) {
	for _, s := range m.book.Steps {
		ended := len(m.ways) > 0
		for _, w := range m.ways {
			if w.steps[s.Name].Failed == "" {
				ended = false
			} else {
				why = w.steps[s.Name].Failed
			}
		}
		if ended {
			return s.Name, why
		}
	}
	return "", ""
}

// markdown returns the manual. What the runbook's author wrote has no markup but what paragraph leaves.
func (m manual) markdown() string {
	var b strings.Builder
	book := m.book
	title, text, _ := strings.Cut(strings.TrimSpace(book.Doc), "\n")
	if title == "" {
		title = book.Name
	}
	fmt.Fprintf(&b, "# %s\n", oneLine(strings.TrimSuffix(title, ".")))
	paragraph(&b, text, 2)
	m.usage(&b)
	m.choices(&b)
	m.files(&b)
	if len(book.Steps) > 0 {
		b.WriteString("\n## Steps\n")
	}
	typed := func(w way) bool {
		return slices.ContainsFunc(book.Steps, func(s runtime.Step) bool { return len(w.steps[s.Name].Commands) > 0 })
	}
	if slices.ContainsFunc(m.ways, typed) {
		b.WriteString("\n" + legend)
	}
	for i, s := range book.Steps {
		m.step(&b, i+1, s)
	}
	for i, s := range book.Sources {
		if i == 0 {
			b.WriteString("\n## Made from\n\n| file | origin | SHA-256 |\n| --- | --- | --- |\n")
		}
		fmt.Fprintf(&b, "| %s | %s | `%s` |\n", trace.Cell(s.Name), s.Origin, s.SHA256)
	}
	return b.String()
}

// files are what lies beside the runbook and belongs to it, but for other runbooks.
func (m manual) files(b *strings.Builder) {
	title := "\n## Files beside it\n\nIt takes these from its directory, and so do its commands below.\n\n" +
		"| file | SHA-256 |\n| --- | --- |\n"
	for _, s := range m.book.Sources {
		if !strings.HasSuffix(s.Name, ".star") {
			fmt.Fprintf(b, "%s| %s | `%s` |\n", title, trace.CodeSpan(s.Name), s.SHA256)
			title = ""
		}
	}
}

// legend says how the commands are to be read.
const legend = `The commands are what a run would do on a bare machine, made out by a simulated run. They can be
typed by hand, as root. "su - NAME" goes on as another account until "exit". Where a name in
capitals stands, such as "$PASSWORD", type that secret, in single quotes. Texts of many lines are
cut. What shows whether a step did its work stands below its commands.
`

// usage is how the runbook is run.
func (m manual) usage(b *strings.Builder) {
	if len(m.book.Steps) == 0 {
		return
	}
	name, required := host.ShellWord(m.book.Name), ""
	for _, v := range m.book.Vars {
		if v.Required {
			required += " --var " + v.Name + "=..."
		}
	}
	b.WriteString("\n## How to run it\n\n")
	b.WriteString(trace.Fence("", "sh", []string{
		"runbook show " + name + required,
		"runbook run " + name + required + " --dry-run --trace plan.jsonl",
		"runbook audit show plan.jsonl --format md",
		"runbook run " + name + required + " --follow plan.jsonl",
	}))
	b.WriteString("\n" + fourCommands)
	if !slices.ContainsFunc(m.ways, func(w way) bool { return len(w.flags) > 0 }) {
		return
	}
	b.WriteString("\n| way | flags of show and run |\n| --- | --- |\n")
	for _, w := range m.ways {
		flags := "none"
		if len(w.flags) > 0 {
			flags = trace.Cell(strings.Join(w.flags, " "))
		}
		fmt.Fprintf(b, "| %s | %s |\n", cell(w.title), flags)
	}
}

const fourCommands = `The first command lists what can be set and the steps. The second one changes nothing and tells
what would be changed, the third one prints that for whoever has to approve it, and the last one
does that and nothing else. A run that stopped is started again with the same command: what is
done already is left alone.
`

// choices are the vars and secrets.
func (m manual) choices(b *strings.Builder) {
	book := m.book
	if len(book.Vars) > 0 {
		b.WriteString("\n## What can be set\n\nGive each with `--var NAME=VALUE`.\n\n" +
			"| name | type | default | meaning |\n| --- | --- | --- | --- |\n")
	}
	for _, v := range book.Vars {
		def := trace.Cell(plain(v.Default))
		switch {
		case v.From == "site":
			def = trace.Cell(plain(v.Value)) + ", the site's"
		case v.Required:
			def = "required"
		}
		meaning := cell(help(v.Help, v.Choices, v.Pattern))
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", v.Name, v.Type, def, meaning)
	}
	if len(book.Secrets) > 0 {
		b.WriteString("\n## Secrets\n\nEach is asked for when it is needed, or given with `--secret NAME=file:PATH`.\n\n" +
			"| name | meaning |\n| --- | --- |\n")
	}
	for _, s := range book.Secrets {
		fmt.Fprintf(b, "| `%s` | %s |\n", s.Name, cell(help(s.Help, nil, s.Pattern)))
	}
}

func (m manual) step(b *strings.Builder, n int, s runtime.Step) {
	title := s.Title
	if title == "" {
		title = s.Name
	}
	fmt.Fprintf(b, "\n### %d. %s\n\nStep %s", n, oneLine(title), trace.CodeSpan(s.Name))
	if s.When == "no" && slices.ContainsFunc(m.ways, func(w way) bool { return w.steps[s.Name].Step != "" }) {
		s.When = ""
		b.WriteString("; optional, and left out unless a var asks for it")
	}
	for _, note := range notes(s) {
		b.WriteString("; " + oneLine(note))
	}
	b.WriteString(".\n")
	paragraph(b, s.Doc, 4)
	m.commands(b, s.Name)
}

// commands writes what a step does in each of the ways, those together that do the same.
func (m manual) commands(b *strings.Builder, step string) {
	did := map[string][]string{} // titles by commands
	var order []trace.Typed
	for _, w := range m.ways {
		typed, there := w.steps[step]
		if key := strings.Join(typed.Commands, "\n"); there {
			if did[key] == nil {
				order = append(order, typed)
			}
			did[key] = append(did[key], w.title)
		}
	}
	failed := func(t trace.Typed) bool { return t.Failed != "" }
	hide := slices.ContainsFunc(order, func(t trace.Typed) bool { return !failed(t) }) // one shows how it goes on
	for _, t := range order {
		titles := did[strings.Join(t.Commands, "\n")]
		label := strings.Join(titles, ", ")
		if len(titles) == len(m.ways) {
			label = "Commands"
		}
		if len(t.Commands) > 0 {
			fmt.Fprintf(b, "\n**%s:**\n\n%s", oneLine(label), trace.Fence("", "sh", t.Commands))
		}
		if failed(t) && !hide {
			fmt.Fprintf(b, "\nThe simulated run ends here: %s\n", trace.CodeSpan(t.Failed))
		}
	}
	if len(order) > 0 && len(order[0].Checks) > 0 {
		b.WriteString("\n**To see that it holds:**\n\n" + trace.Fence("", "sh", order[0].Checks))
	}
}

// oneLine returns text as a line without HTML and links.
func oneLine(text string) string {
	return plainLine(trace.Quote(strings.Join(strings.Fields(text), " ")))
}

// cell returns text as oneLine does, in a form that does not end a cell of a table.
func cell(text string) string { return strings.ReplaceAll(oneLine(text), "|", `\|`) }

// paragraph writes a docstring. Its lists, tables, emphasis and code stay as they are, and "== Title" is a heading of
// the level that is given, below those of the manual; what would be HTML, a link, a picture, or another heading is
// text: nobody can forge a step or hide what follows.
func paragraph(b *strings.Builder, text string, level int) {
	text = strings.Trim(text, "\n")
	if strings.TrimSpace(text) == "" {
		return
	}
	b.WriteByte('\n')
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if n := codeLines(lines, i); n > 0 {
			b.WriteString(trace.Fence("", "", dedented(lines[i:i+n])))
			i += n - 1
			continue
		}
		b.WriteString(docLine(lines[i], level) + "\n")
	}
}

// codeLines is how many lines from i on are a block of code: indented by four, after a blank line, and not in a list.
func codeLines(lines []string, i int) (n int) {
	if i > 0 && strings.TrimSpace(lines[i-1]) != "" || inList(lines[:i]) {
		return 0
	}
	for j, l := range lines[i:] {
		switch {
		case strings.HasPrefix(l, "    ") && strings.TrimSpace(l) != "":
			n = j + 1
		case strings.TrimSpace(l) != "":
			return n
		}
	}
	return n
}

// inList reports whether the last paragraph that begins at the margin is an item of a list.
func inList(lines []string) bool {
	for i, l := range slices.Backward(lines) {
		if l != "" && l[0] != ' ' && (i == 0 || strings.TrimSpace(lines[i-1]) == "" || isItem(l)) {
			return isItem(l)
		}
	}
	return false
}

func isItem(line string) bool { return regexp.MustCompile(`^([-+*]|[0-9]+[.)]) `).MatchString(line) }

func dedented(lines []string) (out []string) {
	for _, l := range lines {
		out = append(out, strings.TrimPrefix(l, "    "))
	}
	return out
}

// docLine returns a line of a docstring, outside blocks of code, as Markdown.
func docLine(line string, level int) string {
	line = plainLine(trace.Quote(line))
	rule := strings.TrimLeft(line, " >")
	body := strings.TrimLeft(line, " >-+*.)0123456789")
	marks, title, _ := strings.Cut(line, " ")
	switch {
	case (marks == "==" || marks == "===") && isOwnTitle(title):
		return strings.Repeat("#", level+len(marks)-2) + " " + strings.TrimSpace(title)
	case strings.HasPrefix(body, "#") || strings.HasPrefix(body, "~~~"):
		return line[:len(line)-len(body)] + `\` + body
	case rule != "" && strings.Trim(rule, "=- ") == "":
		return line[:len(line)-len(rule)] + `\` + rule
	}
	return line
}

// isOwnTitle reports whether a heading of an author cannot be taken for one of the manual's own, which are words of it
// or begin with a number.
func isOwnTitle(title string) bool {
	title = strings.ToLower(strings.Trim(title, " =#"))
	own := []string{"steps", "secrets", "what can be set", "how to run it", "made from"}
	return title != "" && !slices.Contains(own, title) && strings.TrimLeft(title, "0123456789 ") == title
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
