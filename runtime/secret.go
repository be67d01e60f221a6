package runtime

import (
	"errors"
	"fmt"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"runbook/runtime/host"
	"runbook/runtime/secret"
)

// A secretValue is what a script gets of a secret: it can put it into texts but
// never see it. Its text is a placeholder that only the door resolves.
type secretValue struct{ placeholder string }

var (
	_         starlark.HasBinary = secretValue{}
	errSecret                    = errors.New("a secret cannot be compared")
)

func (s secretValue) String() string        { return s.placeholder }
func (s secretValue) Type() string          { return "secret" }
func (s secretValue) Freeze()               {}
func (s secretValue) Truth() starlark.Bool  { return true }
func (s secretValue) Hash() (uint32, error) { return 0, errors.New("unhashable: secret") }

// Binary lets "+" carry the placeholder on.
func (s secretValue) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	other, err := text(y)
	switch {
	case op != syntax.PLUS || err != nil:
		return nil, nil
	case side == starlark.Left:
		return starlark.String(s.placeholder + other), nil
	}
	return starlark.String(other + s.placeholder), nil
}

// refuseSecrets refuses values that must not be compared, measured or hashed,
// however deep they lie.
func refuseSecrets(p *secret.Placeholders, v starlark.Value, depth int) error {
	switch v := v.(type) {
	case secretValue:
		return ruled("secret-compared",
			Hint(errSecret, "what a secret is must not decide what a runbook does; use a var for that"))
	case *result:
		return v.misuse()
	case starlark.String:
		if p.In(string(v)) {
			return ruled("secret-compared", Hint(errSecret, "this text holds a secret; use a var for what decides"))
		}
	case starlark.Iterable:
		if depth == 0 {
			return errors.New("nested too deep to compare")
		}
		if d, ok := v.(*starlark.Dict); ok {
			v = starlark.NewList(keysAndValues(d))
		}
		it := v.Iterate()
		defer it.Done()
		for x := starlark.Value(nil); it.Next(&x); {
			if err := refuseSecrets(p, x, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// holdsSecret reports whether a secret, or a piece of one's placeholder, is in v,
// however deep it lies.
func holdsSecret(p *secret.Placeholders, v starlark.Value) bool {
	return errors.Is(refuseSecrets(p, v, 20), errSecret)
}

func keysAndValues(d *starlark.Dict) (all []starlark.Value) {
	for _, item := range d.Items() {
		all = append(all, item...)
	}
	return all
}

// A SecretDecl is a secret that a runbook declares.
type SecretDecl struct {
	Name    string
	Help    string
	Pattern string // regular expression that the whole value must match
	Asked   bool   // when= holds
}

func declareSecret(l *loader, _ *starlark.Thread, c *Call) (starlark.Value, error) {
	d := SecretDecl{Asked: true}
	if err := c.Unpack("name", &d.Name, "help", &d.Help, "pattern", &d.Pattern, "when", &d.Asked); err != nil {
		return nil, err
	}
	if err := checkVarName("secret", d.Name); err != nil {
		return nil, err
	}
	if _, err := wholePattern(d.Pattern); err != nil {
		return nil, fmt.Errorf("secret %s: %w", d.Name, err)
	}
	if err := l.first("secret "+d.Name, c.pos()); err != nil {
		return nil, err
	}
	l.book.Secrets = append(l.book.Secrets, d)
	return secretValue{l.book.placeholders.Of(d.Name)}, nil
}

// CheckSecrets returns what is wrong with values: a needed one missing, one empty, too short
// to be distinguished from ordinary text, unlike its pattern, or equal to part of a var.
func (b *Runbook) CheckSecrets(values map[string]string, needed []SecretDecl) error {
	var problems []error
	for _, d := range b.Secrets {
		v, given := values[d.Name]
		re, _ := wholePattern(d.Pattern)
		switch {
		case !given && slices.ContainsFunc(needed, func(n SecretDecl) bool { return n.Name == d.Name }):
			problems = append(problems,
				Hint(fmt.Errorf("secret %s is missing", d.Name),
					"give it with --secret "+d.Name+"=file:PATH, or run on a terminal"))
		case given && len(v) < secret.Shortest:
			problems = append(problems,
				fmt.Errorf("secret %s: got %d characters, want at least %d", d.Name, len(v), secret.Shortest))
		case given && d.Pattern != "" && !re.MatchString(v):
			problems = append(problems, fmt.Errorf("secret %s does not match %s", d.Name, d.Pattern))
		case given:
			problems = append(problems, b.inVar(d.Name, v))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return &Error{Class: Input, Err: err}
	}
	return nil
}

// inVar refuses a secret that a var holds: masking it would hide the var, and
// the var has been shown already.
func (b *Runbook) inVar(name, value string) error {
	for _, v := range b.Vars {
		if s, ok := v.Value.(string); ok && s == value {
			return fmt.Errorf("secret %s is the same as var %s, which is not secret", name, v.Name)
		}
	}
	return nil
}

// Readable returns text with every secret's placeholder as people know it:
// <secret:NAME>.
func Readable(text string) string { return secret.Readable(text) }

// HoldsSecret reports whether a text that a script gave holds a secret.
func HoldsSecret(text string) bool { return secret.Readable(text) != text }

// WithoutSecrets returns text with a letter in the place of each secret.
func WithoutSecrets(text string) string { return secret.Without(text) }

// SameText reports whether two texts hold the same, where each may hold secrets
// as they are or as they stand in a quoted text. What Reader.Content returns
// during a run is compared with what a script gave by it.
func SameText(a, b []byte) bool { return secret.Same(a, b) }

// Quotable returns s with its secrets marked to be written between the double
// quotes of a YAML or JSON text, and whether it holds any.
func Quotable(s string) (string, bool) { return secret.Quotable(s) }

// Unmasked returns h, which an op was given, with files as they really are: for
// copies, digests and archives. What it reads, neither a script nor a trace may
// see.
func Unmasked(h host.Reader) host.Reader {
	d, ok := h.(*door)
	if !ok {
		return h
	}
	raw := *d
	raw.unmasked = true
	return &raw
}
