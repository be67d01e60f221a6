package lsp

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind uint8

const (
	name kind = iota
	number
	text
	punct
	newline // the end of a statement, not of a line within brackets
	comment
)

// A token is a piece of a text that need not be right: somebody is typing it.
type token struct {
	kind     kind
	from, to int
	depth    int  // brackets around it
	column   int  // in bytes, from 0
	open     bool // a text that does not end
}

func (t token) of(src string) string { return src[t.from:t.to] }

// scan cuts a text into tokens. The interpreter's own scanner stops at the first mistake. What stands at the beginning
// of a line and begins a statement is in no brackets: those before it were not closed yet.
func scan(src string) (tokens []token) {
	depth, lineFrom := 0, 0
	for i := 0; i < len(src); {
		t := token{from: i, depth: depth, column: i - lineFrom}
		r, n := utf8.DecodeRuneInString(src[i:])
		switch {
		case r == '\n' || r == '\r':
			if t.kind, t.to = newline, i+1; depth > 0 {
				t.kind = comment // of no meaning
			}
			lineFrom = t.to
		case r == '#':
			t.kind, t.to = comment, i+lineLength(src[i:])
		case r == '\\' && i+1 < len(src) && src[i+1] == '\n':
			t.kind, t.to = comment, i+2
			lineFrom = t.to
		case isSpace(r):
			i += n
			continue
		case quoteAt(src[i:]) >= 0:
			t.kind = text
			t.to, t.open = textEnd(src, i)
			if nl := strings.LastIndexByte(src[i:t.to], '\n'); nl >= 0 {
				lineFrom = i + nl + 1
			}
		case isWord(r):
			t.kind, t.to = word(src, i)
			if t.kind == name && t.column == 0 && depth > 0 {
				tokens = append(tokens, token{kind: newline, from: i, to: i})
				t.depth, depth = 0, 0
			}
		default:
			t.kind, t.to = punct, i+punctLength(src[i:], n)
			switch r {
			case '(', '[', '{':
				depth++
			case ')', ']', '}':
				depth = max(depth-1, 0)
				t.depth = depth
			}
		}
		tokens = append(tokens, t)
		i = t.to
	}
	return tokens
}

func isSpace(r rune) bool { return r == ' ' || r == '\t' || r == '\f' }

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// word returns the kind and the end of a name or number.
func word(src string, from int) (k kind, to int) {
	k = name
	if src[from] >= '0' && src[from] <= '9' {
		k = number
	}
	for i, r := range src[from:] {
		if !isWord(r) && (k == name || r != '.') {
			return k, from + i
		}
	}
	return k, len(src)
}

func lineLength(src string) int {
	if n := strings.IndexAny(src, "\r\n"); n >= 0 {
		return n
	}
	return len(src)
}

func punctLength(src string, n int) int {
	for _, two := range []string{"==", "!=", "<=", ">=", "+=", "-=", "*=", "/=", "//", "%=", "|=", "&=", "**"} {
		if strings.HasPrefix(src, two) {
			return 2
		}
	}
	return n
}

// quoteAt returns where the quote of a text is that begins here, perhaps behind an r or b; -1 if none begins.
func quoteAt(src string) int {
	i := 0
	for i < len(src) && i < 2 && (src[i] == 'r' || src[i] == 'b') {
		i++
	}
	if i < len(src) && (src[i] == '"' || src[i] == '\'') {
		return i
	}
	return -1
}

// textEnd returns where the text ends that begins at from. One that lacks its quote ends with the line.
func textEnd(src string, from int) (to int, open bool) {
	i := from + quoteAt(src[from:])
	quote := src[i : i+1]
	if long := strings.Repeat(quote, 3); strings.HasPrefix(src[i:], long) {
		quote = long
	}
	for i += len(quote); i < len(src); i++ {
		switch {
		case strings.HasPrefix(src[i:], quote):
			return i + len(quote), false
		case src[i] == '\\':
			i++
		case (src[i] == '\n' || src[i] == '\r') && len(quote) == 1:
			return i, true
		}
	}
	return len(src), true
}

// unquoted returns what the text stands for; escapes that nobody uses in documents stay as they are.
func unquoted(lit string) string {
	i := quoteAt(lit)
	if i < 0 {
		return ""
	}
	raw := strings.Contains(lit[:i], "r")
	lit = lit[i:]
	for _, quote := range []string{`"""`, `'''`, `"`, `'`} {
		if inner, ok := strings.CutPrefix(lit, quote); ok {
			lit = strings.TrimSuffix(inner, quote)
			break
		}
	}
	if raw {
		return lit
	}
	return strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\"`, `"`, `\'`, `'`, `\\`, `\`, "\\\n", "").Replace(lit)
}

// meaningful returns the tokens without comments.
func meaningful(tokens []token) []token {
	return slices.DeleteFunc(slices.Clone(tokens), func(t token) bool { return t.kind == comment })
}
