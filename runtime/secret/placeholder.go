package secret

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Placeholders are the texts that stand for the secrets of one load of a
// runbook: <secret:NAME#NONCE>, with a nonce that no other load has. With :json
// at its end a placeholder stands for the secret as it is written between the
// quotes of a JSON or YAML text, with :NUMBER for another of its encodings; those
// come from a Vault only.
type Placeholders struct {
	nonce string
	re    *regexp.Regexp
}

// The kinds of placeholders, by the end of their text.
const (
	plain  = ""
	quoted = ":json"
)

// encoded is the kind of the i'th of a secret's encodings.
func encoded(i int) string { return ":" + strconv.Itoa(i) }

// NewPlaceholders returns those of a new load.
func NewPlaceholders() *Placeholders {
	b := make([]byte, 12)
	rand.Read(b) // never fails
	nonce := hex.EncodeToString(b)
	return &Placeholders{nonce, regexp.MustCompile(`<secret:([A-Za-z0-9_]+)#` + nonce + `(:json|:[0-9]{1,4})?>`)}
}

// Of returns the placeholder of the secret called name.
func (p *Placeholders) Of(name string) string { return p.of(name, plain) }

func (p *Placeholders) of(name, kind string) string {
	return "<secret:" + name + "#" + p.nonce + kind + ">"
}

// In reports whether text carries a placeholder or a piece of one.
func (p *Placeholders) In(text string) bool {
	const piece = 8
	text = strings.ToLower(text)
	for i := 0; i+piece <= len(p.nonce); i += piece {
		if strings.Contains(text, p.nonce[i:i+piece]) {
			return true
		}
	}
	return false
}

// Names returns the names of the secrets whose placeholders are in text.
func (p *Placeholders) Names(text string) (names []string) {
	for _, m := range p.re.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

// Leaks returns a function that reports whether a text holds a piece of a
// placeholder or one of values, for a last look before it is written. Values in
// the public text of the run or shorter than eight bytes are not looked for.
func (p *Placeholders) Leaks(values map[string]string, public string) func(text string) bool {
	var guarded []string
	for _, v := range values {
		if len(v) >= 8 && !strings.Contains(public, v) {
			guarded = append(guarded, v)
		}
	}
	return func(text string) bool {
		return p.In(text) || slices.ContainsFunc(guarded, func(v string) bool { return strings.Contains(text, v) })
	}
}

// The placeholders of any load.
var (
	anyPlaceholder = regexp.MustCompile(`<secret:([A-Za-z0-9_]+)#[0-9a-f]{24}(:json|:[0-9]{1,4})?>`)
	anyPlain       = regexp.MustCompile(`(<secret:[A-Za-z0-9_]+#[0-9a-f]{24})>`)
	anyQuoted      = regexp.MustCompile(`(<secret:[A-Za-z0-9_]+#[0-9a-f]{24}):json>`)
)

// Readable returns text with every placeholder, of whatever load, as people know
// it: <secret:NAME>.
func Readable(text string) string { return anyPlaceholder.ReplaceAllString(text, "<secret:$1>") }

// Without returns text with a letter in the place of every placeholder, of whatever load.
func Without(text string) string { return anyPlaceholder.ReplaceAllString(text, "x") }

// Same reports whether two texts hold the same, where each may hold secrets as
// they are or as they stand in a quoted text.
func Same(a, b []byte) bool {
	return bytes.Equal(anyQuoted.ReplaceAll(a, []byte("$1>")), anyQuoted.ReplaceAll(b, []byte("$1>")))
}

// Quotable returns s with its secrets marked to be written between the double
// quotes of a YAML or JSON text, and whether it holds any.
func Quotable(s string) (string, bool) {
	q := anyPlain.ReplaceAllString(s, "$1:json>")
	return q, q != s
}
