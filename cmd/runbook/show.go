package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"runbook/runtime"
	"runbook/runtime/trace"
)

func (p *program) showCommand() *cobra.Command {
	var f inputFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "show FILE", Short: "Show a runbook's vars and steps, without running anything",
		Long:    "Show what can be set in a runbook, its secrets, its steps, the questions that it asks this machine and the files\nit is made of. Nothing is run and nothing of this machine is read.",
		Example: "  runbook show install.star\n  runbook show install.star --var airgap=true\n  runbook show install.star --json",
		Args:    operands(1, 1, "FILE"), ValidArgsFunction: p.completeRunbook,
		RunE: func(_ *cobra.Command, args []string) error {
			hurry()
			book, err := p.declared(args[0], f)
			switch {
			case err != nil:
				return err
			case asJSON:
				return showJSON(p.out, book)
			}
			return showText(p.out, book, columnsOf(p.out.file))
		},
	}
	f.add(c, p)
	c.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return c
}

// declared loads FILE for its declarations: missing vars are not an error.
func (p *program) declared(file string, f inputFlags) (*runtime.Runbook, error) {
	l, err := p.load(file, f)
	if err != nil && (l.book == nil || wrong(err)) {
		return nil, err
	}
	return l.book, nil
}

// wrong reports whether err holds another problem than missing vars.
func wrong(err error) bool {
	return slices.ContainsFunc(flatten(err), func(e *runtime.Error) bool { return !errors.Is(e, runtime.ErrMissing) })
}

func showText(w io.Writer, book *runtime.Runbook, width int) error {
	fmt.Fprintln(w, trace.Quote(book.Name))
	if doc := strings.TrimSpace(book.Doc); doc != "" {
		fmt.Fprintln(w, paragraphs(shown(introduction(doc)), width))
	}
	var vars, secrets, steps, asks, files [][]string
	for _, v := range book.Vars {
		vars = append(vars, []string{v.Name, v.Type, valueText(v), help(v.Help, v.Choices, v.Pattern)})
	}
	for _, s := range book.Secrets {
		asked := map[bool]string{true: "asked for", false: "not needed"}[s.Asked]
		secrets = append(secrets, []string{s.Name, asked, help(s.Help, nil, s.Pattern)})
	}
	for i, s := range book.Steps {
		steps = append(steps, []string{fmt.Sprint(i + 1), s.Name, s.Title, strings.Join(notes(s), "; ")})
	}
	for _, q := range book.Asks {
		asks = append(asks, []string{q.Pos, q.Asker, q.Text})
	}
	for _, s := range book.Sources {
		files = append(files, []string{s.Name, s.Origin, "sha256 " + s.SHA256[:16]})
	}
	var tweaks [][]string
	for _, t := range book.Tweaks {
		about := t.Text
		if t.For != "" {
			about += " (for " + t.For + ")"
		}
		tweaks = append(tweaks, []string{t.Pos, t.Kind, t.Name, about})
	}
	return errors.Join(table(w, "\nSite\n", tweaks, width), table(w, "\nVars\n", vars, width),
		table(w, "\nSecrets\n", secrets, width), table(w, "\nSteps\n", steps, width),
		table(w, "\nAsks, in a dry run too\n", asks, width), table(w, "\nFiles\n", files, width))
}

// introduction is a docstring up to its first heading; doc prints the rest.
func introduction(doc string) string {
	text, _, more := strings.Cut(doc, "\n== ")
	if more {
		text = strings.TrimSpace(text) + "\n\nMore is in the manual that runbook doc prints."
	}
	return text
}

// valueText returns a var's value as one would write it in the command line.
func valueText(v runtime.Var) string {
	if v.Required && v.From == "" {
		return "(required)"
	}
	s := plain(v.Value)
	if s == "" {
		s = "(empty)"
	}
	if v.From != "default" {
		s += " (from " + v.From + ")"
	}
	return s
}

func plain(v any) string {
	if list, ok := v.([]string); ok {
		return strings.Join(list, ",")
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func help(text string, choices []string, pattern string) string {
	parts := []string{}
	if text != "" {
		parts = append(parts, text)
	}
	if len(choices) > 0 {
		parts = append(parts, "one of "+strings.Join(choices, ", "))
	}
	if pattern != "" {
		parts = append(parts, "matches "+pattern)
	}
	return strings.Join(parts, "; ")
}

// notes returns what a reader should know of a step besides its title.
func notes(s runtime.Step) (parts []string) {
	if s.Manual {
		parts = append(parts, "done by a person")
	}
	if s.Site != "" {
		parts = append(parts, s.Site)
	}
	if s.User != "" {
		parts = append(parts, "as "+s.User)
	}
	switch s.When {
	case "no":
		parts = append(parts, "left out: its condition does not hold")
	case "function":
		parts = append(parts, "decided during the run")
	}
	if len(s.Tags) > 0 {
		parts = append(parts, "tags "+strings.Join(s.Tags, ", "))
	}
	if len(s.Controls) > 0 {
		parts = append(parts, "controls "+strings.Join(s.Controls, ", "))
	}
	return parts
}

func showJSON(w io.Writer, book *runtime.Runbook) error {
	type object = map[string]any
	vars, secrets, steps := []object{}, []object{}, []object{}
	for _, v := range book.Vars {
		if v.Required && v.From == "" {
			v.Value = nil
		}
		vars = append(vars, object{"name": v.Name, "type": v.Type, "default": v.Default, "value": v.Value, "from": v.From,
			"help": v.Help, "choices": orEmpty(v.Choices), "pattern": v.Pattern, "required": v.Required})
	}
	for _, s := range book.Secrets {
		secrets = append(secrets, object{"name": s.Name, "help": s.Help, "pattern": s.Pattern, "asked": s.Asked})
	}
	for _, s := range book.Steps {
		steps = append(steps, object{"name": s.Name, "title": s.Title, "text": s.Doc, "user": s.User, "tags": orEmpty(s.Tags),
			"controls": orEmpty(s.Controls), "when": s.When, "manual": s.Manual, "pos": s.Pos, "site": s.Site})
	}
	tweaks := []object{}
	for _, t := range book.Tweaks {
		tweaks = append(tweaks, object{"kind": t.Kind, "name": t.Name, "text": t.Text, "pos": t.Pos, "for": t.For})
	}
	return writeJSON(w, object{
		"site": tweaks,
		"name": book.Name, "doc": book.Doc, "vars": vars, "secrets": secrets, "steps": steps, "files": book.Sources,
		"asks": append([]runtime.Question{}, book.Asks...),
	})
}

// writeJSON writes a value as JSON for people and programs, without characters that a terminal would obey.
func writeJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, trace.Escape(text), "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = b.WriteTo(w)
	return err
}

func orEmpty(list []string) []string { return append([]string{}, list...) }
