package trace

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schema returns the schema of a line, as a validator that also holds times against their format.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("trace.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("trace.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(t *testing.T, s *jsonschema.Schema, line []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

func TestSchema(t *testing.T) {
	s := schema(t)
	for _, mode := range []string{RealRun, DryRun, Rehearsal} {
		for line := range bytes.Lines(written(t, sample(mode))) {
			if err := valid(t, s, line); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	for _, k := range everyKind() {
		line, err := encode(Event{Seq: 1, Prev: zeroHash, Kind: k, State: Begin, Call: "exec", Outcome: Failed, Run: &RunInfo{Mode: DryRun}})
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(t, s, line); err != nil {
			t.Errorf("empty %s: %v", k, err)
		}
		more := slices.Concat(line[:len(line)-1], []byte(`,"of_a_later_version":1}`))
		if err := valid(t, s, more); err != nil {
			t.Errorf("%s with another key: %v", k, err)
		}
	}
}

// Every member of every kind of line is described, and one that is missing or of another type is found.
func TestSchemaIsStrict(t *testing.T) {
	s := schema(t)
	tried := 0
	for _, k := range everyKind() {
		e := Event{Kind: k, Run: &RunInfo{}}
		for _, slot := range e.slots() {
			if meaningOf(k, slot.key) == "" {
				t.Errorf("%s: nothing says what %q means", k, slot.key)
			}
		}
	}
	for _, m := range meanings() {
		if !slices.ContainsFunc(everyKind(), func(k Kind) bool { return slices.Contains(k.Keys(), m.key) }) {
			t.Errorf("no line has %q", m.key)
		}
	}
	for line := range bytes.Lines(written(t, sample(RealRun))) {
		var have map[string]any
		if err := json.Unmarshal(line, &have); err != nil {
			t.Fatal(err)
		}
		kind := Kind(have["kind"].(string))
		for key, value := range have {
			change := func(what string, f func(map[string]any)) {
				tried++
				other := map[string]any{}
				if err := json.Unmarshal(line, &other); err != nil {
					t.Fatal(err)
				}
				f(other)
				text, err := json.Marshal(other)
				if err != nil {
					t.Fatal(err)
				}
				if valid(t, s, text) == nil {
					t.Errorf("%s with %s %s is valid", kind, key, what)
				}
			}
			change("a wrong type", func(o map[string]any) {
				if o[key] = any("x"); key != "kind" {
					if _, text := value.(string); text {
						o[key] = 1
					}
				}
			})
			if !laterKey(key) && (slices.Contains(requiredKeys(kind), key) || strings.Contains("seq prev kind seal", key)) {
				change("left out", func(o map[string]any) { delete(o, key) })
			}
		}
	}
	if tried < 200 {
		t.Errorf("tried only %d", tried)
	}
}
