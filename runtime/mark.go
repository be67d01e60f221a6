package runtime

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"runbook/runtime/host"
)

// secrets turns placeholders into secrets and back. The placeholder of a load
// is <secret:NAME#NONCE>; with :json at its end it stands for the secret as it
// is written between the quotes of a JSON or YAML text, with :line for a line
// of it, which only comes outward.
type secrets struct {
	nonce   string
	marks   *regexp.Regexp
	values  map[string]string // nil in a dry run
	forms   []form            // longest first
	masking *strings.Replacer // see mask; nil without forms
	damage  *atomic.Bool      // a piece of a placeholder was met on its way out
}

// A form is a text under which a secret may show up in what comes outward.
type form struct {
	text, mark string
	word       bool // an ordinary one
}

func newSecrets() *secrets {
	b := make([]byte, 12)
	rand.Read(b) // never fails
	nonce := hex.EncodeToString(b)
	return &secrets{nonce: nonce, marks: regexp.MustCompile(`<secret:([A-Za-z0-9_]+)#` + nonce + `(:json|:line)?>`), damage: new(atomic.Bool)}
}

func (ss *secrets) mark(name, suffix string) string {
	return "<secret:" + name + "#" + ss.nonce + suffix + ">"
}

func (ss *secrets) declare(name string) secret { return secret{name, ss.mark(name, "")} }

// with returns ss knowing values; nil stands for a dry run. words are what
// everybody may read.
func (ss *secrets) with(values map[string]string, words string) *secrets {
	s := *ss
	s.values, s.forms = values, nil
	for name, v := range values {
		word := strings.Contains(words, v)
		s.forms = append(s.forms, form{v, s.mark(name, ""), word})
		for _, other := range []string{url.PathEscape(v), url.QueryEscape(v), host.PlainPath(v), host.PlainPath(url.PathEscape(v))} {
			if other != v {
				s.forms = append(s.forms, form{other, s.mark(name, ""), word})
			}
		}
		for _, line := range longLines(v) {
			s.forms = append(s.forms, form{line, s.mark(name, ":line"), strings.Contains(words, line)})
		}
		if q := quoted(v); q != v {
			s.forms = append(s.forms, form{q, s.mark(name, ":json"), word})
		}
	}
	slices.SortFunc(s.forms, func(a, b form) int {
		if len(a.text) != len(b.text) {
			return len(b.text) - len(a.text)
		}
		return strings.Compare(a.mark, b.mark)
	})
	s.masking = s.maskingAll()
	return &s
}

// longLines are the lines of a key or the like: a command may print one alone.
// Short ones could not be told from ordinary text.
func longLines(v string) (lines []string) {
	for line := range strings.Lines(v) {
		if line = strings.TrimSpace(line); len(line) >= 2*shortest && line != v {
			lines = append(lines, line)
		}
	}
	return lines
}

// quoted is v as it stands between the quotes of a JSON text.
func quoted(v string) string {
	b, _ := json.Marshal(v) // a string never fails
	return string(b[1 : len(b)-1])
}

// in reports whether text carries a placeholder or a piece of one.
func (ss *secrets) in(text string) bool {
	const piece = 8
	text = strings.ToLower(text)
	for i := 0; i+piece <= len(ss.nonce); i += piece {
		if strings.Contains(text, ss.nonce[i:i+piece]) {
			return true
		}
	}
	return false
}

// named returns the names of the secrets whose placeholders are in text.
func (ss *secrets) named(text string) (names []string) {
	for _, m := range ss.marks.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

var errDamaged = errors.New("a secret's text was cut or changed")

// resolve puts values in the place of placeholders, each passed through encode.
// In a dry run they stay: only an overlay gets to see them.
func (ss *secrets) resolve(text string, encode func(string) string) (string, error) {
	if !ss.in(text) {
		return text, nil
	}
	if ss.in(ss.marks.ReplaceAllString(text, "")) || ss.lineOf(text) {
		return "", Hint(errDamaged, "use the secret as it is, with +, %, format or join")
	}
	if ss.values == nil {
		return text, nil
	}
	for _, name := range ss.named(text) {
		if _, ok := ss.values[name]; !ok {
			return "", Hint(fmt.Errorf("secret %s was not asked for", name), "its when= does not hold; do not use it then")
		}
	}
	return ss.marks.ReplaceAllStringFunc(text, func(mark string) string {
		m := ss.marks.FindStringSubmatch(mark)
		if m[2] == ":json" {
			return quoted(ss.values[m[1]])
		}
		return encode(ss.values[m[1]])
	}), nil
}

// lineOf reports whether text has but a line of a secret.
func (ss *secrets) lineOf(text string) bool { return strings.Contains(text, "#"+ss.nonce+":line>") }

func asIs(s string) string { return s }

func (ss *secrets) resolveProcess(p host.Process) (host.Process, error) {
	stdin, err := ss.resolve(string(p.Stdin), asIs)
	if err != nil {
		return p, err
	}
	if p.Stdin != nil {
		p.Stdin = []byte(stdin)
	}
	argv := make([]string, len(p.Argv))
	for i, a := range p.Argv {
		if argv[i], err = ss.resolve(a, asIs); err != nil {
			return p, err
		}
	}
	env := make(map[string]string, len(p.Env))
	for k, v := range p.Env {
		if env[k], err = ss.resolve(v, asIs); err != nil {
			return p, err
		}
	}
	p.Argv, p.Env, p.Hide = argv, env, ss.redact
	return p, nil
}

// resolveRequest escapes what stands in a URL; a token is sent as it is.
func (ss *secrets) resolveRequest(r host.Request) (_ host.Request, err error) {
	if r.URL, err = ss.resolve(r.URL, url.PathEscape); err != nil {
		return r, err
	}
	if r.Proxy, err = ss.resolve(r.Proxy, url.PathEscape); err != nil {
		return r, err
	}
	r.Bearer, err = ss.resolve(r.Bearer, asIs)
	return r, err
}

// redact makes placeholders and values readable for people and stable between
// runs. Of a damaged placeholder nothing is shown.
func (ss *secrets) redact(text string) string {
	text = ss.marks.ReplaceAllString(string(ss.mask([]byte(text))), "<secret:$1>")
	if ss.in(text) {
		ss.damage.Store(true)
		return "<secret>"
	}
	return text
}

func (ss *secrets) redactAll(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = ss.redact(t)
	}
	return out
}

// redactAny redacts every text in a value that JSON can hold.
func (ss *secrets) redactAny(v any) any {
	switch v := v.(type) {
	case string:
		return ss.redact(v)
	case []string:
		return ss.redactAll(v)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = ss.redactAny(x)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[ss.redact(k)] = ss.redactAny(x)
		}
		return out
	case map[string]string:
		out := make(map[string]string, len(v))
		for k, x := range v {
			out[ss.redact(k)] = ss.redact(x)
		}
		return out
	}
	return v
}

// maskError hides values in the text of err; what errors.Is finds stays.
func (ss *secrets) maskError(err error) error {
	if err == nil {
		return nil
	}
	if s := string(ss.mask([]byte(err.Error()))); s != err.Error() {
		return &maskedError{s, err}
	}
	return err
}

type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string        { return e.text }
func (e *maskedError) Is(target error) bool { return errors.Is(e.err, target) }
