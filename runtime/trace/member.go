package trace

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"runbook/runtime/host"
)

// This is the quick way to read a line that a writer of this package has written. It takes nothing on which package
// json and [unique] would not agree: what it does not know it leaves to them, and they say what is wrong.

// quickMembers returns the members of a line and true if that is plainly an object without white space in which no key
// is given twice.
func quickMembers(line []byte) (members, bool) {
	if len(line) == 0 || line[0] != '{' || !json.Valid(line) {
		return nil, false
	}
	w := walk{b: line, quick: true}
	fs := w.object(true)
	return fs, w.quick && w.i == len(line)
}

// Members are what an object has, as the bytes of its line.
type members []keyed

type keyed struct {
	key []byte
	raw json.RawMessage
}

// of returns the value of a key, nil if there is none.
func (ms members) of(key string) json.RawMessage {
	for _, m := range ms {
		if string(m.key) == key {
			return m.raw
		}
	}
	return nil
}

// A walk goes over valid JSON.
type walk struct {
	b     []byte
	i     int
	quick bool // nothing was met that is left to others
}

// object goes over an object and returns its members if they are wanted.
func (w *walk) object(wanted bool) (fs members) {
	var few [24][]byte
	keys := few[:0]
	if wanted {
		fs = make(members, 0, 20)
	}
	w.i++ // {
	for w.quick && w.b[w.i] != '}' {
		if w.b[w.i] == ',' {
			w.i++
		}
		if w.b[w.i] != '"' {
			w.quick = false
			return nil
		}
		key := w.text()
		w.key(key, keys, wanted)
		keys = append(keys, key)
		if w.b[w.i] != ':' {
			w.quick = false
			return nil
		}
		w.i++
		start := w.i
		w.value()
		if wanted {
			fs = append(fs, keyed{key, w.b[start:w.i]})
		}
	}
	w.i++ // }
	return fs
}

const fewKeys = 64 // in an object; more would make this slow

// key takes a key: one that is written with escapes, is there already, or may be in another case of letters, is for
// others.
func (w *walk) key(key []byte, before [][]byte, top bool) {
	if len(before) > fewKeys {
		w.quick = false
	}
	for _, c := range key {
		if c == '\\' || c >= utf8.RuneSelf || top && c >= 'A' && c <= 'Z' {
			w.quick = false
		}
	}
	for _, k := range before {
		if bytes.Equal(k, key) {
			w.quick = false
		}
	}
}

// text goes over a string and returns what is between its quotes.
func (w *walk) text() []byte {
	w.i++
	start := w.i
	for w.b[w.i] != '"' {
		if w.b[w.i] == '\\' {
			w.i++
		}
		w.i++
	}
	w.i++
	return w.b[start : w.i-1]
}

func (w *walk) value() {
	switch w.b[w.i] {
	case '{':
		w.object(false)
	case '[':
		w.i++
		for w.quick && w.b[w.i] != ']' {
			if w.b[w.i] == ',' {
				w.i++
			}
			w.value()
		}
		w.i++
	case '"':
		w.text()
	case ' ', '\t', '\r', '\n':
		w.quick = false
	default:
		w.word()
	}
}

// word goes over a number, true, false or null.
func (w *walk) word() (text []byte) {
	start := w.i
	for w.i < len(w.b) && bytes.IndexByte([]byte(",]} \t\r\n"), w.b[w.i]) < 0 {
		w.i++
	}
	return w.b[start:w.i]
}

// unmarshalQuickly sets what p points at to a value as [unmarshal] does, or returns false.
func unmarshalQuickly(raw []byte, p any) bool {
	switch p := p.(type) {
	case *string:
		return plainText(raw, p)
	case *Kind:
		return plainText(raw, (*string)(p))
	case *Outcome:
		return plainText(raw, (*string)(p))
	case *int:
		n, err := strconv.Atoi(string(raw))
		if err != nil || raw[0] == '+' || raw[0] == '-' {
			return false
		}
		*p = n
		return true
	case *time.Time:
		return p.UnmarshalJSON(raw) == nil
	case *[]string:
		return plainTexts(raw, p)
	case *[]host.Change:
		return plainChanges(raw, p)
	case *map[string]string:
		*p = map[string]string{}
		return string(raw) == "{}"
	case *map[string]any:
		w := walk{b: raw, quick: raw[0] == '{'}
		if w.quick {
			*p, _ = w.any().(map[string]any)
		}
		return w.quick
	}
	return emptyList(raw, p)
}

// plainText sets s to a string without escapes.
func plainText(raw []byte, s *string) bool {
	if raw[0] != '"' || bytes.IndexByte(raw, '\\') >= 0 || !utf8.Valid(raw) {
		return false
	}
	*s = string(raw[1 : len(raw)-1])
	return true
}

func plainTexts(raw []byte, list *[]string) bool {
	if raw[0] != '[' {
		return false
	}
	*list = []string{}
	w := walk{b: raw, i: 1, quick: true}
	for raw[w.i] != ']' {
		if raw[w.i] == ',' {
			w.i++
		}
		start, s := w.i, ""
		if raw[start] != '"' {
			return false
		}
		if w.text(); !plainText(raw[start:w.i], &s) {
			return false
		}
		*list = append(*list, s)
	}
	return true
}

// emptyList is for types that are seldom there.
func emptyList(raw []byte, p any) bool {
	if string(raw) != "[]" {
		return false
	}
	switch p := p.(type) {
	case *[]Input:
		*p = []Input{}
		return true
	}
	return false
}

// plainChanges sets list to changes that have what such a list is written with, in that order.
func plainChanges(raw []byte, list *[]host.Change) bool {
	if raw[0] != '[' {
		return false
	}
	*list = []host.Change{}
	w := walk{b: raw, i: 1}
	for raw[w.i] != ']' {
		if raw[w.i] == ',' {
			w.i++
		}
		var c host.Change
		for _, m := range []struct {
			before string
			to     *string
		}{{`{"what":`, &c.What}, {`,"from":`, &c.From}, {`,"to":`, &c.To}} {
			if !bytes.HasPrefix(raw[w.i:], []byte(m.before)) || raw[w.i+len(m.before)] != '"' {
				return false
			}
			w.i += len(m.before)
			start := w.i
			w.text()
			if s := raw[start:w.i]; !plainText(s, m.to) && json.Unmarshal(s, m.to) != nil {
				return false
			}
		}
		if raw[w.i] != '}' {
			return false
		}
		w.i++
		*list = append(*list, c)
	}
	return true
}

// any returns a value, numbers as json.Number.
func (w *walk) any() any {
	switch w.b[w.i] {
	case '{':
		return w.anyObject()
	case '[':
		list := []any{}
		for w.i++; w.b[w.i] != ']'; {
			if w.b[w.i] == ',' {
				w.i++
			}
			list = append(list, w.any())
		}
		w.i++
		return list
	case '"':
		return w.anyText()
	}
	switch word := w.word(); string(word) {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	default:
		return json.Number(word)
	}
}

func (w *walk) anyObject() map[string]any {
	m := map[string]any{}
	for w.i++; w.b[w.i] != '}'; {
		if w.b[w.i] == ',' {
			w.i++
		}
		key := w.anyText()
		w.i++ // :
		m[key] = w.any()
	}
	w.i++
	return m
}

func (w *walk) anyText() (s string) {
	start := w.i
	w.text()
	if raw := w.b[start:w.i]; !plainText(raw, &s) {
		json.Unmarshal(raw, &s) // valid, as the whole line is
	}
	return s
}
