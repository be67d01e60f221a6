package runtime

import (
	"bytes"
	"io"
	"regexp"

	"runbook/runtime/host"
)

// maskContent hides secrets in what a file holds. Larger files are no
// configuration: they pass as they are, and what a script gets to see of one
// is masked on its way there.
func (ss *secrets) maskContent(c host.Content) host.Content {
	const limit = 1 << 20
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
		return host.Bytes(ss.mask(head)).Reader()
	}}
}

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

// A masker passes what a command prints on to w, line by line, without secrets.
type masker struct {
	w    io.Writer
	ss   *secrets
	rest []byte
}

// A line longer than this is passed on in pieces, but never cut within what
// might be a secret.
const longLine = 64 << 10

// Write never fails: what cannot be shown must not stop a command.
func (m *masker) Write(p []byte) (int, error) {
	m.rest = append(m.rest, p...)
	cut := bytes.LastIndexByte(m.rest, '\n') + 1
	if cut == 0 && len(m.rest) > longLine {
		cut = len(m.rest) - m.ss.longest()
	}
	if cut > 0 {
		io.WriteString(m.w, m.ss.redact(string(m.rest[:cut])))
		m.rest = append([]byte(nil), m.rest[cut:]...)
	}
	return len(p), nil
}

// flush passes on what is left of a last line without an end.
func (m *masker) flush() {
	if len(m.rest) > 0 {
		io.WriteString(m.w, m.ss.redact(string(m.rest)))
		m.rest = nil
	}
}

// longest is the length of the longest text that stands for a secret.
func (ss *secrets) longest() int {
	if len(ss.forms) == 0 {
		return 0
	}
	return len(ss.forms[0].text)
}

var jsonMark = regexp.MustCompile(`(<secret:[A-Za-z0-9_]+#[0-9a-f]{24}):json>`)

// SameText reports whether two texts hold the same, where each may hold secrets
// as they are or as they stand in a quoted text. What Reader.Content returns
// during a run is compared with what a script gave by it.
func SameText(a, b []byte) bool {
	return bytes.Equal(jsonMark.ReplaceAll(a, []byte("$1>")), jsonMark.ReplaceAll(b, []byte("$1>")))
}

// Quotable returns s, whose secrets will be written between the double quotes
// of a YAML or JSON text, and whether it holds any.
func Quotable(s string) (string, bool) {
	q := plainMark.ReplaceAllString(s, "$1:json>")
	return q, q != s
}

var plainMark = regexp.MustCompile(`(<secret:[A-Za-z0-9_]+#[0-9a-f]{24})>`)
