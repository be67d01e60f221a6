// Package flat reads and writes the little of YAML that the stand-ins' files need: top-level keys with a scalar, or
// with a list of scalars.
//
// Two things to know: the order of keys is kept and comments are not, as in the real programs; and anything deeper
// is an error. The stand-ins of conda and of the repository's commands call it.
package flat

import (
	"fmt"
	"strings"
)

// A Map is the keys of a file in order.
type Map []Entry

// An Entry is a key with its scalar, or with its list where IsList.
type Entry struct {
	Key    string
	Scalar string
	List   []string
	IsList bool
}

// Parse reads text. Errors name the line.
func Parse(text string) (Map, error) {
	var m Map
	for i, line := range strings.Split(text, "\n") {
		if code, _, ok := strings.Cut(line, " #"); ok && !strings.ContainsAny(code, "'\"") {
			line = code
		}
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed == "---" || strings.HasPrefix(trimmed, "#"):
		case strings.HasPrefix(trimmed, "- ") && len(m) > 0 && m[len(m)-1].Scalar == "":
			e := &m[len(m)-1]
			e.IsList = true
			e.List = append(e.List, unquote(trimmed[2:]))
		default:
			key, value, ok := strings.Cut(line, ":")
			if !ok || strings.TrimLeft(key, " \t") != key {
				return nil, fmt.Errorf("line %d: got %q, want a top-level key or a list item", i+1, line)
			}
			value = strings.TrimSpace(value)
			m = append(m, Entry{Key: unquote(key), Scalar: unquote(strings.TrimPrefix(value, "[]")), IsList: value == "[]"})
		}
	}
	return m, nil
}

// Get returns the entry of key, or nil.
func (m Map) Get(key string) *Entry {
	for i := range m {
		if m[i].Key == key {
			return &m[i]
		}
	}
	return nil
}

// Put returns m with e in place of the entry of the same key, or at the end.
func (m Map) Put(e Entry) Map {
	if old := m.Get(e.Key); old != nil {
		*old = e
		return m
	}
	return append(m, e)
}

func (m Map) String() string {
	var b strings.Builder
	for _, e := range m {
		switch {
		case e.IsList && len(e.List) == 0:
			fmt.Fprintf(&b, "%s: []\n", e.Key)
		case e.IsList:
			fmt.Fprintf(&b, "%s:\n", e.Key)
			for _, item := range e.List {
				fmt.Fprintf(&b, "  - %s\n", quote(item))
			}
		default:
			fmt.Fprintf(&b, "%s: %s\n", e.Key, quote(e.Scalar))
		}
	}
	return b.String()
}

func quote(s string) string {
	if s == "" || strings.ContainsAny(s, "#'\"{}[]&*!|>%@`,\n") || strings.Contains(s, ": ") || strings.TrimSpace(s) != s {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return s
}

func unquote(s string) string {
	s = strings.TrimSpace(s)
	for _, q := range []string{"'", `"`} {
		if len(s) >= 2 && strings.HasPrefix(s, q) && strings.HasSuffix(s, q) {
			return strings.ReplaceAll(s[1:len(s)-1], "''", "'")
		}
	}
	return s
}
