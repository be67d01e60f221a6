package secret

import (
	"bytes"
	"io"
	"strings"
)

// A Writer passes what a command prints on to W, line by line, as Show writes it.
type Writer struct {
	W     io.Writer
	Vault *Vault
	rest  []byte
}

// A line longer than this is passed on in pieces, but never cut within what
// might be a secret.
const longLine = 64 << 10

// Write never fails: what cannot be shown must not stop a command.
func (w *Writer) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	cut := bytes.LastIndexAny(w.rest, "\r\n") + 1
	if cut == 0 && len(w.rest) > longLine {
		cut = len(w.rest) - w.Vault.longest()
	}
	if cut = w.Vault.whole(string(w.rest), cut); cut > 0 {
		io.WriteString(w.W, w.Vault.Show(string(w.rest[:cut])))
		w.rest = append([]byte(nil), w.rest[cut:]...)
	}
	return len(p), nil
}

// Flush passes on what is left of a last line without an end.
func (w *Writer) Flush() {
	if len(w.rest) > 0 {
		io.WriteString(w.W, w.Vault.Show(string(w.rest)))
		w.rest = nil
	}
}

// longest is the length of the longest text that stands for a secret.
func (v *Vault) longest() int {
	if len(v.forms) == 0 {
		return 0
	}
	return len(v.forms[0].text)
}

// whole returns the last place up to cut that is not within what stands for a
// secret, or may when more has come.
func (v *Vault) whole(text string, cut int) int {
	for again := cut > 0; again; {
		again = false
		for _, f := range v.forms {
			if at := f.across(text, cut); at < cut {
				cut, again = at, true
			}
		}
	}
	return cut
}

// across returns where f's text begins if it has begun before cut and goes on
// there, else cut.
func (f form) across(text string, cut int) int {
	for at := max(0, cut-len(f.text)+1); at < cut; at++ {
		next := strings.IndexByte(text[at:cut], f.text[0])
		if next < 0 {
			break
		}
		at += next
		if have := text[at:min(len(text), at+len(f.text))]; strings.HasPrefix(f.text, have) {
			return at
		}
	}
	return cut
}
