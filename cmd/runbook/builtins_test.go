package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"runbook/runtime"
)

// TestBuiltinsPage keeps builtins/README.md what the builtins say of themselves.
func TestBuiltinsPage(t *testing.T) {
	const name = "../../builtins/README.md"
	want := builtinsPage(newProgram().rt.Builtins())
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s is stale: go test ./cmd/runbook -run TestBuiltinsPage -update", name)
	}
}

// builtinsPage is the README of package builtins.
func builtinsPage(all []*runtime.Builtin) string {
	var b strings.Builder
	b.WriteString("# Builtins\n\nWhat a runbook can call. This page is generated: `go test ./cmd/runbook -run TestBuiltinsPage -update`.\n[The language of runbooks](LANGUAGE.md) has a page of its own.\n\n")
	b.WriteString("| builtin | what it will do |\n| --- | --- |\n")
	for _, x := range all {
		fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", x.Name, anchor(x.Name), cell(x.Summary))
	}
	for _, x := range all {
		fmt.Fprintf(&b, "\n## %s\n\n    %s\n\n`%s` will %s.\n", x.Name, signature(x), x.Name, sentence(x.Summary))
		for _, s := range details(x) {
			b.WriteString(s + "\n")
		}
		if len(x.Params()) > 0 {
			b.WriteString("\n| argument | type | default | meaning |\n| --- | --- | --- | --- |\n")
		}
		for _, a := range x.Params() {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", a.Name, cell(a.Type), cell(strings.TrimPrefix(defaultText(a), "= ")), cell(a.Help))
		}
		fmt.Fprintf(&b, "\n```python\n%s\n```\n", strings.TrimSpace(x.Example))
	}
	return b.String()
}

// anchor is how Markdown viewers name a heading.
func anchor(heading string) string { return strings.ReplaceAll(heading, ".", "") }
