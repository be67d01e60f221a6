package lsp

import (
	"slices"
	"strings"

	"github.com/a-h/templ/lsp/protocol"

	"runbook/runtime"
)

// signature is how a function is called, or what a var is; "" if there is nothing to say.
func (x symbol) signature() string {
	switch {
	case x.is == function:
		return x.name + "(" + strings.Join(x.params, ", ") + ")"
	case x.callee == "var" || x.callee == "secret":
		return strings.TrimSpace(x.callee + " " + x.detail)
	}
	return ""
}

// markdown is the document of a symbol.
func (x symbol) markdown() string {
	var parts []string
	switch {
	case x.is == step && x.detail != "":
		parts = append(parts, "step `"+x.id+"`: "+x.detail)
	case x.is == step:
		parts = append(parts, "step `"+x.id+"`")
	case x.signature() != "":
		parts = append(parts, "```python\n"+x.signature()+"\n```")
	}
	if x.doc != "" {
		parts = append(parts, x.doc)
	}
	return strings.Join(parts, "\n\n")
}

func (s *server) hover(p protocol.HoverParams) (any, error) {
	d, sh, offset, err := s.here(p.TextDocumentPositionParams)
	if err != nil {
		return nil, err
	}
	defer sh.Close()
	markdown, from, to := s.explained(d, sh, offset)
	if markdown == "" {
		return nil, nil
	}
	at := d.span(from, to)
	return protocol.Hover{Contents: protocol.MarkupContent{Kind: protocol.Markdown, Value: markdown}, Range: &at}, nil
}

// explained returns what is known of what stands at a byte.
func (s *server) explained(d *document, sh *shelf, offset int) (markdown string, from, to int) {
	if p, from, to, ok := sh.target(d, offset); ok && p.markdown() != "" {
		return p.markdown(), from, to
	}
	id, space, from, to := d.nameAt(offset)
	if id == "" {
		return "", from, to
	}
	if c := d.cursor(from).call; c != nil && d.isArgument(to) {
		c.arg = id
		if a, i := sh.argument(c); i >= 0 {
			return argumentText(a), from, to
		}
	}
	name := id
	if space != "" {
		name = space + "." + id
	}
	if b, err := sh.rt.Builtin(name); err == nil {
		return s.Describe(b), from, to
	}
	var members []string
	for _, b := range sh.rt.Builtins() {
		if space == "" && strings.HasPrefix(b.Name, id+".") {
			members = append(members, "- `"+b.Name+"`: "+b.Summary)
		}
	}
	return strings.Join(members, "\n"), from, to
}

// isArgument reports whether what ends at a byte is the name of an argument: NAME =.
func (d *document) isArgument(end int) bool {
	tokens := meaningful(d.tokens)
	i := slices.IndexFunc(tokens, func(t token) bool { return t.from >= end })
	return i >= 0 && tokens[i].of(d.text) == "=" && tokens[i].depth > 0
}

func argumentText(a runtime.Arg) string {
	text := "`" + a.Name + "`: " + a.Type + ", " + defaultText(a) + "\n\n" + a.Help
	if len(a.Choices) > 0 {
		text += "\n\nOne of `" + strings.Join(a.Choices, "`, `") + "`."
	}
	return text
}

func (s *server) signatureHelp(p protocol.SignatureHelpParams) (any, error) {
	d, sh, offset, err := s.here(p.TextDocumentPositionParams)
	if err != nil {
		return nil, err
	}
	defer sh.Close()
	c := d.cursor(offset)
	if c.call == nil || c.comment {
		return nil, nil
	}
	help, active := s.signatureOf(d, sh, c.call, offset)
	if help.Label == "" {
		return nil, nil
	}
	return protocol.SignatureHelp{
		Signatures: []protocol.SignatureInformation{help}, ActiveParameter: uint32(max(active, 0)),
	}, nil
}

// signatureOf is how a call is written, and the parameter at the cursor.
func (s *server) signatureOf(d *document, sh *shelf, c *call, offset int) (
	help protocol.SignatureInformation, active int,
) {
	if b, err := sh.rt.Builtin(c.callee); err == nil {
		help.Label, help.Documentation = s.Signature(b), b.Summary
		at := 0
		for _, a := range b.Params() {
			part, next := parameterIn(help.Label, a.Name, at)
			at = next
			help.Parameters = append(help.Parameters, protocol.ParameterInformation{Label: part, Documentation: a.Help})
		}
		_, active = sh.argument(c)
		return help, active
	}
	f, ok := sh.meaning(d, c.callee, offset)
	if !ok || f.is != function {
		return help, 0
	}
	help.Label, help.Documentation = f.signature(), f.symbol.doc
	for _, param := range f.params {
		help.Parameters = append(help.Parameters, protocol.ParameterInformation{Label: param})
	}
	active = c.index
	if c.arg != "" {
		active = slices.IndexFunc(f.params, func(p string) bool {
			name, _, _ := strings.Cut(p, "=")
			return strings.TrimSpace(name) == c.arg
		})
	}
	return help, active
}

// parameterIn returns the parameter as a signature has it behind a place: the editor looks for it there.
func parameterIn(label, name string, from int) (part string, next int) {
	from = max(from, strings.IndexByte(label, '(')+1)
	i := strings.Index(label[from:], name)
	if i < 0 {
		return name, from
	}
	from += i
	end := strings.Index(label[from:], ", ")
	if end < 0 {
		end = len(label) - 1 - from
	}
	return label[from : from+end], from + end
}
