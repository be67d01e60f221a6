package lsp

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/a-h/templ/lsp/protocol"
)

func (s *server) definition(p protocol.DefinitionParams) (any, error) {
	d, sh, offset, err := s.here(p.TextDocumentPositionParams)
	if err != nil {
		return nil, err
	}
	defer sh.Close()
	t, _, _, ok := sh.target(d, offset)
	if !ok {
		return nil, nil
	}
	file := filepath.Join(sh.Top, filepath.FromSlash(t.file))
	switch {
	case t.doc == d:
		return protocol.Location{URI: p.TextDocument.URI, Range: d.span(t.at, t.end)}, nil
	case t.shipped:
		if file, err = s.Shipped(t.file); err != nil {
			return nil, err
		}
	}
	return protocol.Location{URI: protocol.DocumentURI(uriOf(file)), Range: t.doc.span(t.at, t.end)}, nil
}

// target returns what defines the name, the step or the file that stands at a byte.
func (sh *shelf) target(d *document, offset int) (p place, from, to int, ok bool) {
	if value, from, to := d.textAt(offset); to > from {
		p, ok := sh.named(d, value, d.cursor(offset).call, from)
		return p, from, to, ok
	}
	id, space, from, to := d.nameAt(offset)
	switch {
	case id == "" || d.isArgument(to) && d.cursor(from).call != nil:
		c := d.cursor(from).call
		if id != "" && sh.Name == siteName && c.callee == "defaults" {
			p, ok = sh.theVar(id)
		}
	case space == "vars" && sh.Name == siteName:
		p, ok = sh.theVar(id)
	case space == "":
		p, ok = sh.meaning(d, id, offset)
	}
	return p, from, to, ok
}

// theVar is a var or secret of the runbooks beside a site's file.
func (sh *shelf) theVar(id string) (place, bool) {
	return find(sh.declared(outline.vars), id)
}

func find(all []place, id string) (p place, ok bool) {
	if i := slices.IndexFunc(all, func(p place) bool { return p.id == id }); i >= 0 {
		return all[i], true
	}
	return p, false
}

// named is what a text means in an argument of a call: a file, a name in one, a step.
func (sh *shelf) named(d *document, value string, c *call, at int) (p place, ok bool) {
	switch {
	case c == nil:
	case c.callee == "load" && c.index == 0:
		p.file = value
		p.doc, p.shipped = sh.document(value)
		return p, p.doc != nil
	case c.callee == "load":
		for _, x := range d.outline.symbols {
			if x.is == loaded && x.at <= at && at <= x.end {
				return sh.meaning(d, x.name, -1)
			}
		}
	case slices.Contains(tweaks, c.callee) && (c.arg == "step" || c.arg == "" && c.index == 0):
		if p, ok = find(sh.steps(d), value); !ok {
			return p, false
		}
		if f, ok := sh.meaningIn(p, p.fn); ok && f.is == function {
			f.symbol.is, f.id, f.detail = step, p.id, p.detail
			return f, true
		}
		return p, true
	}
	return p, ok
}

// meaningIn follows a name as the file of p has it.
func (sh *shelf) meaningIn(p place, id string) (place, bool) {
	other := *sh
	other.Name = p.file
	f, ok := other.meaning(p.doc, id, -1)
	if f.doc == p.doc {
		f.shipped = p.shipped
	}
	return f, ok
}

func (s *server) documentSymbol(p protocol.DocumentSymbolParams) (any, error) {
	d, err := s.document(string(p.TextDocument.URI))
	if err != nil {
		return nil, err
	}
	all := []protocol.DocumentSymbol{}
	for _, x := range d.outline.symbols {
		if x.within >= 0 || x.is == loaded {
			continue
		}
		kind := protocol.SymbolKindVariable
		switch {
		case x.is == function:
			kind = protocol.SymbolKindFunction
		case x.is == step:
			kind = protocol.SymbolKindEvent
		case x.callee == "var" || x.callee == "secret":
			kind = protocol.SymbolKindProperty
		}
		detail := x.detail
		if x.is == function {
			detail = strings.TrimPrefix(x.signature(), x.name)
		}
		all = append(all, protocol.DocumentSymbol{Name: x.name, Detail: detail, Kind: kind,
			Range: d.span(x.from, x.to), SelectionRange: d.span(x.at, x.end)})
	}
	return all, nil
}
