package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"runbook/runtime/trace"
)

// lineSchema is what audit schema prints, as a validator.
var lineSchema = sync.OnceValue(func() *jsonschema.Schema {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(trace.Schema()))
	if err != nil {
		panic(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("trace.json", doc); err != nil {
		panic(err)
	}
	return c.MustCompile("trace.json")
})

// validLines holds the lines of a trace against the schema and returns how many there are. A last line that was cut off
// is none.
func validLines(text []byte) (n int, err error) {
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err == nil {
			err = lineSchema().Validate(doc)
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// holdTracesAgainstSchema wants every trace below dir, wherever a script has left it, to be as the schema says, unless
// the script has broken it.
func holdTracesAgainstSchema(t testscript.T, dir string) {
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !strings.HasSuffix(name, ".jsonl") {
			return nil // scripts leave what cannot be read
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil
		}
		report, err := trace.Verify(bytes.NewReader(text))
		if err != nil || len(report.Broken) > 0 || report.Events == 0 {
			return nil
		}
		n, err := validLines(text)
		if err != nil {
			t.Fatal(name + ": a trace that is not broken is not as audit schema says: " + err.Error())
		}
		if n != report.Events {
			t.Fatal(name, ": validated ", n, " lines, want ", report.Events)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What holds traces against the schema finds one that is not as it says.
func TestTracesAreHeldAgainstSchema(t *testing.T) {
	text, err := os.ReadFile("../../runtime/trace/testdata/sample.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := validLines(text); err != nil || n < 20 {
		t.Errorf("got %d lines and %v", n, err)
	}
	other := strings.Replace(string(text), `"elapsed_ms":1234`, `"elapsed_ms":"1234"`, 1)
	if n, err := validLines([]byte(other)); err == nil {
		t.Errorf("%d lines, one with a number in quotes, are valid", n)
	}
}
