package secret

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// pieceSize is the length, in bytes, from which on a piece of a secret is hidden, too:
// a command may break it over lines, or cut it.
const pieceSize = 16

// pieces are what of long secrets, as they are and in base 64 and 16, people do not
// get to see.
type pieces struct {
	names map[string]string // of secrets, by pieces of pieceSize bytes
	begin [1 << 16 / 8]byte // a bit for the first two bytes of each piece: most text has none
}

// newPieces returns the pieces of secrets; nil if there are none. What is in the public
// text is none.
func newPieces(values map[string]string, public string) *pieces {
	p := &pieces{names: map[string]string{}}
	for name, value := range values {
		texts := []string{value, hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value)))}
		for before := range 3 {
			data := append(make([]byte, before), value...)
			texts = append(texts, base64.RawStdEncoding.EncodeToString(data)[2*before:],
				base64.RawURLEncoding.EncodeToString(data)[2*before:])
		}
		for _, text := range texts {
			p.add(name, text)
		}
	}
	for i := 0; i+pieceSize <= len(public); i++ {
		if p.at(public[i:]) != "" {
			delete(p.names, public[i:i+pieceSize])
		}
	}
	if len(p.names) == 0 {
		return nil
	}
	return p
}

func (p *pieces) add(name, text string) {
	for i := 0; i+pieceSize <= len(text); i++ {
		piece := text[i : i+pieceSize]
		p.names[piece] = name
		at := first(piece)
		p.begin[at/8] |= 1 << (at % 8)
	}
}

func first(s string) int { return int(s[0])<<8 | int(s[1]) }

// at returns the name of the secret that a piece at s's beginning is of, or "".
func (p *pieces) at(s string) string {
	if i := first(s); p.begin[i/8]&(1<<(i%8)) == 0 {
		return ""
	}
	return p.names[s[:pieceSize]]
}

// hide writes names in the place of pieces.
func (p *pieces) hide(text string) string {
	if p == nil {
		return text
	}
	var b strings.Builder
	from := 0
	for i := 0; i+pieceSize <= len(text); {
		name := p.at(text[i:])
		if name == "" {
			i++
			continue
		}
		b.WriteString(text[from:i] + "<secret:" + name + ">")
		for i+pieceSize <= len(text) && p.at(text[i:]) == name {
			i++
		}
		from = i + pieceSize - 1
		i = from
	}
	if from == 0 {
		return text
	}
	return b.String() + text[from:]
}
