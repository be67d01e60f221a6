package builtins

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"gopkg.in/yaml.v3"

	"runbook/runtime"
)

var yamlEncodeBuiltin = &runtime.Builtin{
	Name:    "yaml.encode",
	Args:    []runtime.Arg{param("value", "any", "None", "None, a bool, number, string or secret, or a list or dict of such")},
	Secrets: []string{"value"},
	Summary: "return a value as YAML, keys in the order of the dict",
	Detail:  []string{"Strings that a reader of old YAML would take for something else, such as yes, are quoted."},
	Example: `write("/srv/site.yaml", yaml.encode({"channels": ["main"], "port": 8080}))`,
	Pure: func(c *runtime.Call) (starlark.Value, error) {
		var v starlark.Value
		if err := c.Unpack("value", &v); err != nil {
			return nil, err
		}
		if v == nil {
			v = starlark.None
		}
		y := yamlWriter{budget: mostWritten}
		n, err := y.node(v, maxDepth)
		if err != nil {
			return nil, fmt.Errorf("yaml.encode: %w", err)
		}
		var b bytes.Buffer
		e := yaml.NewEncoder(&b)
		e.SetIndent(2)
		if err := errors.Join(e.Encode(n), e.Close()); err != nil {
			return nil, fmt.Errorf("yaml.encode: %w", err)
		}
		return starlark.String(b.String()), nil
	},
}

var yamlDecodeBuiltin = &runtime.Builtin{
	Name:    "yaml.decode",
	Args:    []runtime.Arg{param("text", "string", "", "one YAML document")},
	Secrets: []string{"text"},
	Summary: "return the value that a YAML text stands for",
	Detail:  []string{"Times and binary data are returned as they are written. An empty text is None."},
	Example: `yaml.decode("port: 8080")["port"]`,
	Pure: func(c *runtime.Call) (starlark.Value, error) {
		var text string
		if err := c.Unpack("text", &text); err != nil {
			return nil, err
		}
		v, err := decodeYAML(text)
		if err != nil {
			return nil, fmt.Errorf("yaml.decode: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		}
		return v, nil
	},
}

// mostWritten is how many values yaml.encode takes: the library cannot be stopped once it writes.
const mostWritten = 100_000

// A yamlWriter turns values into trees of the yaml package, which keep the order of keys. Its budget is a number of
// nodes.
type yamlWriter struct{ budget int }

func (y *yamlWriter) node(v starlark.Value, depth int) (*yaml.Node, error) {
	if y.budget--; y.budget < 0 {
		err := fmt.Errorf("got more than %d values", mostWritten)
		return nil, runtime.Hint(err, "json.encode takes more, and JSON is YAML")
	}
	if depth == 0 {
		return nil, errDeep
	}
	switch v := v.(type) {
	case starlark.NoneType:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	case starlark.Bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(bool(v))}, nil
	case starlark.Float:
		return scalar(float64(v))
	case starlark.Int:
		if n, ok := v.Int64(); ok {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(n, 10)}, nil
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: v.String()}, nil // what the library takes it for
	case starlark.String:
		return yamlString(string(v))
	case *starlark.Dict:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, item := range v.Items() {
			if err := y.add(n, depth-1, item...); err != nil {
				return nil, err
			}
		}
		return n, nil
	case starlark.Iterable:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		return n, y.add(n, depth-1, slices.Collect(starlark.Elements(v))...)
	}
	if text, ok := placeholder(v); ok {
		return yamlString(text)
	}
	return nil, fmt.Errorf("got %s, want None, a bool, number, string, list or dict", v.Type())
}

func (y *yamlWriter) add(n *yaml.Node, depth int, vs ...starlark.Value) error {
	for _, v := range vs {
		kid, err := y.node(v, depth)
		if err != nil {
			return err
		}
		n.Content = append(n.Content, kid)
	}
	return nil
}

// scalar lets the library choose how v is written, which takes it a while.
func scalar(v any) (*yaml.Node, error) {
	n := &yaml.Node{}
	return n, n.Encode(v)
}

// yamlString returns the node of a string. One with placeholders is written between
// double quotes, and its placeholders are marked as quoted.
func yamlString(s string) (*yaml.Node, error) {
	if q, ok := runtime.Quotable(s); ok {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: q, Style: yaml.DoubleQuotedStyle}, nil
	}
	if len(s) > len("yes") && isLetter(s[0]) && strings.Trim(s, plainBytes) == "" {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}, nil
	}
	return scalar(s)
}

// plainBytes make words of four letters or more that need no quotes, but for those that the library sees to by itself:
// true, false and null.
const plainBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./"

func isLetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }

func decodeYAML(text string) (starlark.Value, error) {
	doc, err := oneDocument(text)
	if err != nil {
		return nil, err
	}
	if doc == nil {
		return starlark.None, nil
	}
	y := yamlReader{budget: 1_000_000}
	return y.value(doc, maxDepth)
}

// oneDocument returns the document that a text holds, nil if it holds none. A second one is
// an error: whoever reads only the first would be silent about it.
func oneDocument(text string) (*yaml.Node, error) {
	d := yaml.NewDecoder(strings.NewReader(text))
	var doc, more yaml.Node
	switch err := d.Decode(&doc); {
	case err == io.EOF:
		return nil, nil
	case err != nil:
		return nil, err
	case d.Decode(&more) != io.EOF:
		return nil, errors.New("got more than one document, want one")
	}
	return &doc, nil
}

// vendorYAML returns the mapping in a file of the vendor's programs, which read YAML 1.1:
// yes, no, on and off are bools unless they are quoted.
func vendorYAML(text string) (values map[string]any, err error) {
	doc, err := oneDocument(text)
	if doc == nil || err != nil {
		return nil, err
	}
	findBools(doc)
	return values, doc.Decode(&values)
}

// findBools gives the values below n that YAML 1.1 takes for bools (yaml.org/type/bool, as PyYAML
// has it) that tag. Keys stay.
func findBools(n *yaml.Node) {
	for i, kid := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			findBools(kid)
		}
	}
	if n.Kind != yaml.ScalarNode || n.Style != 0 || n.Tag != "!!str" {
		return
	}
	switch n.Value {
	case "yes", "Yes", "YES", "on", "On", "ON":
		n.Tag, n.Value = "!!bool", "true"
	case "no", "No", "NO", "off", "Off", "OFF":
		n.Tag, n.Value = "!!bool", "false"
	}
}

// A yamlReader turns trees of the yaml package into values. Its budget, a number of
// nodes, keeps aliases of aliases from filling the memory.
type yamlReader struct{ budget int }

func (y *yamlReader) value(n *yaml.Node, depth int) (starlark.Value, error) {
	if y.budget--; depth == 0 || y.budget < 0 {
		return nil, fmt.Errorf("line %d: nested too deep or too large", n.Line)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return y.value(n.Content[0], depth-1)
	case yaml.AliasNode:
		return y.value(n.Alias, depth-1)
	case yaml.SequenceNode:
		list := make([]starlark.Value, len(n.Content))
		for i, kid := range n.Content {
			var err error
			if list[i], err = y.value(kid, depth-1); err != nil {
				return nil, err
			}
		}
		return starlark.NewList(list), nil
	case yaml.MappingNode:
		return y.dict(n, depth)
	}
	return yamlScalar(n)
}

func (y *yamlReader) dict(n *yaml.Node, depth int) (*starlark.Dict, error) {
	d := starlark.NewDict(len(n.Content) / 2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() == "!!merge" {
			merged = append(merged, n.Content[i+1])
			continue
		}
		k, err := y.value(n.Content[i], depth-1)
		if err != nil {
			return nil, err
		}
		v, err := y.value(n.Content[i+1], depth-1)
		if err != nil {
			return nil, err
		}
		if _, twice, _ := d.Get(k); twice {
			return nil, fmt.Errorf("line %d: key %s is there twice", n.Content[i].Line, k)
		}
		if err := d.SetKey(k, v); err != nil {
			return nil, fmt.Errorf("line %d: %w", n.Content[i].Line, err)
		}
	}
	for _, m := range merged {
		if err := y.merge(d, m, depth-1); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// merge adds the keys of n, the value of a key "<<", that d lacks (yaml.org/type/merge).
func (y *yamlReader) merge(d *starlark.Dict, n *yaml.Node, depth int) error {
	v, err := y.value(n, depth)
	if err != nil {
		return err
	}
	from := []starlark.Value{v}
	if l, ok := v.(*starlark.List); ok {
		from = nil
		for i := range l.Len() {
			from = append(from, l.Index(i))
		}
	}
	for _, v := range from {
		m, ok := v.(*starlark.Dict)
		if !ok {
			return fmt.Errorf("line %d: << wants a mapping", n.Line)
		}
		for _, item := range m.Items() {
			if _, ok, _ := d.Get(item[0]); !ok {
				d.SetKey(item[0], item[1]) // its key was hashable there
			}
		}
	}
	return nil
}

func yamlScalar(n *yaml.Node) (starlark.Value, error) {
	var v any
	switch n.ShortTag() {
	case "!!timestamp", "!!binary":
		return starlark.String(n.Value), nil
	case "!!int", "!!float": // the library takes large integers for floats
		if len(n.Value) > maxDigits {
			return nil, fmt.Errorf("line %d: got a number of more than %d digits", n.Line, maxDigits)
		}
		if i, ok := new(big.Int).SetString(strings.ReplaceAll(n.Value, "_", ""), 0); ok {
			return starlark.MakeBigInt(i), nil
		}
	}
	if err := n.Decode(&v); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return starlark.Bool(v), nil
	case int:
		return starlark.MakeInt(v), nil
	case float64:
		return starlark.Float(v), nil
	case string:
		return starlark.String(v), nil
	}
	return nil, fmt.Errorf("line %d: got %s, want a plain value", n.Line, n.Tag)
}
