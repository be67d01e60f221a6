package main

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"runbook/cmd/runbook/internal/lab"
)

// TestStubs has Python read the stubs, where there is Python, and finds every builtin in them.
func TestStubs(t *testing.T) {
	all := withTests().Builtins()
	var text strings.Builder
	if err := writeStubs(&text, all); err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		space, member, dotted := strings.Cut(b.Name, ".")
		want := "def " + space + "("
		switch {
		case b.Property:
			want = "    " + member + ": "
		case dotted:
			want = "    def " + member + "(self"
		case strings.Contains(text.String(), "class _"+space+":"):
			want = "    def __call__(self"
		}
		if !strings.Contains(text.String(), want) {
			t.Errorf("%s: no %q in the stubs", b.Name, want)
		}
		for _, a := range b.Params() {
			if pythonTypes[a.Type] == "" {
				t.Errorf("%s: argument %s: no type of Python for %q", b.Name, a.Name, a.Type)
			}
		}
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		lab.Skip(t, "python3 is not here to read the stubs")
	}
	const script = `
import ast, sys
for node in ast.walk(ast.parse(sys.stdin.read())):
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_") and not ast.get_docstring(node):
        sys.exit(node.name + " has no docstring")
`
	c := exec.Command(python, "-c", script)
	c.Stdin = strings.NewReader(text.String())
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("python3: %v\n%s", err, out)
	}
}

// TestBuiltinsJSON holds the list for other programs against the builtins.
func TestBuiltinsJSON(t *testing.T) {
	all := withTests().Builtins()
	var text strings.Builder
	if err := builtinsJSON(&text, all); err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Name, Kind string
		Args       []struct {
			Name    string
			Default *string
			Choices []string
		}
	}
	if err := json.Unmarshal([]byte(text.String()), &list); err != nil || len(list) != len(all) {
		t.Fatalf("got %d builtins, want %d: %v", len(list), len(all), err)
	}
	kinds := map[string]string{"write": "op", "read": "read", "yaml.encode": "pure", "var": "declare", "require": "read"}
	for i, b := range list {
		if want := kinds[b.Name]; want != "" && b.Kind != want {
			t.Errorf("%s: got %s, want %s", b.Name, b.Kind, want)
		}
		for j, a := range b.Args {
			if required := all[i].Params()[j].Default == ""; required != (a.Default == nil) {
				t.Errorf("%s: argument %s: got default %v", b.Name, a.Name, a.Default)
			}
			if len(a.Choices) > 0 && a.Default != nil && (*a.Default)[0] == '"' && !slices.Contains(a.Choices, strings.Trim(*a.Default, `"`)) {
				t.Errorf("%s: argument %s: its default %s is none of %s", b.Name, a.Name, *a.Default, a.Choices)
			}
		}
	}
}
