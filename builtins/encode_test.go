package builtins

import (
	"math/rand/v2"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"gopkg.in/yaml.v3"
)

func TestEncoding(t *testing.T) {
	m := newMachine(t, nil)
	for expr, want := range map[string]string{
		`json.encode(None)`: `"null"`,
		`json.encode([True, 1, 1.0, -2.5e-7, 123456789012345678901234567890, "x", (), {}])`: `"[true,1,1.0,-2.5e-07,123456789012345678901234567890,\"x\",[],{}]"`,
		`json.encode({"b": 1, "a": {"d": [], "c": None}})`:                                  `'{"a":{"c":null,"d":[]},"b":1}'`,
		`json.encode("<&>é\n\"\\")`:                                                         `'"<&>é\\n\\"\\\\"'`,
		`json.decode(json.encode({"a": [1, 2.0, "ü"]}))`:                                    `{"a": [1, 2.0, "ü"]}`,
		`json.decode("[1, 1.5, null]")`:                                                     `[1, 1.5, None]`,
		`json.decode("{", default=7)`:                                                       `7`,
		`json.indent('{"a":[1]}')`:                                                          `'{\n  "a": [\n    1\n  ]\n}'`,
		`json.indent("[1]", prefix=">", indent="\t")`:                                       `"[\n>\t1\n>]"`,

		`yaml.encode(None)`:                          `"null\n"`,
		`yaml.encode({"b": 1, "a": [1, "x", True]})`: `"b: 1\na:\n  - 1\n  - x\n  - true\n"`,
		`yaml.encode(["yes", "no", "1", "", "1.5", "null", "a: b", "# c", "- d", "0o7", "12:30", "~"])`: `'- "yes"\n- "no"\n- "1"\n- ""\n- "1.5"\n- "null"\n- \'a: b\'\n- \'# c\'\n- \'- d\'\n- "0o7"\n- "12:30"\n- "~"\n'`,
		`yaml.encode("a\nb\n")`:                                                         `"|\n  a\n  b\n"`,
		`yaml.encode({"a": {}, "b": []})`:                                               `"a: {}\nb: []\n"`,
		`yaml.encode(123456789012345678901234567890)`:                                   `"123456789012345678901234567890\n"`,
		`yaml.decode("")`:                                                               `None`,
		`yaml.decode("b: 1\na: [1, x, yes, true, ~]")`:                                  `{"b": 1, "a": [1, "x", "yes", True, None]}`,
		`yaml.decode("b: 1\na: 2").keys()`:                                              `["b", "a"]`,
		`yaml.decode("123456789012345678901234567890")`:                                 `123456789012345678901234567890`,
		`yaml.decode("[0x1f, 0o17, -3, 1_000, 1.5, .inf]")[:5]`:                         `[31, 15, -3, 1000, 1.5]`,
		`yaml.decode("2001-01-01")`:                                                     `"2001-01-01"`,
		`yaml.decode("a: &x {k: 1}\nb: *x\nc:\n  <<: *x\n  l: 2")`:                      `{"a": {"k": 1}, "b": {"k": 1}, "c": {"l": 2, "k": 1}}`,
		`yaml.decode("'1'")`:                                                            `"1"`,
		`yaml.decode(yaml.encode({"s": ["yes", "1", "x\ty", "é", " lead", "trail "]}))`: `{"s": ["yes", "1", "x\ty", "é", " lead", "trail "]}`,
	} {
		if _, err := m.dry("got = " + expr + "\nif got != " + want + ":\n    fail(repr(got))"); err != nil {
			t.Errorf("%s: got %v, want %s", expr, err, want)
		}
	}
}

func TestEncodingRefuses(t *testing.T) {
	m := newMachine(t, nil)
	for body, want := range map[string]string{
		`json.encode({1: 2})`:                 "got key of type int",
		`json.encode(len)`:                    "got builtin_function_or_method",
		`json.encode(b"x")`:                   "got bytes",
		`json.encode(float("inf"))`:           "want a finite number",
		"x = []\nx.append(x)\njson.encode(x)": "holds itself",
		"x = {}\nx['x'] = x\nyaml.encode(x)":  "holds itself",
		`yaml.encode([len])`:                  "got builtin_function_or_method",
		`json.decode("{")`:                    "json.decode: at offset 1",
		`json.indent("{")`:                    "json.indent: unexpected end",
		`yaml.decode("a: [")`:                 "yaml.decode: line 1",
		`yaml.decode("a: 1\na: 2")`:           `key "a" is there twice`,
		`yaml.decode("--- 1\n--- 2")`:         "more than one document",
		`yaml.decode("? [a]\n: 1")`:           "unhashable",
		`yaml.decode("a: *x")`:                "unknown anchor",
		"x = 'a: &a [x,x,x,x,x,x,x,x,x]\\n'\nfor i in range(9):\n    x += '%s: &%s [%s]\\n' % ('bcdefghij'[i], 'bcdefghij'[i], ','.join(['*' + 'abcdefghi'[i]] * 9))\nyaml.decode(x)": "too large",
		"yaml.decode('[' * 5000)": "yaml.decode",

		`json.decode("[" * 5000000)`:                                  "at offset 200: value is nested too deep",
		`json.decode('{"a":' * 1000000)`:                              "value is nested too deep",
		`json.decode("[" + "9" * 5000000 + "]")`:                      "got a number of more than 20000 digits",
		`json.indent("[1,1]", indent=" " * 16000000)`:                 "json.indent: got a text of",
		`json.indent("[" + "1," * 1000000 + "1]", prefix="x" * 1000)`: "json.indent: got a text of",
		`json.indent("[" * 5000 + "]" * 5000)`:                        "value is nested too deep",
		`yaml.decode("- " * 5000000)`:                                 "yaml.decode",
		`yaml.encode(list(range(200000)))`:                            "got more than 100000 values",
	} {
		m.fails(body, want)
	}
}

// Words that are written without asking the library look as it writes them.
func TestPlainYAML(t *testing.T) {
	words := strings.Fields("true True TRUE false null Null NULL none None infinity nano .inf yes Yes on off null- true. a-b/c.d e12345 x_y_z Infinity abcd /abc/def y___ ye-s a.b. a--- a... inf. Nope----")
	for i := range 3000 {
		r := rand.New(rand.NewPCG(1, uint64(i)))
		w := []byte{"abcdefxyzAEINOTYfnt"[r.IntN(19)]}
		for range 1 + r.IntN(7) {
			w = append(w, plainBytes[r.IntN(len(plainBytes))])
		}
		words = append(words, string(w))
	}
	for _, w := range words {
		want, err := yaml.Marshal(map[string]any{w: w})
		y := yamlWriter{budget: mostWritten}
		d := starlark.NewDict(1)
		d.SetKey(starlark.String(w), starlark.String(w))
		n, nerr := y.node(d, maxDepth)
		if err != nil || nerr != nil {
			t.Fatal(w, err, nerr)
		}
		if have, err := yaml.Marshal(n); err != nil || string(have) != string(want) {
			t.Errorf("%s: got %s, %v, want %s", w, have, err, want)
		}
	}
}
