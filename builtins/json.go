package builtins

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	starlarkjson "go.starlark.net/lib/json"
	"go.starlark.net/starlark"

	"runbook/runtime"
)

var jsonEncodeBuiltin = &runtime.Builtin{
	Name:    "json.encode",
	Args:    []runtime.Arg{param("value", "any", "None", "None, a bool, number, string or secret, or a list or dict of such; keys are strings")},
	Secrets: []string{"value"},
	Summary: "return a value as JSON on one line, keys sorted",
	Example: `write("/srv/site.json", json.indent(json.encode({"port": 8080})))`,
	Pure: func(c *runtime.Call) (starlark.Value, error) {
		var v starlark.Value
		if err := c.Unpack("value", &v); err != nil {
			return nil, err
		}
		if v == nil {
			v = starlark.None
		}
		var b bytes.Buffer
		if err := writeJSON(&b, v, maxDepth); err != nil {
			return nil, fmt.Errorf("json.encode: %w", err)
		}
		return starlark.String(b.String()), nil
	},
}

var jsonDecodeBuiltin = &runtime.Builtin{
	Name: "json.decode",
	Args: []runtime.Arg{
		param("text", "string", "", "one JSON value"),
		param("default", "any", "none", "what to return if text is no JSON, instead of an error"),
	},
	Secrets: []string{"text", "default"},
	Summary: "return the value that a JSON text stands for",
	Example: `json.decode('{"port": 8080}')["port"]`,
	Pure: func(c *runtime.Call) (starlark.Value, error) {
		var text string
		var other starlark.Value
		if err := c.Unpack("text", &text, "default", &other); err != nil {
			return nil, err
		}
		if _, err := jsonShape(text, 0, 0); err != nil {
			return nil, fmt.Errorf("json.decode: %w", err)
		}
		args := starlark.Tuple{starlark.String(text)}
		if other != nil {
			args = append(args, other)
		}
		return starlark.Call(&starlark.Thread{Name: "json"}, starlarkjson.Module.Members["decode"], args, nil)
	},
}

var jsonIndentBuiltin = &runtime.Builtin{
	Name: "json.indent",
	Args: []runtime.Arg{
		param("text", "string", "", "one JSON value"),
		param("prefix", "string", `""`, "what each line but the first begins with"),
		param("indent", "string", `"  "`, "what each level adds"),
	},
	Secrets: []string{"text"},
	Summary: "return a JSON text on several lines, for people",
	Example: `json.indent('{"port":8080}')`,
	Pure: func(c *runtime.Call) (starlark.Value, error) {
		var text, prefix string
		indent := "  "
		if err := c.Unpack("text", &text, "prefix", &prefix, "indent", &indent); err != nil {
			return nil, err
		}
		size, err := jsonShape(text, len(prefix), len(indent))
		if err == nil && size > textLimit {
			err = fmt.Errorf("got a text of %d MiB, want at most %d", size>>20, textLimit>>20)
		}
		if err != nil {
			return nil, fmt.Errorf("json.indent: %w", err)
		}
		var b bytes.Buffer
		if err := json.Indent(&b, []byte(text), prefix, indent); err != nil {
			return nil, fmt.Errorf("json.indent: %w", err)
		}
		return starlark.String(b.String()), nil
	},
}

// maxDepth is how deep a value may be nested. One that holds itself is deeper.
const maxDepth = 200

var errDeep = errors.New("value is nested too deep, or holds itself")

// maxDigits is how long a number in a text may be.
const maxDigits = 20_000

// jsonShape returns the size that text has at most when it is indented. It refuses
// one that is nested too deep and one with a number that is too long: to read
// those takes too much. It does not look for other errors.
func jsonShape(text string, prefix, indent int) (size int, err error) {
	depth, digits := 0, 0
	size = len(text)
	for i := 0; i < len(text); i++ {
		digits++
		switch text[i] {
		case '"':
			i = endOfString(text, i+1)
			digits = 0
		case '[', '{':
			depth++
			digits = 0
		case ']', '}':
			depth--
			digits = 0
		case ',':
			digits = 0
		case ' ', '\t', '\n', '\r', ':':
			digits = 0
			continue
		default:
			if digits > maxDigits {
				return size, fmt.Errorf("at offset %d: got a number of more than %d digits", i, maxDigits)
			}
			continue
		}
		if depth > maxDepth {
			return size, fmt.Errorf("at offset %d: %w", i, errDeep)
		}
		size += 2 + prefix + max(depth, 0)*indent
	}
	return size, nil
}

// endOfString returns where the quote is that ends the string whose text begins at i.
func endOfString(text string, i int) int {
	for ; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}

func writeJSON(b *bytes.Buffer, v starlark.Value, depth int) error {
	if depth == 0 {
		return errDeep
	}
	switch v := v.(type) {
	case starlark.NoneType:
		b.WriteString("null")
	case starlark.Bool:
		fmt.Fprint(b, bool(v))
	case starlark.Int:
		b.WriteString(v.String())
	case starlark.Float:
		if math.IsInf(float64(v), 0) || math.IsNaN(float64(v)) {
			return fmt.Errorf("got %s, want a finite number", v)
		}
		b.WriteString(v.String())
	case starlark.String:
		return writeQuoted(b, string(v))
	case *starlark.Dict:
		return writeObject(b, v, depth)
	case starlark.Iterable:
		return writeArray(b, v, depth)
	default:
		if text, ok := placeholder(v); ok {
			return writeQuoted(b, text)
		}
		return fmt.Errorf("got %s, want None, a bool, number, string, list or dict", v.Type())
	}
	return nil
}

// writeQuoted writes a string, in which placeholders are marked as quoted.
func writeQuoted(b *bytes.Buffer, s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("got string %q, want UTF-8", s)
	}
	s, _ = runtime.Quotable(s)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false) // it would damage placeholders
	if err := e.Encode(s); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // Encode ends the line
	return nil
}

func writeObject(b *bytes.Buffer, d *starlark.Dict, depth int) error {
	items := d.Items()
	for _, item := range items {
		if _, ok := item[0].(starlark.String); !ok {
			return fmt.Errorf("got key of type %s, want string", item[0].Type())
		}
	}
	slices.SortFunc(items, func(a, b starlark.Tuple) int {
		return strings.Compare(string(a[0].(starlark.String)), string(b[0].(starlark.String)))
	})
	b.WriteString("{")
	for i, item := range items {
		if i > 0 {
			b.WriteString(",")
		}
		if err := writeQuoted(b, string(item[0].(starlark.String))); err != nil {
			return err
		}
		b.WriteString(":")
		if err := writeJSON(b, item[1], depth-1); err != nil {
			return fmt.Errorf("in %s: %w", item[0], err)
		}
	}
	b.WriteString("}")
	return nil
}

func writeArray(b *bytes.Buffer, v starlark.Iterable, depth int) error {
	it := v.Iterate()
	defer it.Done()
	b.WriteString("[")
	sep := ""
	for x := starlark.Value(nil); it.Next(&x); sep = "," {
		b.WriteString(sep)
		if err := writeJSON(b, x, depth-1); err != nil {
			return err
		}
	}
	b.WriteString("]")
	return nil
}
