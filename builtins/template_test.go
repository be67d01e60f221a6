package builtins

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/secret"
)

func TestTemplate(t *testing.T) {
	m := newMachine(t, nil)
	for expr, want := range map[string]string{
		`template("", {})`:        `""`,
		`template("{{/* x */}}")`: `""`,
		`template("server { root $dir; x \\d{2} } {{\"{{\"}} {{.a}}", {"a": 1})`:             `"server { root $dir; x \\d{2} } {{ 1"`,
		`template("{{.s}} {{.n}} {{.big}} {{.f}} {{.t}} {{.o}}", VALUES)`:                    `"text 8080 123456789012345678901234567890 1.5 true false"`,
		`template("{{range .l}}[{{.}}]{{end}}{{range .empty}}x{{else}}none{{end}}", VALUES)`: `"[a][b]none"`,
		`template("{{range $i, $x := .l}}{{if $i}}, {{end}}{{$x}}{{end}}", VALUES)`:          `"a, b"`,
		`template("{{range $k, $v := .d}}{{$k}}={{$v}};{{end}}{{.d.x}}", VALUES)`:            `"x=1;y=2;1"`,
		`template("{{if .none}}x{{else}}no{{end}}{{with .d}}{{.y}}{{$.s}}{{end}}", VALUES)`:  `"no2text"`,
		`template("{{if and .t (eq .n 8080) (ne .s \"x\") (not .o)}}yes{{end}}", VALUES)`:    `"yes"`,
		`template("{{index .l 1}} {{index .d \"x\"}} {{len .l}} {{len .s}}", VALUES)`:        `"b 1 2 4"`,
		`template("{{$x := .s}}{{$x}}\n{{- if .t}}\nx\n{{- end}}\n", VALUES)`:                `"text\nx\n"`,
		`template("{{range .hosts}}{{.name}}:{{.port}} {{$.n}}\n{{end}}", VALUES)`:           `"a:1 8080\nb:2 8080\n"`,
		`template("<&>\"'", {})`: `"<&>\"'"`,
		`template("{{range .l}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", {"l": ["a", "b", "c"]})`: `"a"`,
	} {
		values := `VALUES = {"s": "text", "n": 8080, "big": 123456789012345678901234567890, "f": 1.5, "t": True, "o": False,
    "l": ["a", "b"], "empty": [], "d": {"y": 2, "x": 1}, "none": None, "hosts": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]}
`
		if _, err := m.dry(values + "got = " + expr + "\nif got != " + want + ":\n    fail(repr(got))"); err != nil {
			t.Errorf("%s: got %v, want %s", expr, err, want)
		}
	}
}

func TestTemplateRefuses(t *testing.T) {
	m := newMachine(t, nil)
	m.secrets["pw"] = "correct horse"
	for expr, want := range map[string]string{
		`template("a\n{{.prot}}", {"port": 1})`:                          `line 2 of the text: no value "prot" (did you mean "port"?)`,
		`template("{{if .a}}\n{{.b}}{{end}}", {"a": False})`:             `line 2 of the text: no value "b"`,
		`template("{{range .l}}\n{{$.b}}{{end}}", {"l": []})`:            `line 2 of the text: no value "b"`,
		`template("{{range .l}}{{.prot}}{{end}}", {"l": [{"port": 1}]})`: `line 1 of the text: no value "prot" (did you mean "port"?)`,
		`template("{{.a.x}}", {"a": {"y": 1}})`:                          `no value "x"`,
		`template("{{.a.x}}", {"a": "text"})`:                            `line 1 of the text: can't evaluate field x`,
		`template("\n\n{{.a", {"a": 1})`:                                 `line 3 of the text: unclosed action`,
		`template("{{if .a}}", {"a": 1})`:                                `line 1 of the text: unexpected EOF`,
		`template("{{port}}", {"port": 1})`:                              `no function "port" (a value is written with a dot, {{.port}}`,
		`template("{{printf \"%q\" .a}}", {"a": 1})`:                     `no function "printf"`,
		`template("{{.a | html}}", {"a": 1})`:                            `no function "html"`,
		`template("{{(slice .a 1).x}}", {"a": "abc"})`:                   `no function "slice"`,
		`template("{{runbook_show \"\" .a}}", {"a": 1})`:                 `no function "runbook_show"`,
		`template("{{define \"x\"}}{{end}}", {})`:                        `cannot define or call another`,
		`template("{{template \"t\" .}}", {})`:                           `cannot define or call another`,
		`template("{{.a}}", {"a": None})`:                                `.a is None, want a value to write`,
		`template("{{.a}}", {"a": [1]})`:                                 `.a is a list, want one value`,
		`template("{{.a}}", {"a": {}})`:                                  `.a is a dict, want one value`,
		`template("{{.}}", {})`:                                          `. is a dict, want one value`,
		`template("{{.a}}", {"a": len})`:                                 `a: got builtin_function_or_method`,
		`template("{{.a}}", {1: 2})`:                                     `got a key of type int`,
		`template("{{.a}}", [1])`:                                        `got list, want a dict`,
		`template(5, {})`:                                                `got int, want a string or here()`,
		`template("x" * (2 << 20), {})`:                                  `got 2048 KiB, want at most 1024`,
		"x = {}\nx['a'] = x\ntemplate('', x)":                            `holds itself`,
		`template("{{range 1000000000}}{{end}}", {})`:                    `its loops take too long`,
		`template("{{range $.l}}{{range $.l}}{{range $.l}}{{end}}{{end}}{{end}}", {"l": range(2000)})`: `its loops take too long`,
		`template("{{range .l}}{{$.s}}{{end}}", {"l": range(1000), "s": "x" * (1 << 20)})`:             `got a text of more than 16 MiB`,
		`template("{{eq .a \"x\"}}", {"a": pw})`:                                                       `line 1 of the text: a secret cannot be compared`,
		`template("{{eq .a \"x\"}}", {"a": "x%s" % pw})`:                                               `a secret cannot be compared`,
		`template("{{len .a}}", {"a": pw})`:                                                            `a secret cannot be compared or measured`,
		`template("{{index .a 1}}", {"a": pw})`:                                                        `a secret cannot be compared or measured`,
		`template("{{index .d .a}}", {"a": pw, "d": {"x": 1}})`:                                        `a secret cannot be compared or measured`,
		`template("{{.a}}", {pw + "x": 1})`:                                                            `plain strings`,
	} {
		began := time.Now()
		_, err := m.dry(expr)
		if err == nil {
			t.Errorf("%s: got no error, want %s", expr, want)
			continue
		}
		text := err.Error() + " (" + runtime.HintOf(err) + ")"
		if !strings.Contains(text, want) || strings.Contains(text, "runbook_") && !strings.Contains(want, "runbook_") {
			t.Errorf("%s: got %s, want %s", expr, text, want)
		}
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("%s: took %s", expr, d)
		}
	}
}

// A secret passes through a template, and nothing is left of its text where others see it.
func TestTemplateOfSecrets(t *testing.T) {
	m := newMachine(t, nil)
	m.secrets["pw"] = "correct horse"
	m.thrice(`write("/srv/a", template("pw={{.pw}}\n{{if .pw}}{{range .all}}[{{.}}]{{end}}{{end}}\n", {"pw": pw, "all": ["x" + pw, pw]}))
write("/srv/b", template("%s={{.a}}" % pw, {"a": 1}))`)
	if got, want := m.read("/srv/a"), "pw=correct horse\n[xcorrect horse][correct horse]\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := m.read("/srv/b"), "correct horse=1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Whatever a template is put together from: it ends soon, and a secret comes out whole or not at all.
func TestTemplateAtRandom(t *testing.T) {
	pieces := strings.Split("{{.pw}} {{ }} {{- -}} .pw .n .l .d $ $x . | and or not eq ne index len html printf slice print call range if with else end "+
		"define template block break continue := ( ) \"%q\" `x` 0 1 1e9 nil true , $i $.pw .d.pw {{/* */}} \n {{range {{if {{with {{end}} {{else}} "+
		"{{$x:=.pw}} {{range$i,$x:=.l}} {{range.l}} {{if.pw}} {{with.d}} {{index.l 0}} {{eq.pw.n}} text", " ")
	whole := secret.NewPlaceholders().Of("pw")
	values := starlark.NewDict(4)
	inner := starlark.NewDict(1)
	for key, v := range map[string]starlark.Value{"pw": starlark.String("a" + whole), "n": starlark.MakeInt(7), "d": inner,
		"l": starlark.NewList([]starlark.Value{starlark.String(whole), starlark.MakeInt(1), starlark.None})} {
		if err := values.SetKey(starlark.String(key), v); err != nil {
			t.Fatal(err)
		}
	}
	if err := inner.SetKey(starlark.String("pw"), starlark.String(whole)); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	filled := 0
	for range 20000 {
		var text strings.Builder
		for range 1 + random.IntN(7) {
			text.WriteString(pieces[random.IntN(len(pieces))])
			text.WriteString(" "[:random.IntN(2)])
		}
		p, err := newPage(starlark.String(text.String()))
		if err == nil {
			err = p.check(values)
		}
		if err != nil {
			continue
		}
		out, err := p.fill(values)
		if err == nil {
			filled++
		}
		rest := strings.ReplaceAll(out, whole, "")
		if message := fmt.Sprint(err); strings.Contains(rest, "secret") || strings.Contains(strings.ReplaceAll(message, whole, ""), "<secret") {
			t.Fatalf("%q: got %q, %v", text.String(), out, err)
		}
	}
	if filled < 500 {
		t.Errorf("only %d templates could be filled", filled)
	}
}
