package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

//go:embed manual.css
var styleSheet string

// webPage returns Markdown as one HTML file that needs nothing else: a style sheet in it, no script, nothing that is
// fetched. HTML in the Markdown is left out.
func webPage(markdown string) (string, error) {
	source := []byte(markdown)
	md := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	doc := md.Parser().Parse(text.NewReader(source))
	title, contents := outline(doc, source)
	var body bytes.Buffer
	if err := md.Renderer().Render(&body, source, doc); err != nil {
		return "", fmt.Errorf("html: %w", err)
	}
	first, rest, _ := strings.Cut(body.String(), "</h1>\n")
	return fmt.Sprintf(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>%s</title>
<style>
%s</style>
%s</h1>
%s%s</html>
`, html.EscapeString(title), styleSheet, first, contents, rest), nil
}

// outline returns the first heading of a document, and links to those of its next two levels.
func outline(doc ast.Node, source []byte) (title, contents string) {
	var b strings.Builder
	level := 2
	for n := doc.FirstChild(); n != nil; n = n.NextSibling() {
		h, ok := n.(*ast.Heading)
		if !ok || h.Level > 3 {
			continue
		}
		words := plainText(h, source)
		if h.Level == 1 {
			title = words
			continue
		}
		for ; level < h.Level; level++ {
			b.WriteString("<ul>\n")
		}
		for ; level > h.Level; level-- {
			b.WriteString("</ul>\n")
		}
		id, _ := h.AttributeString("id")
		name, _ := id.([]byte)
		fmt.Fprintf(&b, "<li><a href=\"#%s\">%s</a>\n", html.EscapeString(string(name)), html.EscapeString(words))
	}
	for ; level > 2; level-- {
		b.WriteString("</ul>\n")
	}
	if b.Len() == 0 {
		return title, ""
	}
	return title, "<nav>\n<ul>\n" + b.String() + "</ul>\n</nav>\n"
}

// plainText is the text of a node without its markup.
func plainText(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the function returns no error
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return strings.ReplaceAll(b.String(), `\`, "")
}
