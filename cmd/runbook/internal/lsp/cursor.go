package lsp

import (
	"slices"
	"strings"
)

// A cursor is what stands before and around the place where somebody types.
type cursor struct {
	word    string // the beginning of a name, or of what stands in quotes
	from    int    // where it begins
	space   string // NAME of NAME.word
	quoted  bool   // it stands in quotes
	comment bool
	call    *call // the innermost call that it is an argument of; nil: none
}

// A call is one that is being typed.
type call struct {
	callee string // "conda.install"
	index  int    // arguments before the one at the cursor
	arg    string // name of the one at the cursor
	used   []string
	whole  bool // the cursor is at the argument itself and not in a list or another expression in it
	start  bool // nothing stands before the word in it
	open   int  // its parenthesis, among the tokens
}

// at returns what is to be known of a byte of a document.
func (d *document) cursor(offset int) cursor {
	c := cursor{from: offset}
	tokens := meaningful(d.tokens)
	end := 0
	for end < len(tokens) && tokens[end].from < offset {
		end++
	}
	c.comment = slices.ContainsFunc(d.tokens, func(t token) bool {
		return t.kind == comment && d.text[t.from] == '#' && t.from < offset && offset <= t.to
	})
	r := reader{outline: d.outline, tokens: tokens}
	before := end // tokens before the word
	if last := end - 1; last >= 0 {
		t := tokens[last]
		switch inside := offset < t.to || t.open && offset == t.to; {
		case t.kind == text && inside:
			c.quoted, before = true, last
			c.from = min(t.from+quoteAt(t.of(d.text))+1, offset)
			if long := d.text[c.from-1 : min(c.from+2, len(d.text))]; long == `"""` || long == `'''` {
				c.from = min(c.from+2, offset)
			}
		case t.kind == name && offset <= t.to:
			c.from, before = t.from, last
		}
	}
	c.word = d.text[c.from:offset]
	if !c.quoted && before > 1 && r.text(before-1) == "." && r.is(before-2, name) && r.text(before-3) != "." {
		c.space = r.text(before - 2)
	}
	c.call = r.callAt(before)
	return c
}

// callAt returns the innermost call that the tokens before one have opened.
func (r *reader) callAt(before int) *call {
	var stack []call
	for i := 0; i < before; i++ {
		t := r.tokens[i]
		switch s := r.text(i); {
		case t.depth == 0 && (t.kind == newline || t.kind == name && t.column == 0):
			stack = nil
		case s == "(" || s == "[" || s == "{":
			stack = append(stack, call{callee: r.called(i), open: i, start: true, whole: true})
			continue
		case len(stack) == 0:
		case s == ")" || s == "]" || s == "}":
			stack = stack[:len(stack)-1]
		case s == ",":
			top := &stack[len(stack)-1]
			top.index, top.arg, top.start, top.whole = top.index+1, "", true, true
			continue
		case s == "=" && i > 0 && r.is(i-1, name):
			top := &stack[len(stack)-1]
			top.arg, top.start, top.whole = r.text(i-1), false, true
			continue
		}
		if len(stack) > 0 {
			top := &stack[len(stack)-1]
			top.start, top.whole = false, false
		}
	}
	for i := len(stack) - 1; i >= 0; i-- {
		if c := stack[i]; c.callee != "" {
			inList := i == len(stack)-2 && r.isList(stack[i+1].open)
			innermost := i == len(stack)-1
			c.whole = c.whole && (innermost || inList && stack[i+1].whole)
			c.start = c.start && innermost
			c.used = r.usedIn(c.open)
			return &c
		}
	}
	return nil
}

// isList reports whether a token opens a list, and not an index.
func (r *reader) isList(open int) bool {
	before := r.text(open - 1)
	indexed := open > 0 && (r.is(open-1, name) && !slices.Contains(keywords, before) || before == ")" || before == "]")
	return r.text(open) == "[" && !indexed
}

// called returns the name of what an opening parenthesis calls; "" if it calls nothing.
func (r *reader) called(open int) string {
	if r.text(open) != "(" || open == 0 || !r.is(open-1, name) || slices.Contains(keywords, r.text(open-1)) {
		return ""
	}
	callee, before := r.text(open-1), r.text(open-2)
	switch {
	case before == "def":
		return ""
	case before == "." && open > 2 && r.is(open-3, name):
		return r.text(open-3) + "." + callee
	case before == ".":
		return ""
	}
	return callee
}

// usedIn returns the names that arguments of a call have, also of those behind the cursor.
func (r *reader) usedIn(open int) (used []string) {
	args, _ := r.arguments(open)
	for _, a := range args {
		if a.name != "" {
			used = append(used, a.name)
		}
	}
	return used
}

var keywords = strings.Fields("and break continue def else elif for if in lambda not or pass return")

// nameAt returns the name at a byte, what stands before its dot, and where it is.
func (d *document) nameAt(offset int) (id, space string, from, to int) {
	tokens := meaningful(d.tokens)
	r := reader{outline: d.outline, tokens: tokens}
	for i, t := range tokens {
		if t.kind == name && t.from <= offset && offset <= t.to {
			if r.text(i-1) == "." && i > 1 && r.is(i-2, name) && r.text(i-3) != "." {
				space = r.text(i - 2)
			}
			return r.text(i), space, t.from, t.to
		}
	}
	return "", "", offset, offset
}

// textAt returns the text in quotes at a byte, and where it is.
func (d *document) textAt(offset int) (value string, from, to int) {
	for _, t := range d.tokens {
		if t.kind == text && t.from <= offset && offset <= t.to {
			return unquoted(t.of(d.text)), t.from, t.to
		}
	}
	return "", offset, offset
}
