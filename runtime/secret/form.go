package secret

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"runbook/runtime/host"
)

// A form is a text under which a secret may appear in output.
type form struct {
	text, placeholder string
	public            bool // it occurs in the public text
}

// encodings returns the texts that programs make of value when they print, quote
// or send it, and its long lines: all but value itself and what stands between the
// quotes of a JSON text, which have placeholders of their own. The order depends on
// value alone: a placeholder holds the index.
func encodings(value string) (texts []string) {
	all := slices.Concat(longLines(value), inAddresses(value), inLiterals(value), inShells(value),
		inHex(value), inDumps(value), inBase64(value), []string{strings.ToUpper(value), strings.ToLower(value)})
	for _, text := range all {
		if len(text) >= Shortest && text != value && text != quote(value) && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

// longLines are the lines of a key or the like: a command may print one alone.
// Short ones could not be distinguished from ordinary text.
func longLines(value string) (lines []string) {
	for l := range strings.Lines(value) {
		if l = strings.TrimSpace(l); len(l) >= 2*Shortest && l != value {
			lines = append(lines, l)
		}
	}
	return lines
}

// inAddresses are the forms of value in URLs, bodies of forms and markup.
func inAddresses(value string) (texts []string) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	path, query := url.PathEscape(value), url.QueryEscape(value)
	user := url.UserPassword("", value).String()[1:]
	texts = append(texts, path, query, user, host.PlainPath(value), host.PlainPath(path))
	for _, plain := range []string{"-_.~", "-_.~/", "-_.!~*'()", "-_.!~*'();,/?:@&=+$#", "-_.", ""} {
		text := escapeBytes(value, func(b byte) bool { return strings.IndexByte(letters+plain, b) >= 0 }, "%%%02X")
		texts = append(texts, text, strings.ReplaceAll(text, "%20", "+"))
	}
	for _, t := range slices.Clone(texts) {
		texts = append(texts, lowerEscapes(t))
	}
	return append(texts, html.EscapeString(value),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(value),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;").Replace(value),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(value))
}

// lowerEscapes writes the digits of percent signs in lower case.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], strings.ToLower(string(b[i+1:i+3])))
		}
	}
	return string(b)
}

// inLiterals are the forms of value between the quotes of programming languages,
// JSON, YAML, SQL, CSV and configuration files.
func inLiterals(value string) (texts []string) {
	for _, quotes := range []string{`"`, "'", `"'`, ""} {
		for _, escape := range []func(rune) string{
			pythonEscape(false), pythonEscape(true), jsonEscape(false), jsonEscape(true), octalEscape,
		} {
			texts = append(texts, escapeRunes(value, quotes, escape))
		}
	}
	goForms := []string{strconv.Quote(value), strconv.QuoteToASCII(value)}
	for _, q := range goForms {
		texts = append(texts, q[1:len(q)-1])
	}
	for _, t := range []string{quote(value), quote(quote(value)), escapeRunes(value, `"`, jsonEscape(true))} {
		texts = append(texts, t, strings.ReplaceAll(t, "/", `\/`))
	}
	for _, double := range []string{"'", `"`, "%", "$", "{", `\`} {
		texts = append(texts, strings.ReplaceAll(value, double, double+double))
	}
	inBytes := func(b byte) bool { return b >= ' ' && b < 0x7f && b != '\\' }
	return append(texts, escapeBytes(value, inBytes, `\x%02x`))
}

// inShells are the forms of value that shells print, as with set -x.
func inShells(value string) []string {
	special := func(r rune) bool { return strings.ContainsRune(" \t\n|&;<>()$`\\\"'*?[]#~=%!{}^,", r) }
	backslashes := func(special func(rune) bool) string {
		var b strings.Builder
		for _, r := range value {
			if special(r) {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
		return b.String()
	}
	return []string{
		strings.ReplaceAll(value, "'", `'\''`),
		strings.ReplaceAll(value, "'", `'"'"'`),
		backslashes(special),
		backslashes(func(r rune) bool { return special(r) && !strings.ContainsRune("#~=%", r) }),
		backslashes(func(r rune) bool { return strings.ContainsRune("\"$`\\", r) }),
		backslashes(func(r rune) bool { return strings.ContainsRune(`\.+*?()|[]{}^$`, r) }),
		backslashes(func(r rune) bool { return strings.ContainsRune("\\.+*?()|[]{}^$-#&~ \t\n\r\v\f", r) }),
		backslashes(func(r rune) bool { return r < 0x80 && !isWord(r) }),
	}
}

func isWord(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// inHex are the forms of value in base 16, as one word or byte by byte.
func inHex(value string) (texts []string) {
	digits := hex.EncodeToString([]byte(value))
	for _, between := range []string{"", " ", ":", "-", `\x`, ", 0x"} {
		text := digits
		if between != "" {
			var pairs []string
			for i := 0; i < len(digits); i += 2 {
				pairs = append(pairs, digits[i:i+2])
			}
			text = strings.Join(pairs, between)
		}
		upper := strings.NewReplacer("a", "A", "b", "B", "c", "C", "d", "D", "e", "E", "f", "F")
		texts = append(texts, text, upper.Replace(text))
	}
	return append(texts, broken(digits, 60)...) // as xxd -p breaks lines
}

// inDumps are the lines of value's first bytes and those after them in od, xxd and hexdump.
func inDumps(value string) (texts []string) {
	for data := []byte(value); len(data) >= Shortest; data = data[min(len(data), 16):] {
		line := data[:min(len(data), 16)]
		pairs := strings.ReplaceAll(fmt.Sprintf("% x", line), " ", "")
		words := strings.TrimSpace(string(regexp.MustCompile("....").ReplaceAll([]byte(pairs), []byte("$0 "))))
		halves := fmt.Sprintf("% x  % x", line[:min(len(line), 8)], line[min(len(line), 8):])
		texts = append(texts, words, strings.TrimSpace(halves), fmt.Sprintf("% x", line))
	}
	return texts
}

// inBase64 are the characters of base 64 and base 32 that value alone decides,
// wherever it begins in what is encoded: after "user:", for example.
func inBase64(value string) (texts []string) {
	for before := range 5 {
		data := append(make([]byte, before), value...)
		decided := func(text string, bits int) string { return text[(before*8+bits-1)/bits : len(data)*8/bits] }
		if before < 3 {
			texts = append(texts, decided(base64.RawStdEncoding.EncodeToString(data), 6),
				decided(base64.RawURLEncoding.EncodeToString(data), 6))
		}
		texts = append(texts, decided(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(data), 5))
	}
	for _, width := range []int{64, 76} { // as openssl and base64 break lines
		texts = append(texts, broken(texts[0], width)...)
	}
	return texts
}

// broken returns the lines of a text that is broken at a width.
func broken(text string, width int) (lines []string) {
	for len(text) > width {
		lines, text = append(lines, text[:width]), text[width:]
	}
	return append(lines, text)
}

// escapeBytes writes the bytes of s that are not plain by a format.
func escapeBytes(s string, plain func(byte) bool, format string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if plain(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, format, c)
		}
	}
	return b.String()
}

// escapeRunes writes s with a backslash before backslashes and quotes, and what
// other returns, unless that is "", for the other characters.
func escapeRunes(s, quotes string, other func(rune) string) string {
	var b strings.Builder
	for _, r := range s {
		text := other(r)
		switch i := strings.IndexRune("\n\t\r", r); {
		case r == '\\' || strings.ContainsRune(quotes, r):
			b.WriteString(`\` + string(r))
		case i >= 0:
			b.WriteString(`\` + "ntr"[i:i+1])
		case text != "":
			b.WriteString(text)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// pythonEscape is how Python's repr, or its ascii, writes a character.
func pythonEscape(ascii bool) func(rune) string {
	return func(r rune) string {
		switch {
		case r < ' ' || r == 0x7f || r < 0x100 && r > 0x7f && (ascii || !strconv.IsPrint(r)):
			return fmt.Sprintf(`\x%02x`, r)
		case r < 0x80 || !ascii && strconv.IsPrint(r):
			return ""
		case r < 0x10000:
			return fmt.Sprintf(`\u%04x`, r)
		}
		return fmt.Sprintf(`\U%08x`, r)
	}
}

// jsonEscape is how JSON's writers escape a character that is no ASCII.
func jsonEscape(ascii bool) func(rune) string {
	return func(r rune) string {
		switch {
		case r == '\b' || r == '\f':
			return map[rune]string{'\b': `\b`, '\f': `\f`}[r]
		case r >= 0x10000 && ascii:
			high, low := utf16.EncodeRune(r)
			return fmt.Sprintf(`\u%04x\u%04x`, high, low)
		case r < ' ' || r >= 0x7f && ascii:
			return fmt.Sprintf(`\u%04x`, r)
		}
		return ""
	}
}

// octalEscape is how C programs and shells write bytes that are no ASCII.
func octalEscape(r rune) string {
	if r >= ' ' && r < 0x7f {
		return ""
	}
	if i := strings.IndexRune("\a\b\v\f\x1b", r); i >= 0 && r < 0x80 {
		return `\` + "abvfE"[i:i+1]
	}
	return escapeBytes(string(r), func(byte) bool { return false }, `\%03o`)
}

// quote returns s as it stands between the quotes of a JSON text.
func quote(s string) string {
	b, _ := json.Marshal(s) // a string never fails
	return string(b[1 : len(b)-1])
}
