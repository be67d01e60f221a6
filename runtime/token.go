package runtime

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A token is a piece of a file that does not parse: a name or number, a text with its
// quotes, the end of a line, or one sign.
type token struct {
	kind byte // 'a' name or number, '"' text, '\n' end of a line, '.' sign, 0 end of the file
	text string
	line int32
	col  int32 // of its first character, in runes, from 1
	end  int32 // column after it, on its last line
	last int32 // its last line
}

// tokens cuts a file. Comments, blanks and ends of lines within brackets are left out.
func tokens(src string) (all []token) {
	line, col, depth := int32(1), int32(1), 0
	for src != "" {
		n, kind := tokenSize(src)
		t := token{kind: kind, text: src[:n], line: line, col: col}
		for _, r := range t.text {
			if col++; r == '\n' {
				line, col = line+1, 1
			}
		}
		if t.end, t.last = col, line; kind == '\n' {
			t.end, t.last = t.col, t.line
		}
		if kind == '.' && strings.Contains("([{", t.text) {
			depth++
		} else if kind == '.' && strings.Contains(")]}", t.text) {
			depth = max(0, depth-1)
		}
		if kind != ' ' && (kind != '\n' || depth == 0) {
			all = append(all, t)
		}
		src = src[n:]
	}
	return append(all, token{line: line, col: col, end: col, last: line})
}

// tokenSize returns the length and the kind of the first token of src; ' ' is what
// means nothing.
func tokenSize(src string) (n int, kind byte) {
	r, size := utf8.DecodeRuneInString(src)
	switch {
	case r == '\n':
		return 1, '\n'
	case r == '#':
		if n = strings.IndexByte(src, '\n'); n < 0 {
			n = len(src)
		}
		return n, ' '
	case r == '"' || r == '\'':
		return textSize(src), '"'
	case r == ' ' || r == '\t' || r == '\r':
		return 1, ' '
	case wordRune(r):
		if n = strings.IndexFunc(src, func(r rune) bool { return !wordRune(r) }); n < 0 {
			n = len(src)
		}
		return n, 'a'
	}
	return size, '.'
}

func wordRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// textSize returns the length of a text in quotes; one that is not closed ends with its
// line, or with the file.
func textSize(src string) int {
	quote := src[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(src, triple) {
		quote = triple
	}
	for i := len(quote); i < len(src); i++ {
		switch {
		case src[i] == '\\':
			i++
		case strings.HasPrefix(src[i:], quote):
			return i + len(quote)
		case src[i] == '\n' && len(quote) == 1:
			return i
		}
	}
	return len(src)
}

// at returns the index of the token that a parser complains about: the one that begins
// where it stands or, if it is behind the token, the one that ends there.
func at(all []token, line, col int32, behind bool) int {
	i := slices.IndexFunc(all, func(t token) bool {
		if behind {
			return t.last > line || t.last == line && t.end >= col
		}
		return t.line > line || t.line == line && t.col >= col
	})
	if i < 0 {
		return len(all) - 1
	}
	return i
}

// opened returns the brackets that are open before all[i], outermost first.
func opened(all []token, i int) (open []token) {
	for _, t := range all[:i] {
		switch {
		case t.kind == '.' && strings.Contains("([{", t.text):
			open = append(open, t)
		case t.kind == '.' && strings.Contains(")]}", t.text) && len(open) > 0:
			open = open[:len(open)-1]
		}
	}
	return open
}

// begins reports whether all[i] is the first of its line.
func begins(all []token, i int) bool {
	return i == 0 || all[i-1].kind == '\n' || all[i-1].last < all[i].line
}

// lineStart is the column of the first token of the line of t.
func lineStart(all []token, t token) int32 {
	for _, x := range all {
		if x.line == t.line && x.kind != '\n' {
			return x.col
		}
	}
	return t.col
}
