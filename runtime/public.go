package runtime

import (
	"slices"
	"strings"

	"runbook/runtime/trace"
)

// publicText is all that everybody may read of a run of b: the text of its
// files, vars and names, and what a trace says of where it was made.
func (b *Runbook) publicText(i trace.RunInfo) string {
	all := append(slices.Clone(b.texts), b.Name, i.Binary.Version, i.Host.Hostname, i.Host.OS, i.Host.Kernel,
		i.Host.Machine,
		i.User.Name, i.User.SudoUser, i.Ticket)
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

// Leaks returns a function that reports whether a text holds a piece of a
// placeholder or one of values, for a last look before it is written. Values
// that are ordinary words of this run (in the runbook, its vars or names, or in
// info) or shorter than eight bytes are never a reason to stop.
func (b *Runbook) Leaks(values map[string]string, info trace.RunInfo) func(text string) bool {
	return b.placeholders.Leaks(values, b.publicText(info))
}
