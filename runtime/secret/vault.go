// Package secret keeps secrets away from everything but the machine.
//
// A script, a trace and a builtin hold placeholders. A [Vault] has three verbs:
// Resolve puts secrets in the place of placeholders, on their way to a machine or
// a server; Mask puts placeholders in the place of secrets, in what comes back;
// Show writes both as people and traces see them, <secret:NAME>.
//
// Two things to know. A vault has two views. The vault itself hides every secret:
// it is for what commands print, errors and notes. [Vault.Public] hides only
// secrets that the public text of the run, which is the runbook, its vars and the
// names of the machine, does not hold: to hide an ordinary word there would tell
// which word it is, and a run would differ from its dry run. And a predicted run
// resolves nothing but requests to servers: an overlay sees placeholders.
//
// Package runtime makes a vault for each run; its door and its events use it.
package secret

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"runbook/runtime/host"
)

// Shortest is the length of the shortest secret, in bytes: a shorter one occurs
// in ordinary text, so it could not be masked.
const Shortest = 4

// ErrDamaged says that only a piece of a placeholder was there.
var ErrDamaged error = damaged{}

type damaged struct{}

func (damaged) Error() string { return "a secret's text was cut or changed" }

// Hint returns what cures the error.
func (damaged) Hint() string { return "use the secret as it is, with +, %, format or join" }

// notAsked is the error of a placeholder whose secret was not asked for.
type notAsked string

func (name notAsked) Error() string { return fmt.Sprintf("secret %s was not asked for", string(name)) }

// Hint returns what cures the error.
func (notAsked) Hint() string { return "its when= does not hold; do not use it then" }

// A Vault is the secrets of a run with their placeholders.
type Vault struct {
	*Placeholders
	values    map[string]string   // by name; of a predicted run those that servers may be asked with
	encoded   map[string][]string // by name; see encodings
	predicted bool
	forms     []form            // longest first
	masking   *strings.Replacer // nil without forms
	pieces    *pieces           // nil without any, and in a view for public text
	damage    *atomic.Bool      // Show met a piece of a placeholder
}

// Vault returns the vault of a run. public is the text that everybody may read;
// predicted says that only servers may be asked with the values.
func (p *Placeholders) Vault(values map[string]string, public string, predicted bool) *Vault {
	v := &Vault{Placeholders: p, values: values, encoded: map[string][]string{}, predicted: predicted,
		damage: new(atomic.Bool)}
	for name, value := range values {
		inPublic := strings.Contains(public, value)
		v.forms = append(v.forms, form{value, p.of(name, plain), inPublic})
		if q := quote(value); q != value {
			v.forms = append(v.forms, form{q, p.of(name, quoted), inPublic})
		}
		v.encoded[name] = encodings(value)
		for i, text := range v.encoded[name] {
			v.forms = append(v.forms, form{text, p.of(name, encoded(i)), inPublic || strings.Contains(public, text)})
		}
	}
	slices.SortFunc(v.forms, func(a, b form) int {
		if len(a.text) != len(b.text) {
			return len(b.text) - len(a.text)
		}
		return strings.Compare(a.placeholder, b.placeholder)
	})
	v.masking, v.pieces = v.replacer(), newPieces(values, public)
	return v
}

// Public returns the view for public text: it does not hide what occurs there.
func (v *Vault) Public() *Vault {
	p := *v
	p.forms = slices.DeleteFunc(slices.Clone(v.forms), func(f form) bool { return f.public })
	p.masking, p.pieces = p.replacer(), nil
	return &p
}

// replacer masks the forms, longest first. Placeholders and what people see of
// them stay, so that a secret that is a word of them does not damage them.
func (v *Vault) replacer() *strings.Replacer {
	if len(v.forms) == 0 {
		return nil
	}
	var pairs []string
	for name := range v.values {
		kinds := []string{plain, quoted}
		for i := range v.encoded[name] {
			kinds = append(kinds, encoded(i))
		}
		pairs = append(pairs, "<secret:"+name+">", "<secret:"+name+">")
		for _, kind := range kinds {
			pairs = append(pairs, v.of(name, kind), v.of(name, kind))
		}
	}
	for _, f := range v.forms {
		pairs = append(pairs, f.text, f.placeholder)
	}
	return strings.NewReplacer(pairs...)
}

// Holds reports whether a text holds a secret, in whatever form, or what stands for one.
func (v *Vault) Holds(text string) bool { return v.In(text) || string(v.Mask([]byte(text))) != text }

// Predicted reports whether v resolves requests to servers only.
func (v *Vault) Predicted() bool { return v.predicted }

// Missing returns the name of a secret in text that a request cannot be resolved
// with, "" if there is none.
func (v *Vault) Missing(text string) string {
	for _, name := range v.Names(text) {
		if _, ok := v.values[name]; !ok {
			return name
		}
	}
	return ""
}

// Resolve puts secrets in the place of placeholders, except in a predicted run.
// The error is ErrDamaged or names a secret without a value.
func (v *Vault) Resolve(text string) (string, error) {
	if v.predicted {
		return text, v.check(text)
	}
	return v.resolve(text, func(s string) string { return s })
}

// check refuses what cannot be resolved, whatever the values are.
func (v *Vault) check(text string) error {
	if v.In(text) && v.In(v.re.ReplaceAllString(text, "")) {
		return ErrDamaged
	}
	return nil
}

// resolve passes each secret through encode.
func (v *Vault) resolve(text string, encode func(string) string) (string, error) {
	if err := v.check(text); err != nil || !v.In(text) {
		return text, err
	}
	if name := v.Missing(text); name != "" {
		return "", notAsked(name)
	}
	var err error
	text = v.re.ReplaceAllStringFunc(text, func(placeholder string) string {
		m := v.re.FindStringSubmatch(placeholder)
		name, kind, encodings := m[1], m[2], v.encoded[m[1]]
		switch i, _ := strconv.Atoi(strings.TrimPrefix(kind, ":")); {
		case kind == plain:
			return encode(v.values[name])
		case kind == quoted:
			return quote(v.values[name])
		case i < len(encodings):
			return encodings[i]
		}
		err = ErrDamaged
		return ""
	})
	return text, err
}

// ResolveProcess resolves what p gets, and has its errors shown by v.
func (v *Vault) ResolveProcess(p host.Process) (host.Process, error) {
	stdin, err := v.Resolve(string(p.Stdin))
	if err != nil {
		return p, err
	}
	if p.Stdin != nil {
		p.Stdin = []byte(stdin)
	}
	argv := make([]string, len(p.Argv))
	for i, a := range p.Argv {
		if argv[i], err = v.Resolve(a); err != nil {
			return p, err
		}
	}
	env := make(map[string]string, len(p.Env))
	for k, value := range p.Env {
		if env[k], err = v.Resolve(value); err != nil {
			return p, err
		}
	}
	p.Argv, p.Env, p.Hide = argv, env, v.Show
	return p, nil
}

// ResolveRequest resolves a request to a server, in a predicted run too. What
// stands in a URL is escaped; a token is sent as it is.
func (v *Vault) ResolveRequest(r host.Request) (_ host.Request, err error) {
	if r.URL, err = v.resolve(r.URL, url.PathEscape); err != nil {
		return r, err
	}
	if r.Proxy, err = v.resolve(r.Proxy, url.PathEscape); err != nil {
		return r, err
	}
	r.Bearer, err = v.resolve(r.Bearer, func(s string) string { return s })
	return r, err
}

// Mask puts placeholders in the place of secrets: it is the inverse of Resolve.
func (v *Vault) Mask(text []byte) []byte {
	if v.masking == nil {
		return text
	}
	return []byte(v.masking.Replace(string(text)))
}

// MaskContent masks what a file holds. A file of more than 1 MiB is taken for
// data and passes as it is.
func (v *Vault) MaskContent(c host.Content) host.Content {
	const limit = 1 << 20
	if v.masking == nil {
		return c
	}
	return host.Content{Open: func() (host.File, error) {
		f, err := c.Reader()
		if err != nil {
			return nil, err
		}
		head, err := io.ReadAll(io.LimitReader(f, limit+1))
		if err == nil && len(head) > limit {
			_, err = f.Seek(0, io.SeekStart)
			return f, err
		}
		f.Close()
		if err != nil {
			return nil, err
		}
		return host.Bytes(v.Mask(head)).Reader()
	}}
}

// MaskError masks the text of err; what errors.Is and errors.As find stays.
func (v *Vault) MaskError(err error) error {
	return masked(err, func(text string) string { return string(v.Mask([]byte(text))) })
}

// ShowError returns err with its text as people see it.
func (v *Vault) ShowError(err error) error { return masked(err, v.readable) }

func masked(err error, mask func(string) string) error {
	if err == nil {
		return nil
	}
	if s := mask(err.Error()); s != err.Error() {
		return &maskedError{s, err}
	}
	return err
}

type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }

// Show returns text as people and traces see it: placeholders and secrets are
// <secret:NAME>, and so are long pieces of secrets. Of a piece of a placeholder it shows nothing, and Damaged
// reports that it met one.
func (v *Vault) Show(text string) string {
	text = v.readable(text)
	if v.In(text) {
		v.damage.Store(true)
		return "<secret>"
	}
	return text
}

func (v *Vault) readable(text string) string {
	return v.re.ReplaceAllString(v.pieces.hide(string(v.Mask([]byte(text)))), "<secret:$1>")
}

// shownSecret is what may be a secret as Show writes it.
var shownSecret = regexp.MustCompile(`<secret:[^<>\s]+>`)

// Literals returns which of what looks like a secret in texts, as Show writes them, is
// text of its own: indexes among all that look so.
func (v *Vault) Literals(texts []string) (indexes []int) {
	n := 0
	for _, text := range texts {
		if !strings.Contains(text, "<secret:") {
			continue
		}
		for _, m := range shownSecret.FindAllString(string(v.Mask([]byte(text))), -1) {
			if v.re.FindString(m) != m {
				indexes = append(indexes, n)
			}
			n++
		}
	}
	return indexes
}

// Alone returns text as people see it, if it is one secret and nothing else.
func (v *Vault) Alone(text string) (shown string, ok bool) {
	masked := string(v.Mask([]byte(text)))
	return v.Show(masked), masked != "" && v.re.FindString(masked) == masked
}

// Damaged reports whether Show met a piece of a placeholder since it was last called.
func (v *Vault) Damaged() bool { return v.damage.Swap(false) }

// ShowAll shows each of texts.
func (v *Vault) ShowAll(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = v.Show(t)
	}
	return out
}

// ShowValue shows every text in a value that JSON can hold.
func (v *Vault) ShowValue(value any) any {
	switch value := value.(type) {
	case string:
		return v.Show(value)
	case []string:
		return v.ShowAll(value)
	case []any:
		out := make([]any, len(value))
		for i, x := range value {
			out[i] = v.ShowValue(x)
		}
		return out
	case map[string]any:
		return v.ShowMap(value)
	case map[string]string:
		out := make(map[string]string, len(value))
		for k, x := range value {
			out[v.Show(k)] = v.Show(x)
		}
		return out
	}
	if textless(reflect.ValueOf(value)) {
		return value
	}
	var plain any // what JSON makes of a type that is not known here
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, &plain)
	}
	if err != nil {
		return "<not shown>"
	}
	return v.ShowValue(plain)
}

// textless reports whether a value is nothing, a number or a bool, or a list of those.
func textless(v reflect.Value) bool {
	switch {
	case !v.IsValid():
		return true
	case v.Kind() == reflect.Slice:
		return v.Type().Elem().Kind() < reflect.Array
	}
	return v.Kind() < reflect.Array
}

// ShowMap shows every text in a map.
func (v *Vault) ShowMap(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, x := range m {
		out[v.Show(k)] = v.ShowValue(x)
	}
	return out
}
