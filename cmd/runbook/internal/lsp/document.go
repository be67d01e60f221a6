package lsp

import (
	"sort"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/a-h/templ/lsp/protocol"
)

// A document is a text with what is known of it. It is not changed: an edit makes another one.
type document struct {
	text    string
	version uint32
	lines   []int // where each line begins
	utf8    bool  // columns count bytes, and not UTF-16 as the protocol has it if nothing else is agreed
	tokens  []token
	outline outline
}

func newDocument(text string, version uint32, utf8 bool) *document {
	d := &document{text: text, version: version, utf8: utf8, lines: []int{0}}
	for i := 0; i < len(text); i++ {
		if text[i] == '\n' || text[i] == '\r' && (i+1 == len(text) || text[i+1] != '\n') {
			d.lines = append(d.lines, i+1)
		}
	}
	d.tokens = scan(text)
	d.outline = outlineOf(text, d.tokens)
	return d
}

// line returns a line without its end, and where it begins. Lines behind the end are empty.
func (d *document) line(n int) (text string, from int) {
	if n >= len(d.lines) {
		return "", len(d.text)
	}
	from = d.lines[n]
	text = d.text[from:]
	if n+1 < len(d.lines) {
		text = d.text[from:d.lines[n+1]]
	}
	return strings.TrimRight(text, "\r\n"), from
}

// offset returns the byte that a position means. A column behind the end of its line is the end; one within a character
// is the beginning of it.
func (d *document) offset(p protocol.Position) int {
	line, from := d.line(int(min(p.Line, uint32(len(d.lines)))))
	column := int(min(p.Character, uint32(len(line))))
	if d.utf8 {
		for column > 0 && column < len(line) && !utf8.RuneStart(line[column]) {
			column--
		}
		return from + column
	}
	units := 0
	for i, r := range line {
		if units += max(utf16.RuneLen(r), 1); units > int(p.Character) {
			return from + i
		}
	}
	return from + len(line)
}

// position returns where a byte is.
func (d *document) position(offset int) protocol.Position {
	n := sort.SearchInts(d.lines, offset+1) - 1
	before := d.text[d.lines[n]:offset]
	column := len(before)
	if !d.utf8 {
		column = 0
		for _, r := range before {
			column += max(utf16.RuneLen(r), 1)
		}
	}
	return protocol.Position{Line: uint32(n), Character: uint32(column)}
}

func (d *document) span(from, to int) protocol.Range {
	return protocol.Range{Start: d.position(from), End: d.position(to)}
}

// at returns the byte at a line and a column in characters, both from 1, as the interpreter counts them.
func (d *document) at(line, column int) int {
	text, from := d.line(max(line-1, 0))
	for i := range text {
		if column--; column < 1 {
			return from + i
		}
	}
	return from + len(text)
}

// word returns the end of what begins at a byte: a token, or else the character.
func (d *document) word(from int) int {
	for _, t := range d.tokens {
		if t.from <= from && from < t.to {
			if nl := strings.IndexByte(d.text[from:t.to], '\n'); nl > 0 {
				return from + nl // a text over several lines
			}
			return t.to
		}
	}
	if from >= len(d.text) || d.text[from] == '\n' || d.text[from] == '\r' {
		return from
	}
	_, n := utf8.DecodeRuneInString(d.text[from:])
	return from + n
}

// edited returns the document after the changes of a client: each is another text, or a piece of the one before.
func (d *document) edited(changes []protocol.TextDocumentContentChangeEvent, version uint32) *document {
	for _, c := range changes {
		text := c.Text
		if c.Range != nil {
			from, to := d.offset(c.Range.Start), d.offset(c.Range.End)
			text = d.text[:min(from, to)] + c.Text + d.text[max(from, to):]
		}
		d = newDocument(text, version, d.utf8)
	}
	return d
}
