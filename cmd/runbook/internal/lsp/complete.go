package lsp

import (
	"slices"
	"strings"

	"github.com/a-h/templ/lsp/protocol"

	"runbook/runtime"
)

// A candidate is what may be typed at a place.
type candidate struct {
	label  string
	insert string // if it is not the label
	kind   protocol.CompletionItemKind
	detail string
	doc    string // Markdown
	first  bool   // before what can stand anywhere
}

// Kinds of candidates, for their pictures.
const (
	aFile     = protocol.CompletionItemKindFile
	aStep     = protocol.CompletionItemKindEvent
	aValue    = protocol.CompletionItemKindEnumMember
	aField    = protocol.CompletionItemKindField
	aFunction = protocol.CompletionItemKindFunction
	aVariable = protocol.CompletionItemKindVariable
	aProperty = protocol.CompletionItemKindProperty
	aSpace    = protocol.CompletionItemKindModule
	aKeyword  = protocol.CompletionItemKindKeyword
)

func (s *server) completion(p protocol.CompletionParams) (any, error) {
	d, sh, offset, err := s.here(p.TextDocumentPositionParams)
	if err != nil {
		return nil, err
	}
	defer sh.Close()
	c := d.cursor(offset)
	items := []protocol.CompletionItem{}
	for _, x := range s.candidates(d, sh, c, offset) {
		item := protocol.CompletionItem{
			Label: x.label, Kind: x.kind, Detail: x.detail, SortText: "2" + x.label, FilterText: x.insert,
			TextEdit: &protocol.TextEditOrInsertReplaceEdit{
				TextEdit: &protocol.TextEdit{Range: d.span(c.from, offset), NewText: firstOf(x.insert, x.label)},
			},
		}
		if x.first {
			item.SortText = "1" + x.label
		}
		if x.doc != "" {
			item.Documentation = protocol.MarkupContent{Kind: protocol.Markdown, Value: x.doc}
		}
		items = append(items, item)
	}
	return protocol.CompletionList{Items: items}, nil
}

// here opens what a request about a place needs.
func (s *server) here(p protocol.TextDocumentPositionParams) (d *document, sh *shelf, offset int, err error) {
	uri := string(p.TextDocument.URI)
	if d, err = s.document(uri); err != nil {
		return nil, nil, 0, err
	}
	if sh, err = s.shelf(uri); err != nil {
		return nil, nil, 0, err
	}
	return d, sh, d.offset(p.Position), nil
}

func (s *server) candidates(d *document, sh *shelf, c cursor, offset int) []candidate {
	switch {
	case c.comment:
		return nil
	case c.quoted:
		return s.quoted(d, sh, c.call)
	case c.space != "":
		return s.members(d, sh, c.space, offset)
	}
	return append(s.arguments(d, sh, c.call, offset), s.names(d, sh, offset)...)
}

// quoted are what a text in an argument of a call may be.
func (s *server) quoted(d *document, sh *shelf, c *call) (all []candidate) {
	switch {
	case c == nil:
	case c.callee == "load" && c.index == 0:
		for _, n := range sh.libraries() {
			all = append(all, candidate{label: n, kind: aFile})
		}
	case c.callee == "load":
		return loadable(d, sh, c.open)
	case c.callee == "here":
		for _, n := range sh.beside() {
			all = append(all, candidate{label: n, kind: aFile})
		}
	case slices.Contains(tweaks, c.callee) && (c.arg == "step" || c.arg == "" && c.index == 0):
		for _, p := range sh.steps(d) {
			all = append(all, candidate{label: p.id, kind: aStep, detail: p.detail, doc: p.markdown()})
		}
	case c.whole:
		a, _ := sh.argument(c)
		for _, word := range a.Choices {
			all = append(all, candidate{label: word, kind: aValue, detail: a.Name})
		}
	}
	return all
}

var tweaks = []string{"before", "after", "replace", "skip"}

// steps are those of the runbooks beside a site's file, and those that it adds itself.
func (sh *shelf) steps(d *document) []place {
	all := sh.declared(func(o outline) []symbol { return o.of(step) })
	for _, s := range d.outline.of(step) {
		all = append(all, place{symbol: s, file: sh.Name, doc: d})
	}
	for i, p := range all {
		if f, ok := p.doc.outline.named(p.fn, -1); ok && p.symbol.doc == "" {
			all[i].symbol.doc = f.doc
		}
	}
	return all
}

// loadable are the names of the file that a load names.
func loadable(d *document, sh *shelf, open int) (all []candidate) {
	r := reader{outline: d.outline, tokens: meaningful(d.tokens)}
	args, _ := r.arguments(open)
	other, _ := sh.document(args[0].text())
	if other == nil {
		return nil
	}
	for _, x := range other.outline.symbols {
		if x.within < 0 && (x.is == function || x.is == variable) && !strings.HasPrefix(x.name, "_") {
			all = append(all, candidate{label: x.name, kind: kindOf(x), detail: x.signature(), doc: x.markdown()})
		}
	}
	return all
}

func kindOf(x symbol) protocol.CompletionItemKind {
	if x.is == function {
		return aFunction
	}
	return aVariable
}

// argument returns the parameter of a builtin that a call gives at the cursor.
func (sh *shelf) argument(c *call) (a runtime.Arg, index int) {
	b, err := sh.rt.Builtin(c.callee)
	if err != nil {
		return a, -1
	}
	params := b.Params()
	if c.arg != "" {
		index = slices.IndexFunc(params, func(a runtime.Arg) bool { return a.Name == c.arg })
	} else if index = c.index; index >= b.MayBePositional() {
		index = -1
	}
	if index < 0 {
		return a, -1
	}
	return params[index], index
}

// arguments are what only an argument of this call may be: its name, and its value.
func (s *server) arguments(d *document, sh *shelf, c *call, offset int) (all []candidate) {
	if c == nil {
		return nil
	}
	a, _ := sh.argument(c)
	for _, word := range a.Choices {
		if c.whole {
			all = append(all, candidate{label: `"` + word + `"`, kind: aValue, detail: a.Name, first: true})
		}
	}
	if !c.start {
		return all
	}
	add := func(name, detail, doc string) {
		if !slices.Contains(c.used, name) {
			all = append(all, candidate{label: name + " =", insert: name + " = ", kind: aField,
				detail: detail, doc: doc, first: true})
		}
	}
	b, err := sh.rt.Builtin(c.callee)
	switch {
	case c.callee == "defaults" && sh.Name == siteName:
		for _, p := range sh.declared(outline.vars) {
			if p.callee == "var" {
				add(p.id, p.detail, p.markdown())
			}
		}
	case err == nil:
		for i, p := range b.Params() {
			if i >= c.index || i >= b.MayBePositional() {
				add(p.Name, p.Type+", "+defaultText(p), p.Help)
			}
		}
	default:
		p, _ := sh.meaning(d, c.callee, offset)
		for _, param := range p.params {
			if name, def, _ := strings.Cut(param, "="); !strings.HasPrefix(name, "*") {
				add(strings.TrimSpace(name), strings.TrimSpace(def), "")
			}
		}
	}
	return all
}

func defaultText(a runtime.Arg) string {
	if a.Default == "" {
		return "required"
	}
	return "default " + a.Default
}

// members are what may stand behind NAME and its dot.
func (s *server) members(d *document, sh *shelf, space string, offset int) (all []candidate) {
	if p, ok := sh.meaning(d, space, offset); ok {
		b, err := sh.rt.Builtin(p.callee)
		for _, f := range fields[returns(b, err)] {
			all = append(all, candidate{label: f, kind: aField})
		}
		return all
	}
	if space == "vars" && sh.Name == siteName {
		for _, p := range sh.declared(outline.vars) {
			all = append(all, candidate{label: p.id, kind: aVariable, detail: p.detail, doc: p.markdown()})
		}
	}
	for _, b := range sh.rt.Builtins() {
		if member, ok := strings.CutPrefix(b.Name, space+"."); ok {
			all = append(all, s.ofBuiltin(b, member))
		}
	}
	return all
}

// fields are those of what builtins return.
var fields = map[string][]string{
	"result": {"changed", "code", "stdout", "stderr"},
	"answer": {"code", "stdout", "stderr"},
}

func returns(b *runtime.Builtin, err error) string {
	if err != nil {
		return ""
	}
	return b.Returns()
}

func (s *server) ofBuiltin(b *runtime.Builtin, label string) candidate {
	kind := aFunction
	if b.Property {
		kind = aProperty
	}
	return candidate{label: label, kind: kind, detail: b.Summary, doc: s.Describe(b)}
}

// names are what may stand anywhere.
func (s *server) names(d *document, sh *shelf, offset int) (all []candidate) {
	for _, x := range d.outline.visible(offset) {
		p, _ := sh.meaning(d, x.name, offset)
		c := candidate{label: x.name, kind: kindOf(p.symbol), doc: p.markdown(), first: true}
		c.detail = firstOf(p.signature(), p.module)
		all = append(all, c)
	}
	site := sh.Name == siteName
	for _, b := range sh.rt.Builtins() {
		space, _, dotted := strings.Cut(b.Name, ".")
		known := slices.ContainsFunc(all, func(c candidate) bool { return c.label == space })
		switch {
		case b.ForSite() && !site || site && (space == step || space == "manual"):
		case !dotted:
			all = slices.DeleteFunc(all, func(c candidate) bool { return c.label == space })
			all = append(all, s.ofBuiltin(b, b.Name))
		case !known:
			all = append(all, candidate{label: space, kind: aSpace})
		}
	}
	if site {
		all = append(all, candidate{label: "vars", kind: aSpace, detail: "the runbook's vars and secrets"})
	}
	for _, w := range append(sh.rt.Universe(), append(keywords, "load")...) {
		kind := aKeyword
		if !slices.Contains(keywords, w) && w != "load" {
			kind = aFunction
		}
		all = append(all, candidate{label: w, kind: kind})
	}
	return all
}
