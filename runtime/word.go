package runtime

import (
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
	s.masking = s.maskingAll()
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

// mask is the inverse of resolve.
func (ss *secrets) mask(text []byte) []byte {
	if ss.masking == nil {
		return text
	}
	return []byte(ss.masking.Replace(string(text)))
}

// maskingAll replaces the forms, longest first. Placeholders and what people see
// of them stay, so that a secret that is a word of them does not damage them.
func (ss *secrets) maskingAll() *strings.Replacer {
	if len(ss.forms) == 0 {
		return nil
	}
	var pairs []string
	for name := range ss.values {
		for _, stays := range []string{"<secret:" + name + ">", ss.mark(name, ""), ss.mark(name, ":json"), ss.mark(name, ":line")} {
			pairs = append(pairs, stays, stays)
		}
	}
	for _, f := range ss.forms {
		pairs = append(pairs, f.text, f.mark)
	}
	return strings.NewReplacer(pairs...)
}
