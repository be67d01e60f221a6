package runtime

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"runbook/runtime/trace"
)

// A secret may be an ordinary word: one that the runbook, its vars or the names
// of the machine hold, too. What comes from there shows it all the same, since
// to hide it would tell which word it is, and a run would differ from its dry
// run. It is hidden where it comes from elsewhere: in what commands print, in
// errors and notes.

// ownTexts returns ss as it is for texts of the runbook's own: without the forms of
// secrets that are ordinary words.
func (ss *secrets) ownTexts() *secrets {
	s := *ss
	s.forms = slices.DeleteFunc(slices.Clone(ss.forms), func(f form) bool { return f.word })
	return &s
}

// words is all that everybody may read of a run of b: the text of its files, vars
// and names, and what a trace says of where it was made.
func (b *Runbook) words(i trace.RunInfo) string {
	all := append(slices.Clone(b.texts), b.Name, i.Binary.Version, i.Host.Hostname, i.Host.OS, i.Host.Kernel, i.Host.Machine, i.User.Name, i.User.SudoUser, i.Ticket)
	for _, s := range b.Steps {
		all = append(all, s.Name)
	}
	for name := range b.loader.pre {
		all = append(all, name)
	}
	for _, v := range b.Vars {
		if text, ok := v.Value.(string); ok {
			all = append(all, text)
		}
	}
	return strings.Join(all, "\n")
}

// shielding matches placeholders, and what people see of them, so that a secret
// that is a word of them does not damage them.
func (ss *secrets) shielding() *regexp.Regexp {
	var names []string
	for n := range ss.values {
		names = append(names, n)
	}
	slices.Sort(names)
	return regexp.MustCompile(`<secret:(?:` + strings.Join(names, "|") + `)(?:#` + ss.nonce + `(?::json|:line)?)?>`)
}

// mask is the inverse of resolve.
func (ss *secrets) mask(text []byte) []byte {
	if len(ss.forms) == 0 {
		return text
	}
	var out []byte
	at := 0
	for _, m := range ss.shield.FindAllIndex(text, -1) {
		out = append(append(out, ss.maskForms(text[at:m[0]])...), text[m[0]:m[1]]...)
		at = m[1]
	}
	return append(out, ss.maskForms(text[at:])...)
}

func (ss *secrets) maskForms(text []byte) []byte {
	for _, f := range ss.forms {
		if bytes.Contains(text, []byte(f.text)) {
			text = bytes.ReplaceAll(text, []byte(f.text), []byte(f.mark))
		}
	}
	return text
}
