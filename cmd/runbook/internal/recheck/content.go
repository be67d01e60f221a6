package recheck

import (
	"io/fs"
	"slices"
	"strings"

	"runbook/runtime/host"
	"runbook/runtime/trace"
)

// What files hold.

// content compares what a file holds, or where a link leads.
func (k *checking) content(name string, f trace.FileClaim, m host.Meta) {
	switch {
	case f.Target.By != nil && m.Mode&fs.ModeSymlink != 0:
		have, err := k.host.Readlink(name)
		if err != nil {
			k.cannot(name, "target", f.Target, reason(err))
			return
		}
		k.compare(name, "target", f.Target, have, have == f.Target.Value)
	case f.Type.Value == "file" && f.Content.By == nil:
		k.cannot(name, "content", f.Type, "the trace does not have what it holds")
	case f.Content.By == nil || !m.Mode.IsRegular():
	case len(f.Around) > 0:
		k.secret(name, f)
	default:
		k.sum(name, f)
	}
}

// secret compares the text around the secrets of a file; they themselves are nowhere but there.
func (k *checking) secret(name string, f trace.FileClaim) {
	text, err := host.ReadFile(k.host, name)
	switch {
	case err != nil:
		k.cannot(name, "content", f.Content, reason(err))
	case !surrounds(f.Around, string(text)):
		want := trace.Want{Value: "the text of the trace around its secrets", By: f.Content.By}
		k.compare(name, "content", want, "another text", false)
	default:
		k.report.Held++
		k.cannot(name, "secret", trace.Want{By: f.Content.By}, "the trace has no secrets: the text around them holds")
	}
}

// surrounds reports whether text has parts in their order, with something between each two.
func surrounds(parts []string, text string) bool {
	last := parts[len(parts)-1]
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	if text, ok = strings.CutSuffix(text, last); !ok {
		return false
	}
	for _, p := range parts[1 : len(parts)-1] {
		_, rest, ok := strings.Cut(text, p)
		if !ok {
			return false
		}
		text = rest
	}
	return true
}

// sum compares the digest of a file. Of one in which the run only wanted lines others may change the rest.
func (k *checking) sum(name string, f trace.FileClaim) {
	have, err := host.SHA256(k.ctx, k.host, name)
	switch {
	case err != nil:
		k.cannot(name, "content", f.Content, reason(err))
	case have == f.Content.Value || len(f.Lines) == 0:
		k.compare(name, "content", f.Content, have, have == f.Content.Value)
	default:
		k.lines(name, f)
	}
}

func (k *checking) lines(name string, f trace.FileClaim) {
	have, err := host.Lines(k.host, name)
	if err != nil {
		k.cannot(name, "content", f.Content, reason(err))
		return
	}
	for i := range have {
		have[i] = strings.TrimSuffix(strings.TrimPrefix(have[i], "\ufeff"), "\r")
	}
	for _, l := range f.Lines {
		there := slices.Contains(have, l.Text)
		if l.Absent {
			k.compare(name, "line", trace.Want{By: l.By}, l.Text, !there)
			continue
		}
		k.compare(name, "line", trace.Want{Value: l.Text, By: l.By}, "", there)
	}
}
